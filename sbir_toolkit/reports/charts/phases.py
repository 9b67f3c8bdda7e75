"""Charts of what stages' time is made of, in this run and from run to run: which phase grew, and when."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.patches import Patch

from sbir_toolkit.reports.charts.base import (
    GREY,
    RED,
    SERIES_COLOURS,
    Chart,
    finish,
    grid,
    house_style,
    label_rows,
    legend_above,
    new_figure,
    nothing,
    readable,
    say,
    seconds_axis,
    write_beside,
)
from sbir_toolkit.reports.charts.stages import OTHERS, PALE, REST, split_figures
from sbir_toolkit.reports.units import format_seconds, format_share

_SHOWN_PHASES = 6
_SHOWN_RUNS = 60
_PLACES = {OTHERS: "in short phases", REST: "outside the phases: charts, notebooks, reports"}


@house_style
def stage_parts(figures: pd.DataFrame, *, source: str = "table stage_figures") -> Chart:
    """Draw what each stage's time is made of, as a stack of what its phases have of the clock for themselves.

    Parameters
    ----------
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES.
    source
        Where the figures come from, for the caption.

    Returns
    -------
    Chart
        One bar per stage in the order of their starts; the pieces of a bar add up to its stage.
    """
    stages, phases = split_figures(figures)
    if stages.empty:
        return nothing("no stage has been measured", source=source)
    whole = stages.set_index("stage")["elapsed_s"].astype("float64")
    parts = phases.pivot_table("own_s", "stage", "phase", "sum", fill_value=0.0).reindex(
        whole.index, fill_value=0.0
    )
    by_size = parts.sum().sort_index().sort_values(ascending=False, kind="stable").index
    shown, others = list(by_size[:_SHOWN_PHASES]), list(by_size[_SHOWN_PHASES:])
    drawn = parts[shown].astype("float64")
    if others:
        drawn[OTHERS] = parts[others].sum(axis=1)
    drawn[REST] = (whole - drawn.sum(axis=1)).clip(lower=0)
    colours = dict(zip(shown, SERIES_COLOURS, strict=False)) | {OTHERS: "#7d8894", REST: PALE}
    figure = new_figure(1.0 + 0.34 * len(whole))
    axes = figure.subplots()
    left = pd.Series(0.0, index=whole.index)
    for phase in drawn.columns:
        axes.barh(range(len(whole)), drawn[phase], left=left, height=0.62, color=colours[phase])
        left += drawn[phase]
    for row, took in enumerate(whole):
        write_beside(axes, format_seconds(took), (float(left.iloc[row]), row))
    label_rows(axes, [readable(stage) for stage in whole.index])
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel("time of the stage")
    axes.xaxis.set_major_formatter(seconds_axis())
    grid(axes, "x")
    legend_above(axes, 4, [Patch(color=colours[name], label=name) for name in drawn.columns])
    sums = drawn.sum()
    largest = str(sums.idxmax())
    return finish(
        figure,
        f"{format_share(float(sums.max() / whole.sum()))} of all work is {_PLACES.get(largest, largest)}",
        "What each stage's time is made of; a phase inside another counts for itself",
        alt="; ".join(f"{phase} {format_seconds(took)}" for phase, took in sums.items()),
        n=f"{len(whole)} stages",
        source=source,
    )


@house_style
def phase_trends(
    parts: pd.DataFrame, verdicts: pd.DataFrame | None = None, *, source: str = "history of runs"
) -> Chart:
    """Draw what one stage's time is made of, from run to run, as a stack of its phases.

    Parameters
    ----------
    parts : pandas.DataFrame
        From `phase_trend_frame`: run_id, created, stage, phase, elapsed_s.
    verdicts : pandas.DataFrame, optional
        The table of `judge_stages`: the stage with a confirmed change of time or CPU time is drawn, with its
        onset; where nothing is confirmed, the one most suspected.
    source
        Where the history comes from, for the caption.

    Returns
    -------
    Chart
        One bar per run, the oldest at the left, of the stage that changed, or else took longest in the latest
        run. Words where there is only one run.
    """
    parts = parts[parts["elapsed_s"].notna()]
    if parts.empty:
        return nothing("no run with these parameters has measured a stage", source=source)
    change = _change(verdicts, parts)
    latest = parts[parts["run_id"] == parts["run_id"].iloc[-1]]
    stage = str(
        change["stage"] if change is not None else latest.groupby("stage")["elapsed_s"].sum().idxmax()
    )
    own = parts[parts["stage"] == stage]
    table = own.pivot_table("elapsed_s", "run_id", "phase", "sum", fill_value=0.0, sort=False)
    table = table.tail(_SHOWN_RUNS)
    if len(table) < 2:
        return say("First run: nothing to stack", "Phases are drawn from run to run", source=source)
    onset = (
        list(table.index).index(change["onset_run"])
        if change is not None and change["onset_run"] in table.index
        else -1
    )
    moved = _moved(table, onset if onset > 0 else len(table) - 1)
    table = _pooled(table, moved)
    named = [str(name) for name in reversed(table.columns) if name not in (OTHERS, REST)]
    colours = dict(zip(named, SERIES_COLOURS, strict=False)) | {OTHERS: PALE, REST: GREY}
    figure = new_figure(2.6)
    axes = figure.subplots()
    below = pd.Series(0.0, index=table.index)
    places = range(1, len(table) + 1)
    for phase in table.columns:
        axes.bar(places, table[phase], bottom=below, width=0.8, color=colours[phase])
        below += table[phase]
    if onset > 0:
        axes.axvline(onset + 0.5, color=RED, linewidth=1.2)
    axes.set_xlim(0.4, len(table) + 0.6)
    axes.locator_params(axis="x", integer=True, nbins=10)
    axes.set_xlabel("run, oldest first")
    axes.yaxis.set_major_formatter(seconds_axis())
    grid(axes, "y")
    legend_above(axes, 4, [Patch(color=colours[name], label=name) for name in table.columns])
    return finish(
        figure,
        _title(stage, moved, below, onset),
        f"What {readable(stage)} is made of in each run" + ("; red: onset" if onset > 0 else ""),
        alt="; ".join(f"{phase} {step:+.2g} s" for phase, step in moved.items()),
        n=f"{len(table)} runs",
        source=source,
    )


def _change(verdicts: pd.DataFrame | None, parts: pd.DataFrame) -> dict[str, Any] | None:
    """Find the stage with the largest confirmed change of time or CPU time, or else the most suspected."""
    if verdicts is None:
        return None
    dated = verdicts[
        (verdicts["phase"] == "all")
        & verdicts["measure"].isin(["time", "cpu"])
        & verdicts["onset_run"].isin(parts["run_id"])
        & verdicts["stage"].isin(parts["stage"])
    ]
    if dated.empty and "verdict" in verdicts:
        dated = verdicts[(verdicts["verdict"] == "suspect") & verdicts["stage"].isin(parts["stage"])]
    ranked = dated.sort_values("change_share", key=abs, ascending=False, kind="stable")
    return None if ranked.empty else {str(name): value for name, value in ranked.iloc[0].items()}


def _moved(table: pd.DataFrame, onset: int) -> pd.Series[float]:
    """Give how many seconds each phase took more since the onset, the largest change first."""
    steps = table.iloc[onset:].median() - table.iloc[:onset].median()
    return steps.sort_values(key=lambda step: -step.abs(), kind="stable")


def _pooled(table: pd.DataFrame, moved: pd.Series[float]) -> pd.DataFrame:
    """Keep the phases that moved or count most; pool the others. What moved most stands on top."""
    named = [name for name in moved.index if name != REST]
    longest = table[named].median().sort_values(ascending=False, kind="stable").index
    shown = list(dict.fromkeys([*named[:2], *longest]))[:_SHOWN_PHASES]
    others = [name for name in named if name not in shown]
    pooled = table[list(reversed(shown))].copy()
    if others:
        pooled.insert(0, OTHERS, table[others].sum(axis=1))
    if REST in table:
        pooled.insert(0, REST, table[REST])
    return pooled


def _title(stage: str, moved: pd.Series[float], whole: pd.Series[float], onset: int) -> str:
    if onset <= 0:
        return f"{readable(stage)}: {format_seconds(float(whole.iloc[-1]))} in the latest run"
    total_s = float(whole.iloc[onset:].median() - whole.iloc[:onset].median())
    phase, step_s = str(moved.index[0]), float(moved.iloc[0])
    share = f", {format_share(min(1.0, step_s / total_s))} of it in {phase}" if step_s * total_s > 0 else ""
    word = "longer" if total_s > 0 else "less"
    return (
        f"{readable(stage)} takes {format_seconds(abs(total_s))} {word} since run {whole.index[onset]}{share}"
    )
