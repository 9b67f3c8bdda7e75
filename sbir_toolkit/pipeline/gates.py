"""Carrying out what the quality gates decide.

`quality` judges and says what should follow; here it follows. The verdict is worked out from the stored
metrics, not from what a notebook displayed, so a result that is reused is judged just like one that was just
made.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from sbir_toolkit.params import Params
from sbir_toolkit.quality import Decision, GateReport, decide, evaluate_gates


def judge(metrics: Path, params: Params) -> tuple[GateReport, Decision]:
    """Judge stored metrics by the gates of the parameters.

    Parameters
    ----------
    metrics
        Parquet of the contract `metrics`.
    """
    report = evaluate_gates(pq.read_table(metrics).to_pandas(), params.quality.gates)
    return report, decide(report)


def failing(report: GateReport) -> list[str]:
    """One sentence for each gate that failed: which, value, threshold."""
    rows = report.table[report.table["verdict"] == "fail"].to_dict("records")
    return [f"gate {row['gate']} failed: {row['reason']} ({row['threshold']})" for row in rows]


def way_out(report: GateReport) -> str:
    """Say how failed gates may be let pass, as options of the command line; empty when none failed."""
    options = " ".join(f"-p quality.gates.{gate}.action=continue" for gate in report.failed)
    return f"to go on all the same: {options}, or other thresholds" if options else ""
