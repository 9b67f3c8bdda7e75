"""What was found out about the matching, in tables, as one object."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

_SENTENCES = {
    "hidden_identifier_precision": "Accepted links that are right, where the identifier was hidden",
    "reweighted_precision": "The same, weighted to the years of companies without an identifier",
    "hidden_identifier_recall": "Companies with a recipient that are linked to it",
    "reweighted_recall": "The same, weighted to the years of companies without an identifier",
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
        Every trial: kind (hidden, older, removed, decoy, moved, itself), company_id, company, city, state,
        truth_id, truth_name, recipient_id, recipient_name, match_probability, runner_up_probability,
        decision, is_right, spelling, place, years.
    """

    table: pd.DataFrame
    thresholds: pd.DataFrame
    routes: pd.DataFrame
    reliability: pd.DataFrame
    cases: pd.DataFrame

    def __repr__(self) -> str:
        lines = []
        whole = self.table[self.table["slice"] == "all"].dropna(subset="value")
        for row in whole.to_dict("records"):
            interval = f" ({row['low']:.3f} to {row['high']:.3f})" if pd.notna(row["low"]) else ""
            lines.append(f"  {row['estimate']:<34} {row['value']:.3f}{interval}, n = {row['denominator']:,}")
        return "\n".join([f"AccuracyReport of {len(self.cases):,} trials", *lines])

    @property
    def verdict(self) -> str:
        """What follows from the main estimates, in words; those that nothing is known of are said to be."""
        whole = self.table[self.table["slice"] == "all"].set_index("estimate").to_dict("index")
        return "\n".join(f"{sentence}: {_write(whole[name])}." for name, sentence in _SENTENCES.items())

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, float_format="{:.3f}".format, na_rep=""))


def _write(estimate: dict[str, float]) -> str:
    if pd.isna(estimate["value"]):
        return "unknown, there is no case"
    value, low, high = (f"{100 * estimate[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} % ({low} to {high}), n = {estimate['denominator']:,}"
