"""What all charts share: the object they return, the palette, and the frame they are drawn in.

A chart is a `matplotlib.figure.Figure` made without pyplot, so nothing global is touched and no display is
needed. Above the axes stand a title that says what was found and a line that says what is drawn; below the
picture, in the page, stands how many cases it rests on and where they come from. The palette is small and
keeps its meaning from chart to chart; no two colours that stand for different things differ by hue alone
between red and green.
"""

from __future__ import annotations

import base64
import functools
import io
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ParamSpec

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from sbir_toolkit.reports.units import format_bytes, format_large_usd, format_seconds

INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#e4e8ed"
BLUE = "#2a6496"
LIGHT_BLUE = "#a8c6de"
AMBER = "#dd9a1f"
RED = "#b23a2e"
GREEN = "#2b8a7e"
GREY = "#b9c0c9"

DARK_AMBER = "#9a6700"

DECISION_COLOURS = {"accept": BLUE, "review": AMBER, "reject": GREY}
VERDICT_COLOURS = {"pass": GREEN, "warn": AMBER, "fail": RED, "unknown": GREY}
SERIES_COLOURS = (BLUE, AMBER, GREEN, "#8c6bb1", LIGHT_BLUE, "#c98f7a", "#7d8a3c", "#4f5a66")

WIDTH_IN = 8.2
DOTS_PER_INCH = 150
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "lines.linewidth": 1.6,
}
_DRAWN = (
    "font.",
    "text.",
    "axes.",
    "xtick.",
    "ytick.",
    "grid.",
    "legend.",
    "figure.",
    "savefig.",
    "lines.",
    "patch.",
)
_DEFAULTS: dict[str, Any] = {
    key: value for key, value in mpl.rcParamsDefault.items() if key.startswith(_DRAWN)
}
_SETTINGS: Any = {**_DEFAULTS, **_STYLE}
_TITLE_IN, _SUBTITLE_IN, _GAP_IN = 0.235, 0.2, 0.12

P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with the words that belong to it.

    Parameters
    ----------
    figure
        What is drawn.
    title
        What was found, in one sentence.
    alt
        What a reader who can't see the picture should know.
    caption
        How many cases it rests on, and where they come from.
    """

    figure: Figure
    title: str
    alt: str
    caption: str

    def png(self) -> bytes:
        """Draw the picture; the same figure gives the same bytes."""
        buffer = io.BytesIO()
        with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
            # A name in a script that the font lacks is drawn as boxes; that is no reason to fail a run.
            warnings.filterwarnings("ignore", message="Glyph ")
            self.figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"Chart: {self.alt} {self.caption}".rstrip()

    def _repr_html_(self) -> str:
        if not self.figure.axes:
            return f'<p class="sbir-empty">{escape(self.alt)}</p>'
        picture = base64.b64encode(self.png()).decode()
        width = round(self.figure.get_figwidth() * 100)
        image = (
            f'<img src="data:image/png;base64,{picture}" alt="{escape(self.alt)}" width="{width}" '
            'style="max-width:100%;height:auto">'
        )
        words = f'<figcaption style="font-size:0.85em;color:#5b6673">{escape(self.caption)}</figcaption>'
        return f'<figure class="sbir-chart" style="margin:0">{image}{words if self.caption else ""}</figure>'


def house_style(draw: Callable[P, Chart]) -> Callable[P, Chart]:
    """Make a drawing function draw in the house's style, whatever the user's matplotlib settings are."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Chart:
        with mpl.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return drawn


def new_figure(height_in: float) -> Figure:
    """Make an empty figure whose axes will have this height, in inches."""
    return Figure(figsize=(WIDTH_IN, height_in))


