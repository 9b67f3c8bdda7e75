"""Charts of the speed: when each stage ran, its memory, how both moved over runs, what would save time."""

from __future__ import annotations

import textwrap
from typing import TypeAlias

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from sbir_toolkit.reports.charts.base import (
    BLUE,
    GREY,
    INK,
    LIGHT_BLUE,
    MUTED,
    RED,
    SERIES_COLOURS,
    Chart,
    bytes_axis,
    finish,
    grid,
    house_style,
    label_rows,
    legend_above,
    new_figure,
    nothing,
    readable,
    rows_of,
    say,
    seconds_axis,
    shorten,
    write_at_edge,
    write_beside,
)
from sbir_toolkit.reports.units import (
    format_bytes,
    format_change,
    format_count,
    format_moment,
    format_seconds,
    format_share,
)

_Fence: TypeAlias = tuple[float, float, float]

OTHERS, REST, PALE = "other phases", "rest of the stage", "#dde3e9"
_NOTICEABLE_SHARE = 0.02
_EVERYWHERE = "all stages"
_CONFIDENCE_COLOURS = {"high": BLUE, "medium": LIGHT_BLUE, "low": GREY}


def split_figures(figures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the measured stages, in the order of their starts, and their phases."""
    known = figures[figures["elapsed_s"].notna()]
    stages = known[known["phase"] == "all"].sort_values(["started_s", "stage"], kind="stable")
    return stages, known[(known["phase"] != "all") & known["stage"].isin(stages["stage"])]


@house_style
def stage_timeline(figures: pd.DataFrame, *, source: str = "table stage_figures") -> Chart:
    """Draw when each stage ran, with its phases.

    Parameters
    ----------
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES.
    source
        Where the figures come from, for the caption.

    Returns
    -------
    Chart
        One row per stage over the seconds since the run's start; the pale bar is the whole stage, the
        coloured ones its phases.
    """
    stages, phases = split_figures(figures)
    if stages.empty:
        return nothing("no stage has been measured", source=source)
    totals = (
        phases.groupby("phase")["elapsed_s"].sum().sort_index().sort_values(ascending=False, kind="stable")
    )
    colours = dict(zip([str(name) for name in totals.index], SERIES_COLOURS[:6], strict=False))
    rows = {str(name): row for row, name in enumerate(stages["stage"])}
    figure = new_figure((1.0 if colours else 0.6) + 0.34 * len(stages))
    axes = figure.subplots()
    for stage in rows_of(stages):
        axes.barh(rows[stage.stage], stage.elapsed_s, left=stage.started_s, height=0.62, color=PALE)
        end = (stage.started_s + stage.elapsed_s, rows[stage.stage])
        write_beside(axes, format_seconds(stage.elapsed_s), end)
    for phase in rows_of(phases.sort_values(["started_s", "stage", "phase"], kind="stable")):
        colour = colours.get(phase.phase, MUTED)
        axes.barh(rows[phase.stage], phase.elapsed_s, left=phase.started_s, height=0.38, color=colour)
    label_rows(axes, [name.replace("_", " ") for name in rows])
    ended_s = float((stages["started_s"] + stages["elapsed_s"]).max())
    axes.set_xlim(min(0.0, float(stages["started_s"].min())), max(ended_s * 1.12, 1e-6))
    axes.set_xlabel("seconds since the run's start")
    grid(axes, "x")
    if colours:
        handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
        handles += [Patch(color=MUTED, label=OTHERS)] if len(totals) > len(colours) else []
        handles += [Patch(color=PALE, label=REST)]
        legend_above(axes, 4, handles)
    longest = stages.iloc[int(stages["elapsed_s"].to_numpy().argmax())]
    total = float(stages["elapsed_s"].sum())
    share = f", {format_share(longest['elapsed_s'] / total)} of all work" if total > 0 else ""
    return finish(
        figure,
        f"{len(stages)} stages in {format_seconds(ended_s)}; longest: {readable(longest['stage'])} "
        f"({format_seconds(longest['elapsed_s'])}{share})",
        "When each stage ran, with its phases",
        alt="; ".join(f"{readable(s.stage)} {format_seconds(s.elapsed_s)}" for s in rows_of(stages)),
        n=f"{len(stages)} stages",
        source=source,
    )


@house_style
def stage_memory(
    figures: pd.DataFrame, samples: pd.DataFrame | None = None, *, source: str = "table stage_figures"
) -> Chart:
    """Draw each stage's peak memory, and the memory over time where it was sampled.

    Parameters
    ----------
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES.
    samples : pandas.DataFrame, optional
        One row per sample with `t_s` (seconds since the run's start), `stage` and `memory_bytes`.
    source
        Where the figures come from, for the caption.

    Returns
    -------
    Chart
        Bars per stage, and below them one line per stage over time.
    """
    stages = figures[(figures["phase"] == "all") & figures["peak_bytes"].notna()]
    stages = stages.sort_values(["started_s", "stage"], kind="stable")
    if stages.empty:
        return nothing("no memory has been sampled", source=source)
    peaks = stages["peak_bytes"].astype("float64")
    highest = stages.iloc[int(peaks.to_numpy().argmax())]
    has_samples = samples is not None and not samples.empty
    bars_in = 0.55 + 0.3 * len(stages)
    figure = new_figure(bars_in + (2.2 if has_samples else 0.0))
    if has_samples:
        upper, lower = figure.subplots(2, 1, height_ratios=[bars_in, 2.2])
    else:
        upper, lower = figure.subplots(), None
    is_highest = stages.index == highest.name
    upper.barh(
        range(len(stages)), peaks, height=0.62, color=[BLUE if top else LIGHT_BLUE for top in is_highest]
    )
    for row, peak in enumerate(peaks):
        write_beside(upper, format_bytes(peak), (peak, row))
    label_rows(upper, [readable(name) for name in stages["stage"]])
    upper.set_xlabel("peak memory of the process tree")
    upper.margins(x=0.12)
    upper.xaxis.set_major_formatter(bytes_axis())
    upper.set_xlim(left=0)
    grid(upper, "x")
    if samples is not None and lower is not None:
        _draw_samples(lower, samples, list(stages["stage"]))
    return finish(
        figure,
        f"Peak memory {format_bytes(float(highest['peak_bytes']))}, in {readable(highest['stage'])}",
        "Peak memory by stage" + (" (above) and memory over time (below)" if has_samples else ""),
        alt="; ".join(f"{readable(s.stage)} {format_bytes(s.peak_bytes)}" for s in rows_of(stages)),
        n=f"{len(stages)} stages"
        + (f", {format_count(len(samples))} samples" if samples is not None else ""),
        source=source,
    )


def _draw_samples(axes: Axes, samples: pd.DataFrame, order: list[str]) -> None:
    ends = 0.0
    for place, stage in enumerate(order):
        line = samples[samples["stage"] == stage].sort_values("t_s", kind="stable")
        if len(line):
            colour = SERIES_COLOURS[place % len(SERIES_COLOURS)]
            axes.fill_between(line["t_s"], 0, line["memory_bytes"], color=colour, alpha=0.25, linewidth=0)
            axes.plot(line["t_s"], line["memory_bytes"], color=colour, linewidth=1.3, label=readable(stage))
            ends = max(ends, float(line["t_s"].max()))
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, max(ends, 1e-6))
    axes.yaxis.set_major_formatter(bytes_axis())
    axes.set_xlabel("seconds since the run's start")
    axes.set_ylabel("memory")
    grid(axes, "y")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=4, handlelength=1.2, columnspacing=1.4
        )


@house_style
def stage_trends(
    trends: pd.DataFrame, verdicts: pd.DataFrame | None = None, *, source: str = "history of runs"
) -> Chart:
    """Draw each stage's time and cost per row from run to run.

    Parameters
    ----------
    trends : pandas.DataFrame
        One row per run and stage with `run_id`, `created` (seconds since 1970), `stage`, `elapsed_s` and
        `cost_s_per_row`.
    verdicts : pandas.DataFrame, optional
        The table of `judge_stages`: the baseline and its fence are drawn, and where a change is confirmed its
        onset is marked with its date and named in the title.
    source
        Where the history comes from, for the caption.

    Returns
    -------
    Chart
        Two small panels per stage, with a line at the baseline and a band from the lower to the upper fence.
        Where nothing is judged yet, line and band are the median and the middle 80 % of the earlier runs.
        When there is only one run, words that say so.
    """
    known = trends[trends["elapsed_s"].notna()].sort_values(["created", "run_id"], kind="stable")
    if known.empty:
        return nothing("no run with these parameters has measured a stage", source=source)
    runs = {run: place for place, run in enumerate(known["run_id"].unique(), start=1)}
    if len(runs) < 2:
        return say(
            "First run: no trend yet", "Stages are drawn from run to run, once there are two", source=source
        )
    known = known.assign(run=known["run_id"].map(runs))
    onsets, fences = _onsets(verdicts, runs), _fences(verdicts)
    stages = list(known["stage"].unique())
    figure = new_figure(0.5 + 1.05 * len(stages))
    panels = figure.subplots(len(stages), 2, squeeze=False, sharex=True)
    for (left, right), stage in zip(panels, stages, strict=True):
        lines = known[known["stage"] == stage]
        fence, onset = fences.get(stage), onsets.get(stage)
        # What is judged is the time per row; of a stage that reads no rows, the time itself.
        rows = float((lines["elapsed_s"] / lines["cost_s_per_row"]).fillna(1.0).iloc[-1])
        whole = (fence[0] * rows, fence[1] * rows, fence[2] * rows) if fence is not None else None
        _draw_trend(left, lines["run"], lines["elapsed_s"], onset, whole)
        if onset is not None:
            began = float(lines.loc[lines["run"] == onset, "created"].iloc[0])
            title = f"{readable(stage)}: since {format_moment(began)}"
            left.set_title(title, loc="left", color=RED, weight="bold", size=8.5)
        else:
            left.set_title(readable(stage), loc="left", color=INK, weight="bold", size=8.5)
        if lines["cost_s_per_row"].notna().any():
            _draw_trend(right, lines["run"], lines["cost_s_per_row"], onset, fence)
            right.set_ylabel("per row")
        else:
            right.set_axis_off()
        left.set_ylabel("time")
    for axes in panels[-1]:
        axes.set_xlabel("run, oldest first")
        axes.set_xlim(0.5, len(runs) + 0.5)
        axes.locator_params(axis="x", integer=True, nbins=8)
    return finish(
        figure,
        _onset_title(verdicts) or _trend_title(known),
        "Time of each stage (left), per row (right); grey line: baseline, band: its noise; red: since when",
        alt=f"{len(stages)} stages over {len(runs)} runs.",
        n=f"{len(runs)} runs",
        source=source,
    )


def _onsets(verdicts: pd.DataFrame | None, runs: dict[str, int]) -> dict[str, int]:
    if verdicts is None:
        return {}
    dated = verdicts[verdicts["onset_run"].isin(runs)]
    # That of the stage's time, or else of what else of it has changed.
    is_else = (dated["phase"] != "all").astype(int) + 2 * (dated["measure"] != "time").astype(int)
    first = dated.loc[is_else.sort_values(kind="stable").index].drop_duplicates("stage")
    return {row.stage: runs[row.onset_run] for row in rows_of(first)}


def _fences(verdicts: pd.DataFrame | None) -> dict[str, _Fence]:
    """Give the lower fence, baseline and upper fence of each stage's time, where one has them."""
    if verdicts is None or "baseline" not in verdicts:
        return {}
    judged = verdicts[(verdicts["phase"] == "all") & (verdicts["measure"] == "time")]
    judged = judged[judged["baseline"].notna()]
    return {row.stage: (row.low, row.baseline, row.high) for row in rows_of(judged)}


def _onset_title(verdicts: pd.DataFrame | None) -> str:
    if verdicts is None:
        return ""
    dated = verdicts[verdicts["onset_run"].notna() & (verdicts["measure"] == "time")]
    if dated.empty:
        return ""
    first = dated.iloc[0]
    where = first["stage"] if first["phase"] == "all" else f"{first['stage']}, {first['phase']}"
    word = "slower" if first["change_share"] > 0 else "faster"
    share = format_change(abs(first["change_share"])).removeprefix("+")
    return f"{readable(where)} {word} by {share} since run {first['onset_run']}"


def _draw_trend(
    axes: Axes,
    runs: pd.Series[int],
    values: pd.Series[float],
    onset: int | None,
    fence: _Fence | None,
) -> None:
    values = values.astype("float64")
    is_known = values.notna()
    runs, values = runs[is_known], values[is_known]
    earlier = values.iloc[:-1]
    if fence is None and len(earlier):
        low, middle, high = earlier.quantile([0.1, 0.5, 0.9])
        fence = low, middle, high
    if fence is not None:
        axes.axhspan(fence[0], fence[2], color="#e9edf1", linewidth=0)
        axes.axhline(fence[1], color=GREY, linewidth=1)
    if onset is not None:
        axes.axvline(onset - 0.5, color=RED, linewidth=1.2)
    axes.plot(runs, values, "-", color=LIGHT_BLUE, linewidth=1.2)
    axes.plot(runs.iloc[:-1], earlier, "o", color=LIGHT_BLUE, markersize=3.2)
    axes.plot(runs.iloc[-1:], values.iloc[-1:], "o", color=BLUE, markersize=5)
    if len(values):
        latest = float(values.iloc[-1])
        write_at_edge(axes, format_seconds(latest), latest)
    axes.set_ylim(0, max(float(values.max()) * 1.25 if len(values) else 0.0, 1e-9))
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(seconds_axis())
    grid(axes, "y")


def _trend_title(known: pd.DataFrame) -> str:
    latest = known["run"].max()
    changes: dict[str, float] = {}
    for stage, lines in known[known["cost_s_per_row"].notna()].groupby("stage"):
        costs = lines["cost_s_per_row"].astype("float64")
        if lines["run"].iloc[-1] == latest and len(costs) > 1 and costs.iloc[:-1].median() > 0:
            changes[str(stage)] = float(costs.iloc[-1] / costs.iloc[:-1].median() - 1)
    if not changes:
        return "No stage of the latest run has an earlier one to compare with"
    most = max(sorted(changes), key=lambda stage: abs(changes[stage]))
    if abs(changes[most]) < _NOTICEABLE_SHARE:
        return "No stage takes noticeably more or less time per row than in the earlier runs"
    word = "more" if changes[most] > 0 else "less"
    return (
        f"Largest change: {readable(most)}, {format_share(abs(changes[most]))} {word} time per row "
        "than the earlier runs"
    )


@house_style
def recommendations_bar(recommendations: pd.DataFrame, *, source: str = "table recommendations") -> Chart:
    """Draw what each recommended change would save.

    Parameters
    ----------
    recommendations : pandas.DataFrame
        Of the contract RECOMMENDATIONS.
    source
        Where the recommendations come from, for the caption.

    Returns
    -------
    Chart
        One bar per change, the largest saving first, coloured by confidence.
    """
    if recommendations.empty:
        return say(
            "Nothing is worth changing", "No change would save enough of the run's time", source=source
        )
    ranked = recommendations.sort_values("rank", kind="stable")
    best = ranked.iloc[0]
    figure = new_figure(0.9 + 0.44 * len(ranked))
    axes = figure.subplots()
    colours = [_CONFIDENCE_COLOURS[name] for name in ranked["confidence"]]
    axes.barh(range(len(ranked)), ranked["saved_s"], height=0.62, color=colours)
    for row, (saved, share) in enumerate(zip(ranked["saved_s"], ranked["saved_share"], strict=True)):
        text = f"{format_seconds(saved)} ({format_share(share)})"
        write_beside(axes, text, (saved, row))
    # One change may be worth making in several places.
    places = ranked["where"].map(lambda where: "" if where == _EVERYWHERE else f": {where}")
    labels = [textwrap.wrap(text, 44) for text in ranked["change"] + places]
    label_rows(axes, ["\n".join(lines[:3]) for lines in labels], width=3 * 45)
    axes.set_xlabel("time saved per run, seconds")
    axes.margins(x=0.25)
    axes.set_xlim(left=0)
    grid(axes, "x")
    present = [name for name in _CONFIDENCE_COLOURS if ranked["confidence"].eq(name).any()]
    handles = [Patch(color=_CONFIDENCE_COLOURS[name], label=f"{name} confidence") for name in present]
    legend_above(axes, 3, handles)
    return finish(
        figure,
        f"Up to {format_seconds(best['saved_s'])} a run ({format_share(best['saved_share'])}) to save: "
        f"{shorten(best['change'], 90)}",
        "Time each change would save, by itself; savings don't simply add up",
        alt="; ".join(f"{change.change}: {format_seconds(change.saved_s)}" for change in rows_of(ranked)),
        n=f"{len(ranked)} recommendations",
        source=source,
    )
