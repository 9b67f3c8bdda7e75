"""Charts of how right the matching is: estimates with their intervals, as a whole and by kind of company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sbir_toolkit.reports.charts.base import (
    AMBER,
    BLUE,
    GREY,
    LIGHT_BLUE,
    Chart,
    finish,
    grid,
    house_style,
    label_rows,
    new_figure,
    nothing,
    readable,
    rows_of,
    share_axis,
    write_at_edge,
)
from sbir_toolkit.reports.units import format_count, format_interval, format_share

_RIGHT = {
    "hidden_identifier_precision": "links right, identifier hidden",
    "reweighted_precision": "links right, weighted to old awards",
    "implied_precision": "links right, as probabilities say",
    "labelled_precision": "links right, as a person says",
    "sibling_precision": "links by a sibling right",
    "contract_precision": "links by a contract right",
    "hidden_identifier_recall": "companies found, identifier hidden",
    "hidden_identifier_review_recall": "found or in review, identifier hidden",
    "candidate_recall": "right one among the candidates",
    "reweighted_recall": "companies found, weighted to old awards",
    "implied_recall": "companies found, as probabilities say",
    "labelled_recall": "companies found, as a person says",
    "sibling_recall": "siblings recognised",
    "contract_recall": "companies found by their contracts",
}
_WRONG = {
    "removed_truth_link_share": "linked though the right one was removed",
    "decoy_link_share": "invented, and linked",
    "moved_place_other_link_share": "moved away, linked to somebody else",
    "unlinkable_share": "recipients not accepted for themselves",
    "identifier_doubted_share": "identifier of another name and city",
    "expected_calibration_error": "probability off by, on average",
    "routes_missed_share": "found by no route",
    "routes_missed_estimated_share": "found by no route, estimated",
}
_PRECISION, _RECALL = "hidden_identifier_precision", "hidden_identifier_recall"
_HEADLINES = {_PRECISION: "precision", _RECALL: "recall"}


@house_style
def accuracy_intervals(accuracy: pd.DataFrame, *, source: str = "table accuracy") -> Chart:
    """Draw each accuracy estimate of the whole with its interval.

    Parameters
    ----------
    accuracy : pandas.DataFrame
        Of the contract ACCURACY; parts of the whole aren't drawn (see `accuracy_by_slice`).
    source
        Where the estimates come from, for the caption.

    Returns
    -------
    Chart
        One row per estimate: a dot, its 95 % interval, and both in figures. Estimates of which more is better
        stand above, those of which less is better in the middle, and those that only describe below.
    """
    known = accuracy[accuracy["slice"].eq("all") & accuracy["value"].notna()]
    if known.empty:
        return nothing("no accuracy estimates", source=source)
    panels = [
        (words, rows)
        for words, rows in (
            ("more is better", _chosen(known, _RIGHT)),
            ("less is better", _chosen(known, _WRONG)),
            ("neither", _others(known)),
        )
        if len(rows)
    ]
    figure = new_figure(0.55 * len(panels) + 0.27 * len(known))
    drawn = figure.subplots(
        len(panels), 1, squeeze=False, height_ratios=[len(rows) + 0.5 for _, rows in panels]
    )
    for axes, (words, rows) in zip(drawn.flat, panels, strict=True):
        _draw_rows(axes, rows, AMBER if words == "less is better" else BLUE)
        label_rows(axes, list(rows["label"]), width=42)
        axes.set_title(f"share, {words}" if words != "neither" else "share", loc="left")
    return finish(
        figure,
        _accuracy_title(known),
        "Estimates of how right the matching is, with 95 % intervals and the number of cases",
        alt=f"{len(known)} estimates.",
        n=f"{format_count(known['denominator'].max())} cases in the largest estimate",
        source=source,
    )


@house_style
def accuracy_by_slice(accuracy: pd.DataFrame, *, source: str = "table accuracy") -> Chart:
    """Draw precision and recall of hidden identifiers for each part of the companies.

    Parameters
    ----------
    accuracy : pandas.DataFrame
        Of the contract ACCURACY.
    source
        Where the estimates come from, for the caption.

    Returns
    -------
    Chart
        One row per slice that had a trial, with its number of companies; precision left, recall right, each
        with its 95 % interval.
    """
    parts = accuracy[accuracy["estimate"].isin(list(_HEADLINES)) & accuracy["slice"].ne("all")]
    tried = parts[parts["estimate"].eq(_RECALL) & parts["value"].notna()]
    if tried.empty:
        return nothing("no trials by kind of company", source=source)
    slices = pd.Index(tried["slice"])
    figure = new_figure(0.5 + 0.27 * len(slices))
    drawn = figure.subplots(1, 2, sharey=True)
    for axes, (estimate, word) in zip(drawn, _HEADLINES.items(), strict=True):
        rows = parts[parts["estimate"].eq(estimate)].set_index("slice").reindex(slices).reset_index()
        _draw_rows(axes, rows, BLUE, cases=False)
        axes.set_title(word, loc="left")
    cases = tried["denominator"].map(format_count)
    names = [f"{_slice_words(name)}, n = {n}" for name, n in zip(slices, cases, strict=True)]
    label_rows(drawn[0], names, width=42)
    lowest = rows_of(tried.sort_values("high", kind="stable"))[0]
    interval = format_interval(lowest.value, lowest.low, lowest.high)
    untried = len(parts[parts["estimate"].eq(_RECALL)]) - len(tried)
    left_out = f"; {untried} without a trial left out" if untried else ""
    return finish(
        figure,
        f"Fewest are found where {_slice_words(lowest.slice)}: {interval}",
        f"Precision and recall by kind of company, with 95 % intervals{left_out}",
        alt="; ".join(
            f"{_slice_words(row.slice)}: {format_share(row.value)} found" for row in rows_of(tried)
        ),
        n=f"{format_count(tried['denominator'].max())} companies in the largest slice",
        source=source,
    )


def _chosen(known: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    order = {name: place for place, name in enumerate(labels)}
    rows = known[known["estimate"].isin(list(labels))]
    rows = rows.iloc[np.argsort(rows["estimate"].map(order).to_numpy(), kind="stable")]
    return rows.assign(label=rows["estimate"].map(labels))


def _others(known: pd.DataFrame) -> pd.DataFrame:
    rows = known[~known["estimate"].isin([*_RIGHT, *_WRONG])]
    return rows.assign(label=rows["estimate"].map(readable))


def _draw_rows(axes: Axes, rows: pd.DataFrame, colour: str, *, cases: bool = True) -> None:
    for row, estimate in enumerate(rows_of(rows)):
        if pd.notna(estimate.value):
            _draw_estimate(axes, row, estimate, colour, cases=cases)
    ends = rows[["value", "high"]].max().max()
    axes.set_xlim(-0.02, 1.02) if ends > 0.25 else axes.set_xlim(-0.002, 1.1 * max(ends, 0.01))
    axes.xaxis.set_major_formatter(share_axis())
    grid(axes, "x")


def _draw_estimate(axes: Axes, row: int, estimate: Any, colour: str, *, cases: bool) -> None:
    value, low, high = estimate.value, estimate.low, estimate.high
    if pd.notna(low) and pd.notna(high):
        light = LIGHT_BLUE if colour == BLUE else GREY
        axes.plot([low, high], [row, row], color=light, linewidth=5, solid_capstyle="butt")
    axes.plot([value], [row], "o", color=colour, markersize=5)
    text = format_interval(value, low, high)
    write_at_edge(axes, f"{text}, n = {format_count(estimate.denominator)}" if cases else text, row)


def _accuracy_title(known: pd.DataFrame) -> str:
    told = [
        f"{_HEADLINES[row.estimate]} {format_interval(row.value, row.low, row.high)}"
        for row in rows_of(known)
        if row.estimate in _HEADLINES
    ]
    if told:
        title = f"{', '.join(told)} where the identifier was hidden"
    else:
        first = rows_of(known)[0]
        title = f"{readable(first.estimate)} {format_interval(first.value, first.low, first.high)}"
    return title[0].upper() + title[1:]


def _slice_words(name: object) -> str:
    return str(name).replace("=", " ")
