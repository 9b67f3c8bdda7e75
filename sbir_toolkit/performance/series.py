"""Series: what a stage or a phase has cost from run to run, like with like.

Two runs of a stage are comparable when they ran under parameters of one name, on one machine, did the same
*kind* of work and about as much of it. The kind is the set of phases that a stage went through: one that
built an index went through phases that one with the index at hand didn't, and what was kept in a cache
leaves no phase behind. Libraries, parameters, code and input content may differ: they may be the cause of a
change and must not hide it.

Costs are figures over the work done: seconds per row, bytes moved per row; peak memory stands by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sbir_toolkit.params import Performance
from sbir_toolkit.performance.figures import START_UP
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.schema import describe_machine

MEASURES = ("time", "cpu", "memory", "io")
IDENTITIES = {"time": "slowdown", "cpu": "cpu_growth", "memory": "memory_growth", "io": "io_growth"}
_FIGURES = {"time": "elapsed_s", "cpu": "cpu_s", "memory": "peak_bytes", "io": "io_bytes"}
_COLUMNS = (
    "run_id",
    "created",
    "name",
    "machine",
    "calibration_s",
    "stage",
    "phase",
    "kind",
    "rows",
    "elapsed_s",
    "cpu_s",
    "peak_bytes",
    "io_bytes",
)
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 24
_NUMBERS = ("created", "calibration_s", "rows", "elapsed_s", "cpu_s", "peak_bytes", "io_bytes")


@dataclass(frozen=True)
class Series:
    """The costs of one stage or phase in one measure, the oldest run first.

    Attributes
    ----------
    values : list of float
        Costs; those of the machine's own drift are taken out where that makes them scatter less.
    raw : list of float
        The costs as measured.
    run_ids : list of str
        Their runs; the last one is the run that is judged.
    created : list of float
        When these runs were created.
    is_calibrated : bool
        Whether the machine's drift was taken out.
    not_alike : dict of str to int
        How many other runs of the stage aren't comparable, by reason.
    """

    values: list[float]
    raw: list[float]
    run_ids: list[str]
    created: list[float]
    is_calibrated: bool
    not_alike: dict[str, int]


def observe(history: History, run: Mapping[str, Any], figures: pd.DataFrame) -> pd.DataFrame:
    """Put together what every stage and phase has cost in every run, with the run that is judged.

    Parameters
    ----------
    history
        It may know the run already.
    run
        The record of the run that is judged.
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES, of that run.

    Returns
    -------
    pandas.DataFrame
        One row for each run, stage and phase ('all' for the stage itself).
    """
    stages, phases = history.stages(), history.phases()
    stages = stages[(stages["status"] == "done") & (stages["run_id"] != run["run_id"])]
    phases = phases[phases["run_id"] != run["run_id"]]
    moved = stages["read_bytes"].fillna(0) + stages["written_bytes"].fillna(0)
    of_stages = stages.assign(phase="all", rows=stages["rows_in"], io_bytes=moved)
    of_phases = phases.assign(io_bytes=np.nan)
    before = pd.concat([of_stages.assign(kind=""), of_phases.assign(kind="")])[list(_COLUMNS)]
    everything = pd.concat(
        [before.astype(_dtypes()), _own(run, figures).astype(_dtypes())], ignore_index=True
    )
    kinds: dict[tuple[str, str], set[str]] = {}
    for run_id, stage, phase in everything[["run_id", "stage", "phase"]].itertuples(index=False, name=None):
        kinds.setdefault((run_id, stage), set()).update({phase} - {"all", START_UP})
    keys = zip(everything["run_id"], everything["stage"], strict=True)
    everything["kind"] = [", ".join(sorted(kinds[key])) for key in keys]
    ordered: pd.DataFrame = everything.sort_values(["created", "run_id"], kind="stable", ignore_index=True)
    return ordered


def pick_series(
    seen: pd.DataFrame,
    own: Any,
    measure: str,
    performance: Performance,
    *,
    since: float = 0.0,
) -> Series:
    """Pick the costs that are comparable with one row of what was observed.

    Parameters
    ----------
    seen : pandas.DataFrame
        From `observe`.
    own
        The row that is judged, as a tuple with names.
    measure
        time, cpu, memory or io.
    performance
        `max_rows_difference` decides what is about as much work.
    since
        Runs created before don't count: a change was accepted then.
    """
    same = seen[
        (seen["stage"] == own.stage) & (seen["phase"] == own.phase) & (seen["created"] <= own.created)
    ]
    own_rows = 0.0 if np.isnan(own.rows) else own.rows
    is_near = (same["rows"].fillna(0) - own_rows).abs() <= performance.max_rows_difference * own_rows
    tests = {
        "under other parameters' names": same["name"] != own.name,
        "on another machine": same["machine"] != own.machine,
        "of another kind of work": same["kind"] != own.kind,
        "with another number of rows": ~is_near,
        "before the accepted change": same["created"] < since,
    }
    is_out = pd.Series(data=False, index=same.index)
    not_alike = {}
    for reason, fails in tests.items():
        not_alike[reason] = int((fails & ~is_out).sum())
        is_out |= fails
    alike = same[~is_out]
    figure = alike[_FIGURES[measure]]
    cost = figure if measure == "memory" else figure / alike["rows"].where(alike["rows"] > 0, 1.0)
    alike, cost = alike[cost > 0], cost[cost > 0]
    values, is_calibrated = _without_drift(cost, alike["calibration_s"], measure)
    return Series(
        values=values,
        raw=cost.tolist(),
        run_ids=alike["run_id"].tolist(),
        created=alike["created"].tolist(),
        is_calibrated=is_calibrated,
        not_alike={reason: count for reason, count in not_alike.items() if count},
    )


def sketch(values: Sequence[float]) -> str:
    """Draw the last of some costs as a line of bars, from the lowest to the highest of them.

    Examples
    --------
    >>> sketch([1.0, 1.02, 0.98, 1.3, 1.32])
    '▁▁▁██'
    """
    shown = values[-_SHOWN:]
    low, high = min(shown), max(shown)
    step = (high - low) / len(_BARS) or 1.0
    return "".join(_BARS[min(int((value - low) / step), len(_BARS) - 1)] for value in shown)


def _without_drift(
    cost: pd.Series[float], machine: pd.Series[float], measure: str
) -> tuple[list[float], bool]:
    if measure not in ("time", "cpu") or len(cost) < 3 or not (machine > 0).all():
        return cost.tolist(), False
    adjusted = cost / machine * machine.median()
    if _scatter(adjusted) > _scatter(cost):
        return cost.tolist(), False
    return adjusted.tolist(), True


def _scatter(values: pd.Series[float]) -> float:
    # From one run to the next, so that a lasting change counts once and drift doesn't hide it.
    steps = np.diff(np.log(values.to_numpy()))
    return float(np.median(np.abs(steps)))


def _own(run: Mapping[str, Any], figures: pd.DataFrame) -> pd.DataFrame:
    stages = run.get("stages", {})
    finished = [name for name, facts in stages.items() if facts.get("status") == "done"]
    done = figures[figures["stage"].isin(finished)]
    moved = [
        (stages[stage].get("read_bytes") or 0) + (stages[stage].get("written_bytes") or 0)
        if phase == "all"
        else np.nan
        for stage, phase in zip(done["stage"], done["phase"], strict=True)
    ]
    return done.assign(
        run_id=run["run_id"],
        created=run["created"],
        name=run.get("name"),
        machine=describe_machine(run.get("environment") or {}),
        calibration_s=run.get("calibration_s"),
        kind="",
        io_bytes=moved,
    )[list(_COLUMNS)]


def _dtypes() -> dict[str, str]:
    return {column: "float64" if column in _NUMBERS else "str" for column in _COLUMNS}
