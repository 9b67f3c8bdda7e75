"""Charts of the quality: a rate by slice, gates and their thresholds, metrics from run to run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from sbir_toolkit.params import Gate
from sbir_toolkit.reports.charts.base import (
    AMBER,
    BLUE,
    DARK_AMBER,
    INK,
    LIGHT_BLUE,
    MUTED,
    VERDICT_COLOURS,
    Chart,
    finish,
    grid,
    house_style,
    label_rows,
    new_figure,
    nothing,
    readable,
    rows_of,
    say,
    share_axis,
    shorten,
    usd_axis,
    write_at_edge,
)
from sbir_toolkit.reports.units import (
    format_count,
    format_day,
    format_interval,
    format_large_usd,
    format_number,
    format_share,
)

_SHOWN_SLICES = 25
_COLUMNS = 3
_VERDICT_SIGNS = {"pass": "\u2713", "warn": "!", "fail": "\u2717", "unknown": "?"}
_VERDICT_WORDS = {"fail": "failed", "warn": "warned", "unknown": "without a verdict yet", "pass": "passed"}
_VERDICT_TEXT_COLOURS = {**VERDICT_COLOURS, "warn": DARK_AMBER, "unknown": MUTED}
# Marks further apart than this many times can only be told from one another by their logarithms.
_WIDE = 50
_ZONES = {"fail": "#f0d3cf", "warn": "#f8e8c8", "pass": "#d8ebe7"}


@house_style
def match_rate_by(
    metrics: pd.DataFrame, by: str, *, metric: str = "match_rate", source: str = "table metrics"
) -> Chart:
    """Draw a rate for each value of a column, beside the rate of the whole.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of the contract METRICS; the slices drawn are those named `<by>=<value>`.
    by
        The column, such as `agency` or `award_year`.
    metric
        The metric, a share.
    source
        Where the metrics come from, for the caption.

    Returns
    -------
    Chart
        A dot and a 95 % interval per slice and a line for the whole; years in their order, anything else by
        value, highest first, and at most 25 of them (those with the most cases).
    """
    chosen = metrics[(metrics["metric"] == metric) & metrics["value"].notna()]
    slices = chosen[chosen["slice"].str.startswith(f"{by}=")]
    if slices.empty:
        return nothing(f"no {readable(metric)} by {readable(by)}", source=source)
    slices = slices.assign(name=slices["slice"].str.removeprefix(f"{by}="))
    whole = chosen[chosen["slice"] == "all"]
    is_years = slices["name"].str.fullmatch(r"\d+").all()
    by_cases = slices.sort_values(["denominator", "name"], ascending=[False, True], kind="stable")
    shown = slices if is_years else by_cases.head(_SHOWN_SLICES)
    lowest = shown.sort_values(["value", "name"], kind="stable").iloc[0]
    title = f"{readable(metric).capitalize()} "
    if len(whole):
        title += format_interval(*whole[["value", "low", "high"]].iloc[0]) + "; "
    title += f"lowest for {lowest['name']}: {format_share(lowest['value'])}"
    overall = float(whole["value"].iloc[0]) if len(whole) else None
    if is_years:
        figure = new_figure(2.9)
        _draw_years(figure.subplots(), slices, overall, readable(metric), readable(by))
        cut = ""
    else:
        shown = shown.sort_values(["value", "name"], ascending=[False, True], kind="stable")
        figure = new_figure(0.75 + 0.27 * len(shown))
        _draw_slices(figure.subplots(), shown, overall, readable(metric))
        cut = f"; the {len(shown)} largest of {len(slices)}" if len(shown) < len(slices) else ""
    return finish(
        figure,
        title,
        f"{readable(metric).capitalize()} by {readable(by)} with 95 % intervals{cut}; the line is the whole",
        alt=f"{len(slices)} slices.",
        n=f"{format_count(slices['denominator'].sum())} cases",
        source=source,
    )


def _draw_slices(axes: Axes, shown: pd.DataFrame, overall: float | None, label: str) -> None:
    rows = range(len(shown))
    low, high = shown["low"].fillna(shown["value"]), shown["high"].fillna(shown["value"])
    if overall is not None:
        axes.axvline(overall, color=AMBER, linewidth=1.2)
    axes.hlines(rows, low, high, color=LIGHT_BLUE, linewidth=5)
    axes.plot(shown["value"], rows, "o", color=BLUE, markersize=5)
    for row, (value, cases) in enumerate(zip(shown["value"], shown["denominator"], strict=True)):
        write_at_edge(axes, f"{format_share(value)}, n = {format_count(cases)}", row)
    label_rows(axes, list(shown["name"]), width=40)
    axes.xaxis.set_major_formatter(share_axis())
    axes.margins(x=0.04)
    axes.set_xlabel(label)
    grid(axes, "x")


def _draw_years(axes: Axes, slices: pd.DataFrame, overall: float | None, label: str, by: str) -> None:
    ordered = slices.assign(year=slices["name"].astype("int64")).sort_values("year", kind="stable")
    low, high = ordered["low"].fillna(ordered["value"]), ordered["high"].fillna(ordered["value"])
    if overall is not None:
        axes.axhline(overall, color=AMBER, linewidth=1.2)
    axes.vlines(ordered["year"], low, high, color=LIGHT_BLUE, linewidth=4)
    axes.plot(ordered["year"], ordered["value"], "o-", color=BLUE, markersize=4, linewidth=0.9)
    axes.yaxis.set_major_formatter(share_axis())
    axes.locator_params(axis="x", integer=True, nbins=min(12, max(2, len(ordered))))
    axes.set_ylabel(label)
    axes.set_xlabel(by)
    axes.margins(y=0.08)
    grid(axes, "y")


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    is_share: bool
    is_date: bool = False
    is_log: bool = False

    def place(self, value: float) -> float:
        if self.is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
            return min(1.0, share)
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def write(self, value: float) -> str:
        if self.is_date:
            return format_day(value)
        return format_share(value).replace(".0 %", " %") if self.is_share else format_number(value)


@house_style
def gate_values(gates: pd.DataFrame, limits: Mapping[str, Gate], *, source: str = "table gates") -> Chart:
    """Draw each gate's value in the zones its thresholds make.

    Parameters
    ----------
    gates : pandas.DataFrame
        Of the contract GATES.
    limits
        The gates as declared, by name, as in `params.quality.gates`.
    source
        Where the verdicts come from, for the caption.

    Returns
    -------
    Chart
        One bar per gate, each on its own scale, with its failing, warning and passing zones and a mark at the
        value.
    """
    if gates.empty:
        return nothing("no gates", source=source)
    scales = {gate.gate: _limits_of(gate, limits.get(gate.gate)) for gate in rows_of(gates)}
    # Where nothing is known to hold a value against, there is nothing to draw.
    drawn = gates[[gate.verdict != "unknown" or scales[gate.gate] is not None for gate in rows_of(gates)]]
    if drawn.empty:
        return nothing("no gate has a verdict yet", source=source)
    figure = new_figure(0.3 + 0.5 * len(drawn))
    axes = figure.subplots()
    for row, gate in enumerate(rows_of(drawn)):
        _draw_gate(axes, row, gate, scales[gate.gate])
    label_rows(axes, list(drawn["gate"].str.replace("_", " ")), width=30)
    axes.set_xlim(-0.01, 1.01)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return finish(
        figure,
        _gates_title(gates),
        "Each gate's value (mark) on its own scale; zones: red fails, yellow warns, green passes",
        alt="; ".join(f"{gate.gate} {gate.verdict}" for gate in rows_of(gates)),
        n=f"{len(gates)} gates",
        source=source,
    )


def _limits_of(gate: Any, limit: Gate | None) -> Gate | None:
    """Give the limits to draw: where a gate has none of its own, the band of the accepted runs."""
    if limit is None:
        return None
    own = (limit.warn_below, limit.fail_below, limit.warn_above, limit.fail_above)
    if any(mark is not None for mark in own):
        return limit
    low, high = (None if pd.isna(end) else float(end) for end in (gate.band_low, gate.band_high))
    if low is None and high is None:
        return None
    kind = "fail" if gate.verdict == "fail" else "warn"
    return limit.model_copy(update={f"{kind}_below": low, f"{kind}_above": high})


def _gates_title(gates: pd.DataFrame) -> str:
    named = {verdict: list(gates.loc[gates["verdict"] == verdict, "gate"]) for verdict in _VERDICT_WORDS}
    if len(named["pass"]) == len(gates):
        return f"All {len(gates)} gates passed" if len(gates) > 1 else "The one gate passed"
    told = []
    for verdict, word in _VERDICT_WORDS.items():
        if named[verdict]:
            which = f" ({shorten(readable(', '.join(named[verdict])), 40)})" if verdict != "pass" else ""
            told.append(f"{len(named[verdict])} {word}{which}")
    return f"Of {len(gates)} gates {_listed(told)}" if len(gates) > 1 else f"The one gate {told[0][2:]}"


def _draw_gate(axes: Axes, row: int, gate: Any, limit: Gate | None) -> None:
    value, verdict = gate.value, gate.verdict
    if limit is not None:
        marks = [
            m
            for m in (limit.fail_below, limit.warn_below, limit.warn_above, limit.fail_above)
            if m is not None
        ]
        scale = _scale([*marks, value] if pd.notna(value) else marks, limit)
        for low, high, zone in _zones(limit, scale):
            axes.barh(row, high - low, left=low, height=0.42, color=_ZONES[zone])
        for mark in marks:
            axes.annotate(
                scale.write(mark),
                (scale.place(mark), row + 0.23),
                (0, -1),
                textcoords="offset points",
                va="top",
                ha="center",
                size=7,
                color=MUTED,
            )
        if pd.notna(value):
            axes.plot(
                [scale.place(value)] * 2,
                [row - 0.3, row + 0.21],
                color=INK,
                linewidth=3,
                solid_capstyle="butt",
            )
    shown = (
        ("no value" if gate.verdict == "unknown" else "not measured")
        if pd.isna(value)
        else ("no verdict yet" if limit is None else scale.write(value))
    )
    write_at_edge(
        axes,
        f"{_VERDICT_SIGNS[verdict]} {shown}",
        row,
        size=9.5,
        weight="bold",
        color=_VERDICT_TEXT_COLOURS[verdict],
    )


def _scale(values: list[float], limit: Gate) -> _Scale:
    low, high = min(values), max(values)
    is_share = low >= 0 and high <= 1
    if limit.metric.endswith("_date"):
        return _Scale(low - 60, high + 60, is_share, is_date=True)
    if not is_share and low > 0 and high > _WIDE * low:
        return _Scale(low / 4, high * 4, is_share=False, is_log=True)
    span = max(high - low, 0.02 if is_share else abs(high) * 0.2, 1e-9)
    if limit.fail_below is None and low >= 0:
        return _Scale(0.0, max(high * 1.25, 1e-9), is_share)
    top = high + 0.35 * span
    bottom = low - 0.8 * span
    if is_share:
        # Room beyond 100 %, where even that is only just enough, or the passing zone couldn't be seen.
        top = max(1.0, high + 0.12 * span) if limit.fail_above is None else min(1.0, top)
        bottom = max(0.0, bottom)
    return _Scale(bottom, max(top, math.nextafter(bottom, math.inf)), is_share)


def _zones(limit: Gate, scale: _Scale) -> list[tuple[float, float, str]]:
    fail_low = scale.place(limit.fail_below) if limit.fail_below is not None else 0.0
    warn_low = max(fail_low, scale.place(limit.warn_below)) if limit.warn_below is not None else fail_low
    fail_high = scale.place(limit.fail_above) if limit.fail_above is not None else 1.0
    warn_high = min(fail_high, scale.place(limit.warn_above)) if limit.warn_above is not None else fail_high
    zones = [(0.0, fail_low, "fail"), (fail_low, warn_low, "warn"), (warn_low, warn_high, "pass")]
    zones += [(warn_high, fail_high, "warn"), (fail_high, 1.0, "fail")]
    return [zone for zone in zones if zone[1] > zone[0]]


@house_style
def metric_trends(
    history: pd.DataFrame, *, gates: pd.DataFrame | None = None, source: str = "history of runs"
) -> Chart:
    """Draw the metrics from run to run.

    Parameters
    ----------
    history : pandas.DataFrame
        One row per run and metric with `run_id`, `metric` and `value`, and `created` (seconds since 1970) to
        order the runs by; without it they are taken in the order of their first row.
    gates : pandas.DataFrame, optional
        Of the contract GATES; the band that the accepted runs let pass is drawn where one compares.
    source
        Where the history comes from, for the caption.

    Returns
    -------
    Chart
        One small panel per metric; when there is only one run, words that say so.
    """
    known = history[history["value"].notna()]
    if known.empty:
        return nothing("no metrics of any run", source=source)
    if "created" in known:
        known = known.sort_values(["created", "run_id"], kind="stable")
    runs = {run: place for place, run in enumerate(known["run_id"].unique(), start=1)}
    if len(runs) < 2:
        return say(
            "First run: no trend yet", "Metrics are drawn from run to run, once there are two", source=source
        )
    known = known.assign(run=known["run_id"].map(runs)).drop_duplicates(["metric", "run"], keep="last")
    names = sorted(known["metric"].unique())
    rows = math.ceil(len(names) / _COLUMNS)
    figure = new_figure(0.35 + 1.45 * rows)
    figure.supxlabel("run, oldest first", size=9, color=MUTED)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    changes: dict[str, float] = {}
    for axes, name in zip(panels, names, strict=False):
        line = known[known["metric"] == name]
        write, axis = _manner(name, line["value"])
        axes.plot(line["run"], line["value"], "o-", color=BLUE, markersize=3.2, linewidth=1.2)
        _draw_band(axes, name, gates)
        last = float(line["value"].iloc[-1])
        axes.set_title(f"{shorten(readable(name), 30)}\n{write(last)}", loc="left", color=INK, size=8.5)
        axes.yaxis.set_major_formatter(axis)
        axes.locator_params(axis="y", nbins=4)
        axes.margins(y=0.25)
        grid(axes, "y")
        if len(line) > 1:
            changes[name] = abs(last - float(line["value"].iloc[-2])) / max(abs(last), 1e-12)
        axes.set_xlim(0.5, len(runs) + 0.5)
        axes.locator_params(axis="x", integer=True, nbins=6)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    return finish(
        figure,
        _change_title(known, changes),
        "Each metric from run to run, the latest in its heading; green: what the accepted runs let pass",
        alt=f"{len(names)} metrics over {len(runs)} runs.",
        n=f"{len(runs)} runs",
        source=source,
    )


def _draw_band(axes: Axes, metric: str, gates: pd.DataFrame | None) -> None:
    if gates is None:
        return
    chosen = gates[(gates["metric"] == metric) & (gates["slice"] == "all") & gates["baseline"].notna()]
    for gate in rows_of(chosen.head(1)):
        for end in (gate.band_low, gate.band_high):
            if pd.notna(end):
                axes.axhspan(min(end, gate.baseline), max(end, gate.baseline), color=_ZONES["pass"], zorder=0)


def _manner(name: str, values: pd.Series[float]) -> tuple[Callable[[float], str], FuncFormatter]:
    if name.endswith("_usd"):
        return format_large_usd, usd_axis()
    if values.between(0, 1).all():
        return format_share, share_axis()
    return format_number, FuncFormatter(lambda value, _: format_number(value))


def _change_title(known: pd.DataFrame, changes: dict[str, float]) -> str:
    moved = {name: change for name, change in changes.items() if change > 1e-9}
    if not moved:
        return "No metric changed since the run before"
    most = max(sorted(moved), key=lambda name: moved[name])
    values = known.loc[known["metric"] == most, "value"]
    write, _ = _manner(most, values)
    before, now = values.iloc[-2:]
    return f"Since the run before, {readable(most)} moved most: from {write(before)} to {write(now)}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
