"""Where a run's time went, and what held it up there: the first thing to look at before changing anything.

For each phase that takes at least a twentieth of the run it is said how many cores it kept busy and what kept
it from being faster: all cores were busy, one core was while others stood idle, it queued for a core, it
waited, or it was the start of a notebook. Of each phase its own share of the clock counts, so that all add up
to the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from sbir_toolkit.performance.figures import START_UP

BOTTLENECK_COLUMNS = ("stage", "phase", "elapsed_s", "share", "cores_busy", "held_up_by")
_LEAST_SHARE = 0.05
_ALL, _ONE = 0.85, 0.7


def find_bottlenecks(figures: pd.DataFrame, run: Mapping[str, Any]) -> pd.DataFrame:
    """Find the phases that a run's time went to.

    Parameters
    ----------
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES.
    run
        The run's record.

    Returns
    -------
    pandas.DataFrame
        One row for each phase with at least a twentieth of the time that all stages took, the longest first:
        stage, phase ('rest' is what no phase covers), elapsed_s, share, cores_busy (null where CPU time isn't
        known: at a start and outside all phases), held_up_by.
    """
    stages = figures[figures["phase"] == "all"]
    cores = (run.get("environment") or {}).get("cores") or 1
    whole_s = float(stages["elapsed_s"].sum())
    rows = []
    for stage, elapsed_s, cpu_s in stages[["stage", "elapsed_s", "cpu_s"]].itertuples(index=False, name=None):
        own = figures[(figures["stage"] == stage) & (figures["phase"] != "all")].set_index("phase")
        used = ["cpu_s", "queued_s"]
        in_parts = own.groupby("inside")[used].sum().reindex(own.index)
        own[used] = own[used].sub(in_parts, fill_value=0.0).clip(lower=0)
        rows += [(stage, *row) for row in own[["own_s", *used]].itertuples(name=None)]
        rest_s = max(0.0, elapsed_s - own["own_s"].sum())
        rows.append((stage, "rest", rest_s, math.nan if len(own) else cpu_s, math.nan))
    table = pd.DataFrame(
        [
            (
                stage,
                phase,
                took,
                took / whole_s,
                cpu_s / took,
                _held_up(phase, cpu_s / took, queued_s / took, cores),
            )
            for stage, phase, took, cpu_s, queued_s in rows
            if whole_s > 0 and took >= _LEAST_SHARE * whole_s
        ],
        columns=list(BOTTLENECK_COLUMNS),
    )
    ordered: pd.DataFrame = table.sort_values("elapsed_s", ascending=False, kind="stable", ignore_index=True)
    return ordered


def _held_up(phase: str, busy: float, queueing: float, cores: int) -> str:
    if phase == START_UP:
        return "starting a process and importing libraries"
    if math.isnan(busy):
        return "outside all phases: drawing, writing the notebook and its report"
    if busy >= _ALL * cores:
        return "all cores were busy: only less work or cheaper code helps"
    if queueing >= busy:
        return f"queueing: {busy:.1f} of {cores} cores were to be had; other work, or more threads, took them"
    if busy >= _ONE:
        return f"{busy:.1f} of {cores} cores were busy: the work isn't shared out evenly"
    return f"waiting: {busy:.0%} of one core was busy"
