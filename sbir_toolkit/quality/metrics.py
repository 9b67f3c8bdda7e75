"""How good the result is, in numbers that are each defined once.

Every share says what is counted out of what, so that nobody has to guess its denominator. The one that
matters most is the *match rate*: awards with an **accepted** recipient out of all awards that were read. An
award that waits for a person's review is not matched; it is counted beside (`review_share`), never in it.
With a denominator of zero a metric has no value (null), which a gate doesn't let pass.

==========================  ====================================  ==========================================
metric                      what is counted                       out of what
==========================  ====================================  ==========================================
match_rate                  accepted awards                       awards (of the slice; by tier: all awards)
review_share, reject_share  awards under review; without a match  awards
matched_usd_share           dollars of accepted awards            dollars of all awards
required_complete_share     awards with all required columns      awards
duplicate_share             awards that repeat an earlier record  awards
identifier_coverage         awards with a valid UEI or DUNS       awards
mean_match_probability      sum of the probabilities              awards that have one
expected_false_link_share   sum of 1 - probability, accepted      accepted awards that have one
award_rejected_share        rejected award records                award records read
recipient_rejected_share    rejected recipient records            recipient records read
awards_conserved            1 if awards + rejects = records read  (counts: what came out, what was read)
recipients_conserved        the same for recipients
valid_share                 values a column can have (`VALID`)    awards with a value in that column
conforming_share            values written as they should be      awards with a value in that column
award_repaired_share        values that couldn't be read          award records read
identifier_validity         valid identifiers                     identifiers filed, valid or not
category_share              awards of an agency, a year, ...      awards
amount_share, format_share  awards by size of the amount, by      awards with an amount, with a name, a city
                            the way names and cities are written
probability_share           awards by their match probability     awards that have one
category_drift, ...         awards that moved since the last      awards (see `drift`; only where a run was
                            accepted run, beyond chance           accepted before)
awards, recipients          rows; awards also by agency
recipient_identifiers       UEIs and DUNS that recipients have
awards_usd                  US dollars as filed
median_award_usd            the amount in the middle, US dollars  (cases: awards with an amount)
newest_award_date           the date that 99 in 100 awards don't exceed; their year where it is missing
==========================  ====================================  ==========================================

To these come the estimates of the table `accuracy`, under their own names. Intervals of counted shares are
Wilson's; they take awards as independent, which awards of one company aren't quite, so they are somewhat too
narrow.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.errors import ContractError, explain
from sbir_toolkit.matching.accuracy.intervals import wilson_interval
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Quality
from sbir_toolkit.quality.counts import (
    TWENTIETHS,
    AwardCounts,
    count_awards,
    count_filled,
    count_rows,
    count_values,
    name_value,
    sort_values,
)
from sbir_toolkit.quality.drift import measure_drift
from sbir_toolkit.quality.profile import SIZES, Profile
from sbir_toolkit.quality.rows import REQUIRED
from sbir_toolkit.tables import METRICS, TIERS

# What a reader asks first, in the words of an answer.
_SUCCESS = {
    "match_rate": "awards with an accepted recipient",
    "matched_usd_share": "dollars of those awards",
    "review_share": "awards left for a person to decide",
    "expected_false_link_share": "accepted links that the probabilities expect to be wrong",
    "hidden_identifier_precision": "links by name that are right, on companies whose identifier was hidden",
    "reweighted_recall": "of companies like those without an identifier, how many are found by name",
}


@dataclass(frozen=True)
class QualityMetrics:
    """The measured metrics.

    Attributes
    ----------
    table : pandas.DataFrame
        Of the contract METRICS.
    """

    table: pd.DataFrame

    def values(self) -> dict[str, float | None]:
        """Give each metric's value for the whole data, None where it has none; for a run's record."""
        whole = self.table[self.table["slice"] == "all"]
        return {
            str(metric): None if math.isnan(value) else float(value)
            for metric, value in zip(whole["metric"], whole["value"], strict=True)
        }

    @property
    def success(self) -> pd.DataFrame:
        """The few metrics that say how well it went: what they count, value, value_low and value_high."""
        whole = self.table[self.table["slice"] == "all"].set_index("metric")
        known = [metric for metric in _SUCCESS if metric in whole.index]
        ends = whole.loc[known, ["value", "low", "high"]].add_prefix("value_")
        told = ends.rename(columns={"value_value": "value"}).reset_index()
        told.insert(0, "what", told["metric"].map(_SUCCESS))
        return told

    def __repr__(self) -> str:
        return f"QualityMetrics({self._summary()})"

    def _repr_html_(self) -> str:
        whole = self.table[self.table["slice"] == "all"].drop(columns="slice")
        body = whole.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:,.4g}")
        return f"<p>{html.escape(self._summary())}</p>{body}"

    def _summary(self) -> str:
        values = self.values()
        rate = values.get("match_rate")
        words = "match rate not known" if rate is None else f"match rate {rate:.1%}"
        return f"{words}, {len(values)} metrics, {len(self.table)} rows with slices"


def measure_quality(
    tables: Mapping[str, Path],
    records: Mapping[str, Any],
    quality: Quality,
    history: pd.DataFrame | None = None,
) -> QualityMetrics:
    """Measure everything that can be measured on the tables given.

    Parameters
    ----------
    tables
        Parquet files by table name: `enriched_awards`, `award_rejects`, `recipients`, `recipient_rejects`,
        `accuracy`. What can't be computed without a table that isn't given is left out, and a gate on it
        fails.
    records
        Records as read from the inputs, bad ones included: `award_records`, `recipient_records`; and what was
        mended in them, counted by kind: `award_repairs`.
    quality
        `confidence` is the level of the intervals.
    history : pandas.DataFrame, optional
        Of the contract METRIC_HISTORY; drift is measured against its last run.

    Returns
    -------
    QualityMetrics
        In a fixed order; the same whatever the files' row groups.

    Raises
    ------
    ContractError
        When a file can't be read or lacks columns, or an estimate bears the name of another metric.
    """
    rows = _Rows(quality.confidence)
    with phase("metrics") as span:
        if "enriched_awards" in tables:
            counts = count_awards(tables["enriched_awards"])
            span.rows = counts.awards
            _add_matches(rows, counts)
            _add_completeness(rows, counts)
            _add_profile(rows, counts)
            _add_repairs(rows, counts, records.get("award_records"), records.get("award_repairs"))
        _add_rejects(rows, tables, "award_rejects", "award_rejected_share", records.get("award_records"))
        _add_rejects(
            rows, tables, "recipient_rejects", "recipient_rejected_share", records.get("recipient_records")
        )
        for name, table, rejects, read in (
            ("awards", "enriched_awards", "award_rejects", "award_records"),
            ("recipients", "recipients", "recipient_rejects", "recipient_records"),
        ):
            if table in tables:
                kept = count_rows(tables[table])
                rows.add_value(name, kept, unit="count")
                if rejects in tables and read in records:
                    came_out = kept + count_rows(tables[rejects])
                    rows.add_check(f"{name}_conserved", came_out, records[read])
        if "recipients" in tables:
            known = count_filled(tables["recipients"], "uei", "duns")
            rows.add_value("recipient_identifiers", known, unit="count")
        if "accuracy" in tables:
            _add_accuracy(rows, tables["accuracy"])
        if history is not None:
            for metric, part, _, moved, awards in measure_drift(rows.to_frame(), history):
                rows.add_share(metric, part, moved, awards, counted=False)
    return QualityMetrics(rows.to_frame())


class _Rows:
    """Rows of the table of metrics, in the order in which they are measured."""

    def __init__(self, confidence: float) -> None:
        self._confidence = confidence
        self._rows: list[tuple[str | float, ...]] = []

    def add_share(
        self, metric: str, part: str, numerator: float, denominator: float, *, counted: bool = True
    ) -> None:
        value = numerator / denominator if denominator else math.nan
        low, high = (
            wilson_interval(numerator, denominator, self._confidence) if counted else (math.nan, math.nan)
        )
        self._rows.append((metric, part, value, low, high, numerator, denominator, "share"))

    def add_check(self, metric: str, came_out: int, went_in: int) -> None:
        value = 1.0 if came_out == went_in else 0.0
        self._rows.append((metric, "all", value, math.nan, math.nan, came_out, went_in, "share"))

    def add_value(self, metric: str, value: float, *, unit: str, part: str = "all") -> None:
        self._rows.append((metric, part, value, math.nan, math.nan, value, math.nan, unit))

    def add_median(self, metric: str, profile: Profile) -> None:
        z = NormalDist().inv_cdf(0.5 + self._confidence / 2)
        value, low, high, cases = profile.median_amount(z)
        self._rows.append((metric, "all", value, low, high, math.nan, cases, "US dollars"))

    def add_expected(self, metric: str, expected: float, deviation: float, cases: int) -> None:
        """Add the share of cases that a sum of probabilities expects, with the interval of the sum."""
        z = NormalDist().inv_cdf(0.5 + self._confidence / 2)
        low, high = max(0.0, expected - z * deviation), min(float(cases), expected + z * deviation)
        ends = (low / cases, high / cases) if cases else (math.nan, math.nan)
        value = expected / cases if cases else math.nan
        self._rows.append((metric, "all", value, *ends, expected, cases, "share"))

    def add_estimates(self, accuracy: pd.DataFrame) -> None:
        self._rows += [(*row, "share") for row in accuracy.itertuples(index=False, name=None)]

    @property
    def names(self) -> set[str]:
        return {str(row[0]) for row in self._rows}

    def to_frame(self) -> pd.DataFrame:
        kinds = {column.name: "float64" if column.dtype == "float64" else "str" for column in METRICS.columns}
        return pd.DataFrame(self._rows, columns=METRICS.names).astype(kinds)


def _add_matches(rows: _Rows, counts: AwardCounts) -> None:
    rows.add_share("match_rate", "all", counts.accepted, counts.awards)
    for tier in TIERS:
        rows.add_share("match_rate", f"tier={tier}", counts.accepted_by_tier[tier], counts.awards)
    for column, (awards, accepted) in counts.by.items():
        for value in sort_values(awards):
            rows.add_share("match_rate", f"{column}={name_value(value)}", accepted[value], awards[value])
    rows.add_share("review_share", "all", counts.decisions["review"], counts.awards)
    rows.add_share("reject_share", "all", counts.decisions["reject"], counts.awards)
    rows.add_share("matched_usd_share", "all", counts.accepted_usd, counts.awards_usd, counted=False)
    rows.add_share(
        "mean_match_probability", "all", counts.probability_sum, counts.probabilities, counted=False
    )
    rows.add_expected(
        "expected_false_link_share",
        counts.expected_false_links,
        counts.false_links_deviation,
        counts.accepted_probabilities,
    )
    for part in TWENTIETHS:
        in_it = counts.by_probability[part]
        rows.add_share("probability_share", f"match_probability={part}", in_it, counts.probabilities)
    rows.add_value("awards_usd", counts.awards_usd, unit="US dollars")


def _add_completeness(rows: _Rows, counts: AwardCounts) -> None:
    rows.add_share("required_complete_share", "all", counts.complete, counts.awards)
    for column in REQUIRED:
        rows.add_share("required_complete_share", f"column={column}", counts.filled[column], counts.awards)
    rows.add_share("duplicate_share", "all", counts.duplicates, counts.awards)
    rows.add_share("identifier_coverage", "all", counts.identified["any"], counts.awards)
    for identifier in ("uei", "duns"):
        rows.add_share(
            "identifier_coverage", f"identifier={identifier}", counts.identified[identifier], counts.awards
        )

    for agency in sort_values(counts.profile.categories["agency"]):
        identified, awards = counts.identified_by_agency[agency], counts.profile.categories["agency"][agency]
        rows.add_share("identifier_coverage", f"agency={name_value(agency)}", identified, awards)


def _add_profile(rows: _Rows, counts: AwardCounts) -> None:
    profile = counts.profile
    for metric, rules in (("valid_share", profile.valid), ("conforming_share", profile.conforming)):
        for column, (kept, filled) in rules.items():
            rows.add_share(metric, f"column={column}", kept, filled)
    for column, found in profile.categories.items():
        for value in sort_values(found):
            rows.add_share("category_share", f"{column}={name_value(value)}", found[value], counts.awards)
    for agency, awards in (
        (name, profile.categories["agency"][name]) for name in sort_values(profile.categories["agency"])
    ):
        rows.add_value("awards", awards, unit="count", part=f"agency={name_value(agency)}")
    for size in SIZES:
        rows.add_share("amount_share", f"award_usd={size}", profile.sizes[size], profile.sizes.total())
    for column, ways in profile.ways.items():
        for way in sorted(ways):
            rows.add_share("format_share", f"{column}={way}", ways[way], ways.total())
    rows.add_median("median_award_usd", profile)
    rows.add_value("newest_award_date", profile.newest_date(), unit="date")


def _add_repairs(
    rows: _Rows, counts: AwardCounts, read: int | None, repairs: Mapping[str, int] | None
) -> None:
    if read is None or repairs is None:
        return
    for kind in sorted(repairs):
        rows.add_share("award_repaired_share", f"kind={kind}", repairs[kind], read)
    for identifier in ("uei", "duns"):
        valid = counts.identified[identifier]
        filed = valid + repairs.get(f"{identifier}_invalid", 0)
        rows.add_share("identifier_validity", f"identifier={identifier}", valid, filed)


def _add_rejects(rows: _Rows, tables: Mapping[str, Path], table: str, metric: str, read: int | None) -> None:
    if table not in tables or read is None:
        return
    rows.add_share(metric, "all", count_rows(tables[table]), read)
    for reason, rejected in count_values(tables[table], "reason").items():
        rows.add_share(metric, f"reason={reason}", rejected, read)


def _add_accuracy(rows: _Rows, path: Path) -> None:
    columns = ["estimate", "slice", "value", "low", "high", "numerator", "denominator"]
    try:
        estimates = pq.read_table(path, columns=columns).to_pandas()
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as wrong:
        raise ContractError(
            explain("the table 'accuracy' can't be read", where=path, expected=", ".join(columns), got=wrong)
        ) from wrong
    taken = sorted(rows.names & set(estimates["estimate"]))
    if taken:
        raise ContractError(
            explain(
                "an estimate of accuracy bears the name of another metric",
                where=path,
                expected="a name of its own",
                got=", ".join(taken),
                todo="rename the estimate",
            )
        )
    rows.add_estimates(estimates)
