"""Where one run's time and memory went: its stages, their phases, their chunks.

A run's record knows its stages; its events know what went on inside them. Here both become tidy frames. What
took place in several workers at once is told by the clock on the wall: a phase's time is that during which at
least one worker was in it, so a phase never takes longer than its stage, while its CPU time is that of all
workers together. What a phase has of the clock for itself is told beside it (`nesting`).

Two things are left out on purpose: a stage whose result was reused (it did no work in this run), and events
of an attempt before the one that counts (a resumed run writes into the same file).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from sbir_toolkit.performance.nesting import nest
from sbir_toolkit.tables import STAGE_FIGURES

_Moments: TypeAlias = np.ndarray[Any, Any]

START_UP = "start-up"
CHUNK_COLUMNS = {
    "stage": "str",
    "chunk": "str",
    "worker": "str",
    "rows": "float64",
    "started": "float64",
    "ended": "float64",
    "elapsed_s": "float64",
    "cpu_s": "float64",
}
_USED = ("user_s", "system_s", "queued_s", "minor_faults", "major_faults", "read_bytes", "written_bytes")
_SPAN = ("stage", "phase", "pid", "thread", "started", "elapsed_s", "cpu_s", "rows")
_WORKED = ("done", "failed", "died", "running")
_CLOCK_SLACK_S = 0.5


def measure_run(run: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Put together the figures of a run's stages and phases.

    Parameters
    ----------
    run
        The run's record, as in its `run.json`; it may still be going on.
    events
        Its events; those of kind `phase` and `sample` are used.

    Returns
    -------
    pandas.DataFrame
        Of the contract STAGE_FIGURES: for each stage that worked and has ended, one row with the phase 'all',
        then one for each phase in the order of their starts. The phase 'start-up' is the time from a stage's
        start to its first measured phase: starting a kernel, importing, reading parameters. The stages are in
        the order of their starts.
    """
    events = list(events)
    spans = _frame(events, "phase", [*_SPAN, *_USED])
    samples = _frame(events, "sample", ["stage", "at", "memory_bytes"])
    worked = [
        (name, stage)
        for name, stage in run.get("stages", {}).items()
        if stage.get("status") in _WORKED
        and _is_number(stage.get("started"))
        and _is_number(stage.get("elapsed_s"))
    ]
    rows: list[dict[str, Any]] = []
    for name, stage in sorted(worked, key=lambda item: float(item[1]["started"])):
        counts = spans["started"] >= stage["started"] - _CLOCK_SLACK_S
        own = spans[(spans["stage"] == name) & counts]
        rows.append(_stage_row(name, stage))
        if len(own):
            rows += _phase_rows(name, stage, nest(own), samples[samples["stage"] == name])
    frame = pd.DataFrame(rows, columns=STAGE_FIGURES.names)
    frame["started_s"] = frame["started_s"] - float(run["created"])
    kinds = {"string": "str", "float64": "float64", "int64": "Int64"}
    return frame.astype({column.name: kinds[column.dtype] for column in STAGE_FIGURES.columns})


