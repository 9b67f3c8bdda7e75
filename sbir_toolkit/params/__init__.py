"""Parameters: every number that decides something, in one frozen, typed object."""

from sbir_toolkit.params.alerts import Alerting, Silence
from sbir_toolkit.params.loading import Params, load_params
from sbir_toolkit.params.performance import Alerts, Performance
from sbir_toolkit.params.quality import Gate, HistoryRule, Quality, default_gates
from sbir_toolkit.params.work import (
    FILE_PARAMETERS,
    OPTIONAL_FILES,
    Accuracy,
    Compute,
    Fetch,
    Limits,
    Matching,
    Pipeline,
    Source,
    Synthetic,
)

__all__ = [
    "FILE_PARAMETERS",
    "OPTIONAL_FILES",
    "Accuracy",
    "Alerting",
    "Alerts",
    "Compute",
    "Fetch",
    "Gate",
    "HistoryRule",
    "Limits",
    "Matching",
    "Params",
    "Performance",
    "Pipeline",
    "Quality",
    "Silence",
    "Source",
    "Synthetic",
    "default_gates",
    "load_params",
]
