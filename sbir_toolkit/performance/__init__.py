"""Is it fast: where a run's time went, whether a stage became slower, what to change.

`measure_run` puts a run's figures together, `History` keeps them, `judge_stages` compares them with earlier
runs, `find_alerts` says what somebody should know, `recommend` computes what a change would save. Nothing
here changes a run.
"""

from sbir_toolkit.performance.advice import Recommendations, recommend
from sbir_toolkit.performance.alerts import find_alerts
from sbir_toolkit.performance.figures import chunk_figures, measure_run, memory_samples
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.regression import StageVerdicts, accept_change, judge_stages, trend_frame

__all__ = [
    "History",
    "Recommendations",
    "StageVerdicts",
    "accept_change",
    "chunk_figures",
    "find_alerts",
    "judge_stages",
    "measure_run",
    "memory_samples",
    "recommend",
    "trend_frame",
]
