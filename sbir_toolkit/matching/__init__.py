"""Who is who: which federal recipient a company on the award side is.

Build an index of the recipients once (`build_index`), match companies against it (`match_companies`), ask
how right that is (`measure_accuracy`) and why one company got its recipient (`explain_match`).
"""

from sbir_toolkit.matching.accuracy import (
    AccuracyReport,
    draw_label_sample,
    measure_accuracy,
    read_labels,
)
from sbir_toolkit.matching.explain import Explanation, Explanations, PersonsDecision, explain_match
from sbir_toolkit.matching.index import RecipientIndex, open_index
from sbir_toolkit.matching.layout import build_index
from sbir_toolkit.matching.match import match_companies

__all__ = [
    "AccuracyReport",
    "Explanation",
    "Explanations",
    "PersonsDecision",
    "RecipientIndex",
    "build_index",
    "draw_label_sample",
    "explain_match",
    "match_companies",
    "measure_accuracy",
    "open_index",
    "read_labels",
]
