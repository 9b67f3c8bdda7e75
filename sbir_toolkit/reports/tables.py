"""Tables as people read them, in a notebook and in a report.

A frame is shown as it stands, row for row, with each number in the unit that its column's name promises:
`award_usd` in dollars, `elapsed_s` in a readable time, `peak_bytes` in MB or GB, `saved_share` in percent.
Numbers are aligned to the right, verdicts and decisions are badges whose word says the same as their colour,
and what isn't known is a dash. A share and the ends of its interval have as many digits each; a column with
its `_low` and `_high` becomes one. When rows are left out, the table says how many there are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.reports.units import (
    DASH,
    Unit,
    format_bytes,
    format_change,
    format_count,
    format_day,
    format_interval,
    format_moment,
    format_number,
    format_probability,
    format_rate,
    format_seconds,
    format_share,
    format_shares,
    format_step,
    format_usd,
    format_weights,
    metric_unit,
)

TEMPLATES = Path(__file__).parent / "templates"
BADGES = {
    **dict.fromkeys(("pass", "done", "complete", "high"), "good"),
    **dict.fromkeys(("accept", "running", "reused", "info"), "known"),
    **dict.fromkeys(
        ("warn", "warning", "review", "blocked", "interrupted", "medium", "suspect"),
        "warn",
    ),
    **dict.fromkeys(("fail", "failed", "died", "stopped", "critical", "error", "regression"), "bad"),
    **dict.fromkeys(("unknown", "reject", "pending", "skipped", "low"), "idle"),
}
# Sentences, which would be crushed beside many short columns.
_WIDE = {"evidence", "cause", "why"}
_BADGE_COLUMNS = {"verdict", "decision", "status", "severity", "confidence"}
_WRITERS: dict[str, Callable[[Any], str]] = {
    "bytes": format_bytes,
    "change": format_change,
    "count": format_count,
    "day": format_day,
    "moment": format_moment,
    "number": format_number,
    "probability": format_probability,
    "rate": format_rate,
    "seconds": format_seconds,
    "share": format_share,
    "step": format_step,
    "usd": format_usd,
}
_SUFFIXES: tuple[tuple[str, Unit, str], ...] = (
    ("_s_per_row", "seconds", " per row"),
    ("_per_s", "rate", " per s"),
    ("_usd", "usd", ", US$"),
    ("_bytes", "bytes", ""),
    ("_share", "share", " share"),
    ("_rate", "share", " rate"),
    ("_probability", "probability", " probability"),
    ("_margin", "probability", " margin"),
    ("_s", "seconds", ""),
)
# What changed, and by how much: signed.
_CHANGES: dict[str, tuple[Unit, str]] = {
    "change_share": ("change", "change"),
    "changed_s": ("step", "changed"),
}
_ROW_UNITS: dict[str, Unit] = {"share": "share", "count": "count", "US dollars": "usd", "date": "day"}
_MEASURED = ("value", "low", "high")
_TEXT_WIDTH = 160
_PLAIN_WIDTH = 60
_WHOLE_CAPTION = 75
_DIGEST_SHOWN = 12


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A frame as it is shown; made by `show_table`."""

    frame: pd.DataFrame
    units: Mapping[str, Unit] = field(default_factory=dict)
    caption: str = ""
    max_rows: int = 20
    empty: str = ""

    def __repr__(self) -> str:
        title = f"{self.caption}\n" if self.caption else ""
        if self.frame.empty:
            return self.empty or f"{title}no rows"
        columns = [[text[:_PLAIN_WIDTH] for text, _ in self._column(name)] for name in self.frame]
        heads = [_heading(name)[0] for name in self.frame]
        cells = pd.DataFrame(list(zip(*columns, strict=True)), columns=heads, dtype="object")
        return f"{title}{cells.to_string(index=False)}" + (f"\n{self._cut()}" if self._cut() else "")

    def _repr_html_(self) -> str:
        return f"<style>{table_style()}</style>{self.html()}"

    def html(self) -> str:
        """Write the table as HTML, without the style it needs."""
        # A short caption doesn't break because its table is narrow.
        kind = ' class="k"' if len(self.caption) <= _WHOLE_CAPTION else ""
        caption = f"<caption{kind}>{escape(self.caption)}</caption>" if self.caption else ""
        if self.frame.empty and self.empty:
            return f'<div class="sbir-table"><p class="sbir-empty">{escape(self.empty)}</p></div>'
        if self.frame.empty:
            title = f"<strong>{escape(self.caption.rstrip('.'))}</strong>: " if self.caption else ""
            return f'<div class="sbir-table"><p class="sbir-note">{title}no rows</p></div>'
        columns = [self._column(name) for name in self.frame]
        kinds = [_cell_class(str(name), self._unit(name)) for name in self.frame]
        heads = "".join(_head(str(name), kind) for name, kind in zip(self.frame, kinds, strict=True))
        lines = []
        for row in zip(*columns, strict=True):
            cells = "".join(f"<td{kind}>{html}</td>" for kind, (_, html) in zip(kinds, row, strict=True))
            lines.append(f"<tr>{cells}</tr>")
        note = f'<p class="sbir-note">{self._cut()}</p>' if self._cut() else ""
        body = "\n".join(lines)
        table = f"<table>{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
        return f'<div class="sbir-table">{table}{note}</div>'

    def _cut(self) -> str:
        if len(self.frame) <= self.max_rows:
            return ""
        return f"first {format_count(self.max_rows)} of {format_count(len(self.frame))} rows"

    def _unit(self, name: Any) -> Unit:
        return self.units.get(str(name)) or _unit_of(str(name), self.frame[name])

    def _column(self, name: Any) -> list[tuple[str, str]]:
        shown = self.frame.head(self.max_rows)
        is_measured = name in _MEASURED and pd.api.types.is_numeric_dtype(self.frame[name])
        if is_measured and str(name) not in self.units:
            units = _row_units(shown)
        else:
            units = [self._unit(name)] * len(shown)
        cells = [_cell(value, unit) for value, unit in zip(shown[name], units, strict=True)]
        if is_measured and set(_MEASURED) <= set(shown):
            place = _MEASURED.index(str(name))
            together = [format_shares(*row)[place] for row in shown[list(_MEASURED)].to_numpy(float)]
            cells = [
                (text, escape(text)) if unit == "share" and cell[0] != DASH else cell
                for cell, text, unit in zip(cells, together, units, strict=True)
            ]
        return cells


