"""Which federal recipients are behind the SBIR/STTR awards, how sure is that, and how long does it take.

What a notebook needs is named here and nowhere else. Importing the package is cheap: a name's room, and the
libraries behind it, are loaded when the name is first used.

Words are used in one sense throughout. An *award* names a *company*; the company is linked to a *recipient*
by a *tier* (what found it), with a *match probability* and a *decision* (accept, review, reject). A *gate*
holds a *metric* against thresholds and gives a *verdict*. A *run* is one passage through the *stages*, each
of which is a notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sbir_toolkit.enrichment import enrich_awards, prepare_index
    from sbir_toolkit.errors import ToolkitError
    from sbir_toolkit.matching import (
        build_index,
        draw_label_sample,
        explain_match,
        match_companies,
        measure_accuracy,
        open_index,
        read_labels,
    )
    from sbir_toolkit.params import Params, Source, load_params
    from sbir_toolkit.performance import (
        History,
        cause_frame,
        chunk_figures,
        explain_regressions,
        find_alerts,
        find_bottlenecks,
        headline_frame,
        judge_stages,
        measure_run,
        recommend,
    )
    from sbir_toolkit.pipeline.match import match_awards
    from sbir_toolkit.pipeline.workspace import open_stage
    from sbir_toolkit.quality import (
        decide,
        evaluate_gates,
        find_failing_rows,
        find_outliers,
        measure_quality,
        release_awards,
    )
    from sbir_toolkit.reports import charts
    from sbir_toolkit.reports.filled import count_filled
    from sbir_toolkit.reports.funding import summarize_funding
    from sbir_toolkit.reports.spreadsheets import write_label_sample, write_review
    from sbir_toolkit.reports.tables import show_table
    from sbir_toolkit.sources import load_awards, load_recipients, read_awards, read_recipients
    from sbir_toolkit.sources.synthetic import write_synthetic

_HOMES = {
    "History": "performance",
    "Params": "params",
    "Source": "params",
    "ToolkitError": "errors",
    "build_index": "matching",
    "cause_frame": "performance",
    "charts": "reports.charts",
    "chunk_figures": "performance",
    "count_filled": "reports.filled",
    "decide": "quality",
    "draw_label_sample": "matching",
    "enrich_awards": "enrichment",
    "evaluate_gates": "quality",
    "explain_match": "matching",
    "explain_regressions": "performance",
    "find_alerts": "performance",
    "find_bottlenecks": "performance",
    "headline_frame": "performance",
    "find_failing_rows": "quality",
    "find_outliers": "quality",
    "judge_stages": "performance",
    "load_awards": "sources",
    "load_params": "params",
    "load_recipients": "sources",
    "match_awards": "pipeline.match",
    "match_companies": "matching",
    "measure_accuracy": "matching",
    "measure_quality": "quality",
    "measure_run": "performance",
    "memory_samples": "performance",
    "open_index": "matching",
    "open_stage": "pipeline.workspace",
    "phase_trend_frame": "performance",
    "prepare_index": "enrichment",
    "read_awards": "sources",
    "read_labels": "matching",
    "read_recipients": "sources",
    "recommend": "performance",
    "release_awards": "quality",
    "show_table": "reports.tables",
    "summarize_funding": "reports.funding",
    "trend_frame": "performance",
    "write_label_sample": "reports.spreadsheets",
    "write_review": "reports.spreadsheets",
    "write_synthetic": "sources.synthetic",
}

__all__ = [
    "History",
    "Params",
    "Source",
    "ToolkitError",
    "build_index",
    "cause_frame",
    "charts",
    "chunk_figures",
    "count_filled",
    "decide",
    "draw_label_sample",
    "enrich_awards",
    "evaluate_gates",
    "explain_match",
    "explain_regressions",
    "find_alerts",
    "find_bottlenecks",
    "find_failing_rows",
    "find_outliers",
    "headline_frame",
    "judge_stages",
    "load_awards",
    "load_params",
    "load_recipients",
    "match_awards",
    "match_companies",
    "measure_accuracy",
    "measure_quality",
    "measure_run",
    "memory_samples",
    "open_index",
    "open_stage",
    "phase_trend_frame",
    "prepare_index",
    "read_awards",
    "read_labels",
    "read_recipients",
    "recommend",
    "release_awards",
    "show_table",
    "summarize_funding",
    "trend_frame",
    "write_label_sample",
    "write_review",
    "write_synthetic",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("sbir-toolkit")
    if name not in _HOMES:
        raise AttributeError(f"module 'sbir_toolkit' has no name '{name}'; it has {', '.join(__all__)}")
    home = importlib.import_module(f"sbir_toolkit.{_HOMES[name]}")
    value = home if home.__name__.endswith(f".{name}") else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
