"""Is it good: metrics of what came out, gates that judge them, and what follows.

Each step works on the table that the one before gives: `measure_quality` counts, `evaluate_gates` judges,
`decide` says what follows, `release_awards` parts the awards that go on from those set aside. Nothing here
stops anything; the pipeline acts on the decision.
"""

from sbir_toolkit.matching.accuracy.intervals import wilson_interval
from sbir_toolkit.quality.decisions import Decision, decide
from sbir_toolkit.quality.failing import find_failing_rows, find_outliers
from sbir_toolkit.quality.gates import GateReport, evaluate_gates
from sbir_toolkit.quality.metrics import QualityMetrics, measure_quality
from sbir_toolkit.quality.release import Released, release_awards

__all__ = [
    "Decision",
    "GateReport",
    "QualityMetrics",
    "Released",
    "decide",
    "evaluate_gates",
    "find_failing_rows",
    "find_outliers",
    "measure_quality",
    "release_awards",
    "wilson_interval",
]
