"""The charts of the reports: each takes a frame that follows a table's contract and returns a `Chart`."""

from sbir_toolkit.reports.charts.accuracy import routes_found, threshold_curves
from sbir_toolkit.reports.charts.awards import (
    award_years,
    funding_by,
    recipients_by_source_and_identifier_fill,
    rejects_by_reason,
)
from sbir_toolkit.reports.charts.base import Chart
from sbir_toolkit.reports.charts.estimates import accuracy_by_slice, accuracy_intervals
from sbir_toolkit.reports.charts.functions import function_times
from sbir_toolkit.reports.charts.gates import gate_values, match_rate_by, metric_trends
from sbir_toolkit.reports.charts.matches import (
    decisions_by_tier,
    probability_histogram,
    reliability_curve,
)
from sbir_toolkit.reports.charts.phases import phase_trends, stage_parts
from sbir_toolkit.reports.charts.stages import recommendations_bar, stage_memory, stage_timeline, stage_trends

__all__ = [
    "Chart",
    "accuracy_by_slice",
    "accuracy_intervals",
    "award_years",
    "decisions_by_tier",
    "function_times",
    "funding_by",
    "gate_values",
    "match_rate_by",
    "metric_trends",
    "phase_trends",
    "probability_histogram",
    "recipients_by_source_and_identifier_fill",
    "recommendations_bar",
    "rejects_by_reason",
    "reliability_curve",
    "routes_found",
    "stage_memory",
    "stage_parts",
    "stage_timeline",
    "stage_trends",
    "threshold_curves",
]
