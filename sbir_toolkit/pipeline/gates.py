"""Carrying out what the quality gates decide.

`quality` judges and says what should follow; here it follows. The verdict is worked out from the stored
metrics and the history that was stored beside them, not from what a notebook displayed, so a result that is
reused is judged just like one that was just made, and always alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sbir_toolkit.params import Gate, Params
from sbir_toolkit.pipeline.stages import Stage
from sbir_toolkit.quality import Decision, GateReport, decide, evaluate_gates


@dataclass(frozen=True)
class Hindrance:
    """Why a stage may not run: as what it ends (blocked or skipped), in words, and by which gates."""

    status: str
    reason: str
    gates: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """The gates' verdicts and what follows from them for each stage."""

    report: GateReport
    decision: Decision
    gates: Mapping[str, Gate]

    def hindrance(self, stage: Stage) -> Hindrance | None:
        """Say why a stage that comes after the gates may not run; None: it may."""
        stopped = self.decision.gates("stop")
        if stopped:
            return Hindrance("blocked", f"a gate stopped the run: {self._say(stopped)}", tuple(stopped))
        blocking = [gate for gate in self.decision.gates("block") if self._names(gate, stage)]
        if blocking:
            return Hindrance("blocked", self._say(blocking), tuple(blocking))
        verdicts = dict(zip(self.report.table["gate"], self.report.table["verdict"], strict=True))
        unmet = [gate for gate, wanted in stage.when.items() if verdicts[gate] not in wanted]
        if unmet:
            words = (
                f"gate {gate} is {verdicts[gate]}, and the stage runs only on {' or '.join(stage.when[gate])}"
                for gate in unmet
            )
            return Hindrance("skipped", "; ".join(words), tuple(unmet))
        return None

    def rows(self) -> list[dict[str, Any]]:
        """Give the table of verdicts for a run's record."""
        table = self.report.table
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in rows]

    def way_out(self) -> str:
        """Say how the gates that hold something up may be overruled, as options of the command line."""
        holding = [gate for action in ("stop", "block") for gate in self.decision.gates(action)]
        options = " ".join(f'-p quality.overrule.{gate}="who: why"' for gate in holding)
        return f"to go on all the same: {options}, or other thresholds" if options else ""

    def _names(self, gate: str, stage: Stage) -> bool:
        named = self.gates[gate].blocks
        if named:
            return stage.name in named
        return stage.needs_gates is True or (stage.needs_gates is not False and gate in stage.needs_gates)

    def _say(self, gates: list[str]) -> str:
        """Write one sentence for each of these failed gates: which, value, threshold."""
        rows = {row["gate"]: row for row in self.rows()}
        return "; ".join(
            f"gate {gate} failed: {rows[gate]['reason']} ({rows[gate]['threshold']})" for gate in gates
        )


def judge(metrics: Path, history: Path | None, params: Params) -> Judgement:
    """Judge stored metrics by the gates of the parameters.

    Parameters
    ----------
    metrics
        Parquet of the contract `metrics`.
    history
        Parquet of the contract `metric_history`; None, or none there: no earlier run is known.
    """
    quality = params.quality
    past = pq.read_table(history).to_pandas() if history and history.exists() else None
    report = evaluate_gates(pq.read_table(metrics).to_pandas(), quality.gates, past, quality.overrule)
    return Judgement(report, decide(report), quality.gates)
