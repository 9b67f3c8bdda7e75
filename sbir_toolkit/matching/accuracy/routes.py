"""Routes: which ways to candidates find the right recipient, and what all of them miss.

For known companies each route is followed by itself, to the end. Beside the count of those that none finds
stands an estimate that needs no known recipient: that of animals caught twice (Chapman). Names are one
catch, places the other. It would be right if the two were independent. They aren't quite: a firm that stayed
where it was is more likely to have kept its name. What is missed is then more than the estimate says. It may
still exceed the count, since a company whose name and city both differ from its recipient's isn't tried.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from sbir_toolkit.matching.accuracy.estimates import Estimates
from sbir_toolkit.matching.accuracy.intervals import capture_recapture, wilson_interval
from sbir_toolkit.matching.accuracy.sample import Sample
from sbir_toolkit.matching.candidates import find_by_each_route
from sbir_toolkit.matching.decide import same_firm
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import read_places
from sbir_toolkit.matching.texts import Flags
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.tables import ACCURACY_ROUTES, COMPANIES

_NONE = "none"
_FOLLOWED = "every route followed by itself for companies whose identifier was hidden"
_CHAPMAN = (
    "Chapman's estimate from two catches, names and the same building, as if independent; a lower bound "
    "where who stays in a place also keeps the name; transformed logit interval"
)


def follow_routes(
    sample: Sample, index: RecipientIndex, matching: Matching, accuracy: Accuracy
) -> dict[str, Flags]:
    """Say for known companies which routes find their recipient.

    Returns
    -------
    dict of bool arrays
        By route; for as many companies as there are decoys.
    """
    count = min(accuracy.decoys, int((~sample.is_added).sum()))
    table, truth = COMPANIES.arrow(sample.companies.iloc[:count]), sample.truth[:count]
    column = {name: table.column(name).combine_chunks() for name in COMPANIES.names}
    names = read_names(pa.array(column["company"]))
    places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
    found = {}
    for route, pairs in find_by_each_route(index, names, places, matching).items():
        is_right = same_firm(index, pairs.row, truth[pairs.company])
        found[route] = np.bincount(pairs.company[is_right], minlength=count) > 0
    return found


def route_table(found: dict[str, Flags], confidence: float) -> pd.DataFrame:
    """Count the companies by the set of routes that found their recipient: the contract `accuracy_routes`."""
    sets = pd.DataFrame(found).apply(
        lambda row: ", ".join(route for route in found if row[route]) or _NONE, axis=1
    )
    if sets.empty:
        return pd.DataFrame({name: [] for name in ACCURACY_ROUTES.names})
    counts = sets.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    counts = counts.reindex([*counts.index.drop(_NONE, errors="ignore"), _NONE], fill_value=0)
    rows = []
    for routes, cases in counts.items():
        low, high = wilson_interval(cases, len(sets), confidence)
        rows.append((routes, int(cases), cases / len(sets), low, high))
    return pd.DataFrame(rows, columns=ACCURACY_ROUTES.names)


def add_routes(estimates: Estimates, found: dict[str, Flags]) -> None:
    """Add what each route finds, what it alone finds, and what none does, counted and estimated."""
    frame = pd.DataFrame(found)
    many = frame.sum(axis=1)
    for route in found:
        part = f"route={route}"
        estimates.add_share("route_recall", frame[route], method=_FOLLOWED, part=part)
        estimates.add_share("route_alone_recall", frame[route] & (many == 1), method=_FOLLOWED, part=part)
    estimates.add_share("routes_missed_share", many == 0, method=_FOLLOWED)
    by_place = frame["place"]
    by_name = frame.drop(columns="place").any(axis=1)
    both, seen = int((by_place & by_name).sum()), int((by_place | by_name).sum())
    told = capture_recapture(int(by_name.sum()), int(by_place.sum()), both, estimates.confidence)
    total, low, high = told or (np.nan, np.nan, np.nan)
    estimates.add(
        "routes_missed_estimated_share",
        (total - seen) / total,
        (low - seen) / low,
        (high - seen) / high,
        cases=(round(total - seen) if told else 0, round(total) if told else len(frame)),
        method=_CHAPMAN,
    )
