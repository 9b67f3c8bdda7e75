"""What a workload cost before on a machine, and which of its repeats count as its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.sides import Repeat

_FLAGGED = ("regression", "improvement", "suspect")


@dataclass
class Baseline:
    """What a workload cost before, as the history keeps it.

    Attributes
    ----------
    repeats : list of Repeat
        The oldest first.
    accepted : dict
        By identity of a change: since when what was measured counts (seconds since 1970).
    flagged : frozenset of str
        Benchmarks that found a change; what they measured counts only once it was accepted.
    """

    repeats: list[Repeat] = field(default_factory=list)
    accepted: Mapping[str, float] = field(default_factory=dict)
    flagged: frozenset[str] = frozenset()

    def pick(self, identity: str, most: int) -> list[int]:
        """Say which repeats are the baseline of one measure: the first ones, unless a change was accepted."""
        since = self.accepted.get(identity, 0.0)
        counts = [
            at
            for at, repeat in enumerate(self.repeats)
            if repeat.record["created"] >= since and (since or repeat.record["benchmark"] not in self.flagged)
        ]
        return counts[:most]


def stored_baseline(history: History, name: str, machine: str) -> Baseline:
    """Read what a workload cost before on a machine."""
    runs, benchmarks, accepted = history.runs(), history.benchmarks(), history.accepted()
    own = runs[(runs["name"] == name) & (runs["machine"] == machine)]
    stages, phases = history.stages(), history.phases()
    columns = ["run_id", "stage", "phase", "elapsed_s", "cpu_s", "peak_bytes", "read_bytes", "written_bytes"]
    figures = pd.concat([stages.assign(phase="all")[columns], phases[columns]])
    by_run = dict(list(figures[figures["run_id"].isin(own["run_id"])].groupby("run_id", sort=False)))
    ours = accepted[(accepted["name"] == name) & (accepted["machine"] == machine)]
    return Baseline(
        [
            Repeat({str(k): v for k, v in row.items()}, by_run[row["run_id"]])
            for row in own.to_dict("records")
        ],
        dict(zip(ours["regression"], ours["since"], strict=True)),
        frozenset(benchmarks.loc[benchmarks["verdict"].isin(_FLAGGED), "benchmark"]),
    )
