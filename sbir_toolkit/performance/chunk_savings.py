"""What a stage that works in chunks would save by other chunks or other workers.

Words: the *window* reaches from the start of a stage's first chunk to the end of its last; a worker's *tail*
is the time from the end of its last chunk to the end of the window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sbir_toolkit.performance.savings import RunTimes, Saving

# A line through fewer chunks says nothing; with fewer for each worker some stand idle at the end.
_LEAST_CHUNKS = 8
_CHUNKS_PER_WORKER = 4
_SLACK_S = 0.5


@dataclass(frozen=True)
class _Window:
    """The chunks of one stage, with their window in seconds."""

    stage: str
    chunks: pd.DataFrame
    workers: int
    elapsed_s: float
    busy_s: float
    tail_s: float

    @classmethod
    def of(cls, stage: str, chunks: pd.DataFrame) -> _Window:
        end = float(chunks["ended"].max())
        last = chunks.groupby("worker")["ended"].max()
        return cls(
            stage=stage,
            chunks=chunks,
            workers=len(last),
            elapsed_s=end - float(chunks["started"].min()),
            busy_s=float(chunks["elapsed_s"].sum()),
            tail_s=float((end - last).sum()),
        )

    @property
    def longest_s(self) -> float:
        return float(self.chunks["elapsed_s"].max())


def find_chunk_savings(
    times: RunTimes, chunks: pd.DataFrame, run: Mapping[str, Any]
) -> tuple[list[Saving], list[str]]:
    """Apply the rules that look at chunks; give the savings, and what can't be said."""
    savings: list[Saving] = []
    cores = (run.get("environment") or {}).get("cores")
    for stage, (start_s, _) in times.spans.items():
        started = float(run["created"]) + start_s
        own = chunks[(chunks["stage"] == stage) & (chunks["started"] >= started - _SLACK_S)]
        if own.empty:
            continue
        window = _Window.of(stage, own)
        found = [_fixed_cost(window), _idle_end(window)]
        if cores and cores > 1:
            found.append(_more_workers(window, cores, times.cpu_s.get(stage)))
            found.append(_waiting(window, cores, times.cpu_s.get(stage)))
        # The size of the chunks can be changed one way only, so of those two the better one stands.
        sized = max(found[:2], key=lambda saving: saving.saved_s)
        for saving in (sized, *found[2:]):
            most = min(saving.saved_s, times.alone_s(stage))
            savings.append(replace(saving, saved_s=most))
    return savings, [] if len(chunks) else ["how work was shared out: no chunks were computed in this run"]


def _fixed_cost(window: _Window) -> Saving:
    """Compute what fewer, larger chunks would save.

    Each chunk's time is a fixed cost plus a cost per row; a straight line through time over rows gives both
    (least squares), and the fixed cost counts only when it is more than twice its standard error. Saved: the
    fixed cost times the chunks beyond four for each worker, over the workers.
    """
    rows, elapsed_s = window.chunks["rows"].to_numpy(), window.chunks["elapsed_s"].to_numpy()
    count, spare = len(rows), len(rows) - _CHUNKS_PER_WORKER * window.workers
    fixed_s, error_s = _intercept(rows, elapsed_s) if count >= _LEAST_CHUNKS else (0.0, math.inf)
    is_sure = fixed_s > 2 * error_s
    evidence = (
        f"{count} chunks on {window.workers} worker(s); each costs {fixed_s:.3g} s (+- {2 * error_s:.2g}) "
        "whatever its rows"
    )
    return Saving(
        change="Make fewer, larger chunks (compute.chunk_companies), as far as memory allows",
        where=window.stage,
        saved_s=fixed_s * max(0, spare) / window.workers if is_sure else 0.0,
        evidence=evidence,
        confidence="high" if fixed_s > 5 * error_s else "medium",
        settings=(f"compute.chunk_companies={math.ceil(rows.sum() / (count - spare))}",) if spare > 0 else (),
    )


def _idle_end(window: _Window) -> Saving:
    """Compute what smaller chunks would save. Saved: the workers' tails, spread evenly over all workers."""
    saved_s = window.tail_s / window.workers
    return Saving(
        change="Make smaller chunks (compute.chunk_companies), so that the workers end together",
        where=window.stage,
        saved_s=saved_s,
        evidence=f"at the end, {window.workers} workers stood idle for {window.tail_s:.1f} s altogether; "
        f"the longest chunk took {window.longest_s:.1f} s",
        confidence="medium",
        settings=(f"compute.chunk_companies={max(1, int(window.chunks['rows'].max()) // 2)}",),
    )


def _more_workers(window: _Window, cores: int, cpu_s: float | None) -> Saving:
    """Compute what a worker for each core would save.

    The window can't be shorter than its chunks' time over the cores, the stage's CPU time over the cores, or
    the longest chunk. Saved: the window less the largest of these.
    """
    least_s = max(window.busy_s / cores, (cpu_s or 0.0) / cores, window.longest_s)
    return Saving(
        change=f"Let {cores} workers compute chunks, one for each core (compute.workers)",
        where=window.stage,
        saved_s=window.elapsed_s - least_s if window.workers < cores else 0.0,
        evidence=f"{window.workers} worker(s) took {window.elapsed_s:.1f} s for chunks of "
        f"{window.busy_s:.1f} s altogether; the machine has {cores} cores",
        confidence="medium" if cpu_s is not None else "low",
        settings=(f"compute.workers={cores}",),
    )


def _waiting(window: _Window, cores: int, cpu_s: float | None) -> Saving:
    """Compute what workers that don't wait would save.

    With enough workers the window can't be shorter than the stage's CPU time over the workers, or the longest
    chunk. Saved: the window less the larger of these and less the tails (which are another rule's).
    """
    is_parallel = 1 < window.workers <= cores and cpu_s is not None
    least_s = max((cpu_s or 0.0) / window.workers, window.longest_s)
    saved_s = window.elapsed_s - window.tail_s / window.workers - least_s if is_parallel else 0.0
    used = (cpu_s or 0.0) / window.elapsed_s if window.elapsed_s > 0 else 0.0
    return Saving(
        change="Let the workers wait less: try another compute.scheduler, or a faster disk",
        where=window.stage,
        saved_s=saved_s,
        evidence=f"{window.workers} workers kept {used:.1f} cores busy for {window.elapsed_s:.1f} s",
        confidence="low",
        settings=("compute.scheduler=processes",),
    )


def _intercept(rows: np.ndarray[Any, Any], elapsed_s: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Fit time = fixed + cost x rows; give the fixed part and its standard error."""
    count, mean = len(rows), float(rows.mean())
    spread = float(((rows - mean) ** 2).sum())
    if not spread > 0:
        return 0.0, math.inf
    slope = float(((rows - mean) * (elapsed_s - elapsed_s.mean())).sum()) / spread
    fixed = float(elapsed_s.mean()) - slope * mean
    left = float(((elapsed_s - fixed - slope * rows) ** 2).sum()) / (count - 2)
    return fixed, math.sqrt(left * (1 / count + mean * mean / spread))