def finish(
    figure: Figure, title: str, subtitle: str, *, alt: str = "", n: str = "", source: str = ""
) -> Chart:
    """Put the title and the line below it above the axes.

    Parameters
    ----------
    figure
        As drawn so far; it grows by the height of the words.
    title
        What was found.
    subtitle
        What is drawn, with its unit.
    alt
        What the title doesn't say but the picture shows.
    n
        How many cases it rests on, such as '10,000 awards'.
    source
        Where they come from.

    Returns
    -------
    Chart
        The figure with its words.
    """
    lines, below = textwrap.wrap(title, 88), textwrap.wrap(subtitle, 108)
    header_in = _TITLE_IN * len(lines) + _SUBTITLE_IN * len(below) + _GAP_IN
    height_in = figure.get_figheight() + header_in
    figure.set_figheight(height_in)
    words = "\n".join(lines)
    figure.text(0.001, 1 - 0.04 / height_in, words, va="top", size=11.5, weight="bold", linespacing=1.25)
    top = 1 - (0.07 + _TITLE_IN * len(lines)) / height_in
    figure.text(0.001, top, "\n".join(below), ha="left", va="top", size=9, color=MUTED, linespacing=1.25)
    room = (0.005, 0.01, 0.99, 0.985 - header_in / height_in)
    figure.set_layout_engine("constrained", rect=room, h_pad=0.06, w_pad=0.06)
    told = [f"n = {n}" if n else "", f"Source: {source}" if source else ""]
    caption = ". ".join(part for part in told if part)
    return Chart(figure, title, _sentences(title, subtitle, alt), f"{caption}." if caption else "")


def say(title: str, subtitle: str = "", *, source: str = "") -> Chart:
    """Make the chart that is only words, for when nothing can be drawn; a page shows them as text."""
    figure = new_figure(0.1)
    return finish(figure, title, subtitle, source=source)


def nothing(what: str, *, source: str = "") -> Chart:
    """Say that there is nothing to draw, and what is missing."""
    return say(f"Nothing to show: {what}", source=source)


def write_beside(axes: Axes, text: str, at: tuple[float, float], *, color: str = MUTED) -> None:
    """Write a bar's figure just right of its end."""
    axes.annotate(text, at, (5, 0), textcoords="offset points", va="center", size=8.5, color=color)


def write_at_edge(axes: Axes, text: str, row: float, **looks: Any) -> None:
    """Write a row's figures to the right of the axes."""
    axes.annotate(
        text,
        (1.0, row),
        (8, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
        **{"size": 8.5, **looks},
    )


def grid(axes: Axes, along: str) -> None:
    """Draw faint lines at the ticks of one axis, and no more than that."""
    axes.grid(visible=True, axis="y" if along == "y" else "x")
    axes.tick_params(length=0)


def label_rows(axes: Axes, names: Sequence[str], *, width: int = 34) -> None:
    """Name the rows of a horizontal chart, the first at the top."""
    axes.set_yticks(range(len(names)), [shorten(name, width) for name in names], color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def shorten(text: str, width: int) -> str:
    """Cut a text that is too long for its place, and show that it was cut."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "\u2026"


def legend_above(axes: Axes, columns: int, handles: list[Any] | None = None) -> None:
    """Put the legend in one line above the axes, at the left."""
    place: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0, 1.0),
        "ncols": columns,
        "borderaxespad": 0.2,
    }
    place |= {"handlelength": 1.1, "columnspacing": 1.4, "handletextpad": 0.5}
    if handles is None:
        axes.legend(**place)
    else:
        axes.legend(handles=handles, **place)


def share_axis() -> FuncFormatter:
    """Ticks in percent, with as many digits as they need."""
    return FuncFormatter(lambda value, _: f"{_trimmed(f'{100 * value:.3f}')} %")


def seconds_axis() -> FuncFormatter:
    """Ticks as times in the unit that suits their size."""

    def short(value: float, _: int | None) -> str:
        number, _blank, unit = format_seconds(value).partition(" ")
        return f"{_trimmed(number)} {unit}"

    return FuncFormatter(short)


def bytes_axis() -> FuncFormatter:
    """Ticks as sizes in decimal units."""

    def short(value: float, _: int | None) -> str:
        number, _blank, unit = format_bytes(value).partition(" ")
        return f"{_trimmed(number)} {unit}" if value else "0"

    return FuncFormatter(short)


def usd_axis() -> FuncFormatter:
    """Ticks in US dollars, short."""

    def short(value: float, _: int | None) -> str:
        text = format_large_usd(value) if value else "$0"
        for word, letter in ((" trillion", " T"), (" billion", " B"), (" million", " M")):
            if word in text:
                return f"{_trimmed(text.replace(word, ''))}{letter}"
        return text

    return FuncFormatter(short)


def count_axis() -> FuncFormatter:
    """Ticks as whole numbers with thousands separators."""
    return FuncFormatter(lambda value, _: f"{value:,.0f}" if value == round(value) else "")


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """List a frame's rows, each with its columns as attributes."""
    return list(frame.itertuples())


def readable(name: object) -> str:
    """Write a column's or a stage's name as words."""
    return str(name).replace("_", " ")


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _sentences(*texts: str) -> str:
    return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text)