def show_table(
    frame: pd.DataFrame,
    *,
    units: Mapping[str, Unit] | None = None,
    caption: str = "",
    max_rows: int = 20,
    empty: str = "",
) -> ShownTable:
    """Show a frame in a notebook or a report.

    Parameters
    ----------
    frame : pandas.DataFrame
        What to show, in its order; a named index becomes its first columns.
    units
        Units of columns whose name doesn't tell, by column: share, usd, seconds, bytes, count, number,
        probability, rate, moment (seconds since 1970), badge, digest, weights (of evidence), text, or plain
        (as it is).
    caption
        What the table holds, above it.
    max_rows
        Rows shown at most; the table says when there are more.
    empty
        What to say in place of a table without rows; else it is its caption and 'no rows'.

    Returns
    -------
    ShownTable
        With a plain `repr` and a `_repr_html_`.

    Examples
    --------
    >>> show_table(pd.DataFrame({"agency": ["NASA"], "award_usd": [149_998.7], "matched_share": [0.8136]}))
    agency award, US$ matched share
      NASA   $149,999        81.4 %
    """
    is_named = any(name is not None for name in frame.index.names)
    whole = frame.reset_index() if is_named else frame
    whole, told = _join_intervals(whole)
    return ShownTable(whole, {**told, **(units or {})}, caption, max_rows, empty)