def chunk_figures(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Read the timings of chunks from a run's events.

    Parameters
    ----------
    events
        The run's events; those of kind `chunk` are used. A chunk that was computed again after an
        interruption counts once, as it was computed last.

    Returns
    -------
    pandas.DataFrame
        One row for each stage and chunk, by stage, start and chunk: stage, chunk, worker (text), rows,
        started and ended (seconds since 1970), elapsed_s, cpu_s (float). The end is when the chunk's event
        was written.
    """
    chunks = _frame(events, "chunk", ["stage", "chunk", "worker", "rows", "at", "elapsed_s", "cpu_s"])
    chunks = chunks.rename(columns={"at": "ended"}).dropna(subset=["ended", "elapsed_s"])
    chunks["started"] = chunks["ended"] - chunks["elapsed_s"]
    last = chunks.drop_duplicates(["stage", "chunk"], keep="last")
    ordered = last.sort_values(["stage", "started", "chunk"], kind="stable").reset_index(drop=True)
    return ordered[list(CHUNK_COLUMNS)].astype(CHUNK_COLUMNS)


def memory_samples(run: Mapping[str, Any], events: list[dict[str, Any]]) -> pd.DataFrame:
    """Put the samples of each stage's process tree into a frame.

    Parameters
    ----------
    run
        The run's record.
    events
        The run's events; those of kind "sample" are used.

    Returns
    -------
    pandas.DataFrame
        One row per sample, in the order of time: `t_s` (seconds after the run's start), `stage`,
        `memory_bytes`.
    """
    began = float(run["created"])
    rows = [
        {"t_s": event["at"] - began, "stage": event["stage"], "memory_bytes": event["memory_bytes"]}
        for event in events
        if event.get("kind") == "sample"
    ]
    frame = pd.DataFrame(rows, columns=["t_s", "stage", "memory_bytes"])
    return frame.sort_values(["t_s", "stage"], kind="stable", ignore_index=True)


def _frame(events: Iterable[Mapping[str, Any]], kind: str, columns: list[str]) -> pd.DataFrame:
    found = [[event.get(column) for column in columns] for event in events if event.get("kind") == kind]
    frame = pd.DataFrame(found, columns=columns)
    texts = ("stage", "phase", "chunk", "worker")
    return frame.astype({column: "str" if column in texts else "float64" for column in columns})


def _stage_row(name: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    rows, elapsed_s = stage.get("rows_in"), float(stage["elapsed_s"])
    return {
        "stage": name,
        "phase": "all",
        "started_s": stage["started"],
        "elapsed_s": elapsed_s,
        "cpu_s": stage.get("cpu_s"),
        "peak_bytes": stage.get("peak_bytes"),
        "rows": rows,
        "rows_per_s": rows / elapsed_s if rows is not None and elapsed_s > 0 else None,
        **{name: stage.get(name) for name in _USED},
    }


def _phase_rows(
    name: str, stage: Mapping[str, Any], spans: pd.DataFrame, samples: pd.DataFrame
) -> list[dict[str, Any]]:
    rows = []
    first = float(spans["started"].iloc[0])
    if first > stage["started"]:
        start_up = {
            "elapsed_s": first - stage["started"],
            "own_s": first - stage["started"],
            "peak_bytes": _peak(samples, stage["started"], first),
        }
        rows.append({"stage": name, "phase": START_UP, "started_s": stage["started"], **start_up})
    times = {
        str(phase): (own["started"].to_numpy(), (own["started"] + own["elapsed_s"]).to_numpy())
        for phase, own in spans.groupby("phase", sort=False)
    }
    for phase, (starts, ends) in times.items():
        of_phase = spans[spans["phase"] == phase]
        elapsed_s = _covered(starts, ends)
        worked_on = of_phase["rows"].sum(min_count=1)
        rows.append(
            {
                "stage": name,
                "phase": phase,
                "started_s": starts[0],
                "elapsed_s": elapsed_s,
                "cpu_s": of_phase["cpu_s"].sum(min_count=1),
                "peak_bytes": _peak(samples, starts[0], ends.max()),
                "rows": worked_on,
                "rows_per_s": worked_on / elapsed_s if elapsed_s > 0 else None,
                **{name: of_phase[name].sum(min_count=1) for name in _USED},
                "own_s": of_phase["own_s"].sum(),
                "inside": of_phase["inside"].iloc[0],
            }
        )
    return rows


def _covered(starts: _Moments, ends: _Moments) -> float:
    """Length of the union of intervals that are sorted by their starts."""
    reached = np.maximum.accumulate(ends)
    before = np.concatenate([[-np.inf], reached[:-1]])
    return float(np.clip(ends - np.maximum(starts, before), 0, None).sum())


def _peak(samples: pd.DataFrame, start: float, end: float) -> float | None:
    inside = samples.loc[samples["at"].between(start, end), "memory_bytes"]
    return float(inside.max()) if len(inside) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
