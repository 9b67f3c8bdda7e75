"""What was found out about the matching, in tables, as one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

_SENTENCES = {
    "hidden_identifier_precision": "Accepted links that are right, where the identifier was hidden",
    "reweighted_precision": "The same, weighted to the years and siblings of companies without an identifier",
    "hidden_identifier_recall": "Companies with a recipient that are linked to it",
    "reweighted_recall": "The same, weighted to the years and siblings of companies without an identifier",
    "sibling_recall": "The same where an award of the same name keeps its identifier",
    "removed_truth_link_share": "Companies without a recipient that are linked to somebody",
}


@dataclass(frozen=True)
class AccuracyReport:
    """How right the matching is.

    Parameters
    ----------
    table : pandas.DataFrame
        As the contract `accuracy` says: each estimate for all companies and for slices, with its interval.
    thresholds : pandas.DataFrame
        As the contract `accuracy_thresholds` says: what each threshold would mean.
    routes : pandas.DataFrame
        As the contract `accuracy_routes` says: which routes to candidates found the right recipient.
    reliability : pandas.DataFrame
        Columns predicted, observed, n, low, high: for companies whose best candidate got about the same
        probability, its mean, and the share of them that was right.
    cases : pandas.DataFrame
        Every trial: kind (hidden, older, sibling, removed, decoy, moved, itself), company_id, company, city,
        state, truth_id, truth_name, recipient_id, recipient_name, match_probability, runner_up_probability,
        decision, is_right, spelling, place, years.
    """

    table: pd.DataFrame
    thresholds: pd.DataFrame
    routes: pd.DataFrame
    reliability: pd.DataFrame
    cases: pd.DataFrame

    @property
    def verdict(self) -> list[str]:
        """What follows from the main estimates, a sentence each."""
        whole = {row["estimate"]: row for row in self.table.to_dict("records") if row["slice"] == "all"}
        return [f"{sentence}: {_write(whole[name])}." for name, sentence in _SENTENCES.items()]

    def __repr__(self) -> str:
        return "\n".join([f"AccuracyReport of {len(self.cases):,} trials", *self.verdict])

    def _repr_html_(self) -> str:
        return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in self.verdict)}</ul>"


def _write(estimate: Mapping[Any, Any]) -> str:
    if pd.isna(estimate["value"]):
        return "unknown, as there is no case"
    value, low, high = (f"{100 * float(estimate[name]):.1f}" for name in ("value", "low", "high"))
    return f"{value} % ({low} to {high}), n = {estimate['denominator']:,}"