def make_badge(word: str) -> str:
    """Write a verdict, a decision or a status as a HTML badge; one without a colour of its own is grey."""
    return f'<span class="sbir-badge {BADGES.get(word, "idle")}">{escape(word)}</span>'


@functools.cache
def table_style() -> str:
    """Give the style that tables and badges need, as CSS."""
    return (TEMPLATES / "table.css").read_text(encoding="utf-8").replace("\n", "")


def _join_intervals(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Unit]]:
    """Write each share and the columns of its interval as one column."""
    joined: dict[str, Unit] = {}
    for name in [str(name) for name in frame.columns]:
        ends = [f"{name}_low", f"{name}_high"]
        if set(ends) <= set(frame.columns):
            rows = frame[[name, *ends]].to_numpy(float)
            frame = frame.assign(**{name: [format_interval(*row) for row in rows]}).drop(columns=ends)
            joined[name] = "plain"
    return frame, joined


def _unit_of(name: str, values: pd.Series[Any]) -> Unit:
    if name in _BADGE_COLUMNS:
        return "badge"
    if name == "evidence":
        return "weights"
    if name == "digest" or name.endswith("_digest"):
        return "digest"
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "text"
    return _number_unit(name, is_whole=pd.api.types.is_integer_dtype(values))


def _row_units(frame: pd.DataFrame) -> list[Unit]:
    if "unit" in frame:
        return [_ROW_UNITS.get(str(unit), "number") for unit in frame["unit"]]
    if "estimate" in frame:
        return ["share"] * len(frame)
    if "metric" in frame:
        return [metric_unit(str(metric)) for metric in frame["metric"]]
    return ["number"] * len(frame)


def _number_unit(name: str, *, is_whole: bool) -> Unit:
    if name in {"created", "started", "ended", "since"}:
        return "moment"
    if name in _CHANGES:
        return _CHANGES[name][0]
    if name == "year" or name.endswith(("_year", "_id")):
        return "plain"
    for suffix, unit, _ in _SUFFIXES:
        if f"_{name}".endswith(suffix):
            return unit
    return "count" if is_whole else "number"


def _heading(name: Any) -> tuple[str, str]:
    text = str(name)
    if text in _CHANGES:
        return _CHANGES[text][1], ""
    for suffix, _, word in _SUFFIXES:
        if text.endswith(suffix) and len(text) > len(suffix):
            stem = text.removesuffix(suffix).replace("_", " ").replace("cpu", "CPU")
            return f"{stem}{word}", f"{escape(stem)}<small>{escape(word)}</small>" if "," in word else ""
    return text.replace("_", " "), ""


def _head(name: str, kind: str) -> str:
    plain, html = _heading(name)
    return f'<th scope="col"{kind}>{html or escape(plain)}</th>'


def _cell_class(name: str, unit: Unit) -> str:
    if unit in _WRITERS or unit == "plain":
        return ' class="n"'
    if name in _WIDE:
        return ' class="e"'
    return ' class="s"' if unit in {"badge", "digest"} else ""


def _cell(value: Any, unit: Unit) -> tuple[str, str]:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return DASH, f'<span class="none">{DASH}</span>'
    if unit == "badge":
        return str(value), make_badge(str(value))
    if unit == "digest":
        short = str(value).removeprefix("sha256:")[:_DIGEST_SHOWN]
        return short, f'<code title="{escape(str(value))}">{escape(short)}</code>'
    if unit in _WRITERS:
        text = _WRITERS[unit](value)
        return text, escape(text)
    return _write_text(format_weights(str(value)) if unit == "weights" else value)


def _write_text(value: Any) -> tuple[str, str]:
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    if len(text) <= _TEXT_WIDTH:
        # A line may break after the parts of a long name, not within them.
        return text, escape(text).replace("_", "_<wbr>").replace("=", "=<wbr>")
    short = text[: _TEXT_WIDTH - 1].rstrip() + "\u2026"
    return short, f'<span title="{escape(text)}">{escape(short)}</span>'
