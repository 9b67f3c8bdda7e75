"""Is it fast: where a run's time went, whether a stage became slower, since when and why, what to change.

`measure_run` puts a run's figures together, `History` keeps them, `judge_stages` compares them with earlier
runs, `Benchmark` measures fixed work until it is known whether its cost has changed, `explain_change` says
what a change is made of, `find_alerts` says what somebody should know, `recommend` computes what a change
would save. Nothing here changes a run.
"""

from sbir_toolkit.performance.advice import Recommendations, recommend
from sbir_toolkit.performance.alerts import find_alerts, name_causes
from sbir_toolkit.performance.baseline import Baseline, stored_baseline
from sbir_toolkit.performance.benchmark import Benchmark, Patience
from sbir_toolkit.performance.bottlenecks import find_bottlenecks
from sbir_toolkit.performance.calibration import calibrate
from sbir_toolkit.performance.causes import (
    Explanation,
    cause_frame,
    explain_change,
    explain_regressions,
    headline_frame,
)
from sbir_toolkit.performance.differences import StagePath, take_side
from sbir_toolkit.performance.figures import chunk_figures, measure_run, memory_samples
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.regression import StageVerdicts, accept_change, judge_stages
from sbir_toolkit.performance.sides import Repeat
from sbir_toolkit.performance.trends import phase_trend_frame, trend_frame

__all__ = [
    "Baseline",
    "Benchmark",
    "Explanation",
    "History",
    "Patience",
    "Recommendations",
    "Repeat",
    "StagePath",
    "StageVerdicts",
    "accept_change",
    "calibrate",
    "cause_frame",
    "chunk_figures",
    "explain_change",
    "explain_regressions",
    "find_alerts",
    "find_bottlenecks",
    "headline_frame",
    "judge_stages",
    "measure_run",
    "memory_samples",
    "name_causes",
    "phase_trend_frame",
    "recommend",
    "stored_baseline",
    "take_side",
    "trend_frame",
]
