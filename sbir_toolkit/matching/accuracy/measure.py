"""The measurement: all trials, in their order, to one report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.contracts import add_contracts
from sbir_toolkit.matching.accuracy.decoys import invent_companies, move_companies, recipients_as_companies
from sbir_toolkit.matching.accuracy.estimates import Estimates, add_hidden, add_precision_and_recall
from sbir_toolkit.matching.accuracy.implied import add_implied
from sbir_toolkit.matching.accuracy.labels import add_labelled, read_labels
from sbir_toolkit.matching.accuracy.reliability import add_calibration_error, reliability_curve
from sbir_toolkit.matching.accuracy.report import AccuracyReport
from sbir_toolkit.matching.accuracy.routes import add_routes, follow_routes, route_table
from sbir_toolkit.matching.accuracy.sample import Sample, draw_sample
from sbir_toolkit.matching.accuracy.thresholds import threshold_table
from sbir_toolkit.matching.accuracy.trials import try_companies
from sbir_toolkit.matching.accuracy.years import (
    add_by_years,
    add_reweighted,
    sibling_strata,
    year_strata,
)
from sbir_toolkit.matching.identifiers import KINDS
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.recognised import Recognised
from sbir_toolkit.meter import phase, usable_cores
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.tables import COMPANIES

# Nothing that these tiers found was found by name.
_OTHERWISE = ("override", *KINDS)
# One trial in five of the reliability has no right recipient: about the share of award companies that
# have none.
_REMOVED_EVERY = 4
_REMOVED = "identifiers blanked and the right recipient taken away: every link is false"
_DECOY = "invented names at real places: every link is false"
_MOVED = "known companies at the place of another one, in another state; linked to their own recipient"
_MOVED_ELSE = "known companies at the place of another one, in another state; linked to somebody else"
_ITSELF = "recipients searched for by their own name, city, state and ZIP, and not accepted for themselves"
_TOLD = "companies without an identifier's hit that have a sibling: one of the same name that was recognised"
_SIBLING = "the identifier of one company blanked at a time, found by name, place and what its siblings tell"
_DOUBTED = "identifiers that are a recipient's whose name and city both differ; these companies aren't tried"


def measure_accuracy(
    companies: pd.DataFrame,
    company_matches: pd.DataFrame,
    index: RecipientIndex,
    matching: Matching,
    accuracy: Accuracy,
    *,
    confidence: float,
    labels: pd.DataFrame | None = None,
) -> AccuracyReport:
    """Measure how right the matching is on companies whose recipient is known, and on invented ones.

    Parameters
    ----------
    companies : pandas.DataFrame
        As the contract `companies` says.
    company_matches : pandas.DataFrame
        What they were matched to, as the contract `company_matches` says.
    index : RecipientIndex
    matching : Matching
    accuracy : Accuracy
        Sizes and seed of the samples.
    confidence : float
        Level of the intervals, 0..1.
    labels : pandas.DataFrame, optional
        What a person said, as `read_labels` gives it.

    Returns
    -------
    AccuracyReport
        Estimates for which there is no case have a null value.
    """
    by_name = company_matches[~company_matches["tier"].isin(_OTHERWISE)]
    with phase("accuracy_sample", rows=len(companies)):
        sample = draw_sample(companies, index, accuracy)
    with ThreadPoolExecutor(usable_cores()) as threads:
        recognising = threads.submit(Recognised.among, COMPANIES.arrow(companies), company_matches, index)
        trials = _try_all(sample, companies, index, matching, accuracy, threads=threads)
        recognised = recognising.result()
    trials["sibling"] = _try_siblings(sample, recognised, index, matching)
    known = {kind: trials[kind] for kind in ("hidden", "removed", "decoy")}
    hidden, removed = trials["hidden"], trials["removed"]
    judged = pd.concat([hidden, removed[::_REMOVED_EVERY]])
    with phase("accuracy_routes", rows=len(sample.truth)):
        routes = follow_routes(sample, index, matching, accuracy)
    with phase("accuracy_estimates"):
        estimates = Estimates(confidence)
        add_hidden(estimates, hidden)
        add_contracts(estimates, sample, hidden, index, matching)
        wanted = pd.Index(by_name["company_id"]).get_indexer(companies["company_id"]) >= 0
        years = year_strata(companies.loc[wanted, "last_award_year"])
        older = pd.concat([hidden, trials["older"]], ignore_index=True)
        add_by_years(estimates, older, years)
        table = COMPANIES.arrow(companies[wanted])
        is_told = recognised.tells_of(table)
        estimates.add_share("sibling_share", pd.Series(is_told), method=_TOLD)
        add_precision_and_recall(estimates, "sibling", trials["sibling"], method=_SIBLING)
        both = pd.concat([older, trials["sibling"]], ignore_index=True)
        strata = sibling_strata(both["years"].to_numpy(str), (both["kind"] == "sibling").to_numpy())
        add_reweighted(estimates, both, strata, sibling_strata(years, is_told))
        _add_false_links(estimates, trials)
        looked_at = pd.Series(np.arange(sample.hits) < sample.doubted)
        estimates.add_share("identifier_doubted_share", looked_at, method=_DOUBTED)
        for part, found in (("all", by_name), ("trials", hidden)):
            add_implied(estimates, found, part)
        add_calibration_error(estimates, judged, accuracy)
        add_routes(estimates, routes)
        given = read_labels(None) if labels is None else labels
        add_labelled(
            estimates, given, companies, company_matches, index, matching=matching, accuracy=accuracy
        )
        return AccuracyReport(
            estimates.to_frame(),
            threshold_table(known, by_name, matching, confidence),
            route_table(routes, confidence),
            reliability_curve(judged, confidence),
            pd.concat(trials.values(), ignore_index=True),
        )


def _try_all(
    sample: Sample,
    companies: pd.DataFrame,
    index: RecipientIndex,
    matching: Matching,
    accuracy: Accuracy,
    *,
    threads: ThreadPoolExecutor,
) -> dict[str, pd.DataFrame]:
    main = np.flatnonzero(~sample.is_added)
    known, truth = sample.companies.iloc[main], sample.truth[main]
    decoys = invent_companies(companies, index, accuracy)
    moved, moved_truth = move_companies(sample, companies, index, accuracy)
    themselves, rows = recipients_as_companies(index, accuracy)
    added = sample.companies.iloc[len(main) :]
    told = {
        "hidden": (known, truth),
        "older": (added, sample.truth[len(main) :]),
        "decoy": (decoys, np.full(len(decoys), -1)),
        "moved": (moved, moved_truth),
        "itself": (themselves, rows),
    }
    with phase("accuracy_match", rows=len(known) + sum(len(part) for part, _ in told.values())):
        trials = {
            kind: threads.submit(try_companies, kind, *both, index, matching) for kind, both in told.items()
        }
        hidden = truth[:, None]
        trials["removed"] = threads.submit(
            try_companies, "removed", known, truth, index, matching, masked=hidden
        )
        return {kind: trial.result() for kind, trial in trials.items()}


def _try_siblings(
    sample: Sample, recognised: Recognised, index: RecipientIndex, matching: Matching
) -> pd.DataFrame:
    """Hide the identifier of one company at a time, while its siblings keep theirs; those that have any."""
    at = np.flatnonzero(recognised.tells_of(COMPANIES.arrow(sample.companies)))
    companies, truth = sample.companies.iloc[at], sample.truth[at]
    with phase("accuracy_siblings", rows=len(at)):
        siblings = recognised.siblings_of(COMPANIES.arrow(companies), index)
        return try_companies("sibling", companies, truth, index, matching, siblings=siblings)


def _add_false_links(estimates: Estimates, trials: dict[str, pd.DataFrame]) -> None:
    linked = {kind: part["decision"] == "accept" for kind, part in trials.items()}
    moved, itself = trials["moved"]["is_right"], trials["itself"]["is_right"]
    for estimate, counted, method in (
        ("removed_truth_link_share", linked["removed"], _REMOVED),
        ("decoy_link_share", linked["decoy"], _DECOY),
        ("moved_place_link_share", linked["moved"] & moved, _MOVED),
        ("moved_place_other_link_share", linked["moved"] & ~moved, _MOVED_ELSE),
        ("unlinkable_share", ~(linked["itself"] & itself), _ITSELF),
    ):
        estimates.add_share(estimate, counted, method=method)
