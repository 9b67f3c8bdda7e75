"""Is it good: metrics of what came out, gates that judge them, and what follows.

Three pure steps, each on the table that the one before gives: `measure_quality` counts, `evaluate_gates`
judges, `decide` says what follows. Nothing here stops anything; the pipeline acts on the decision.
"""

from sbir_toolkit.quality.decisions import Decision, decide
from sbir_toolkit.quality.gates import GateReport, evaluate_gates
from sbir_toolkit.quality.intervals import wilson_interval
from sbir_toolkit.quality.metrics import QualityMetrics, measure_quality

__all__ = [
    "Decision",
    "GateReport",
    "QualityMetrics",
    "decide",
    "evaluate_gates",
    "measure_quality",
    "wilson_interval",
]
