"""Charts of the matching: what found the recipients, how sure it is, and how right it turns out to be."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from sbir_toolkit.reports.charts.base import (
    BLUE,
    DECISION_COLOURS,
    GREY,
    INK,
    LIGHT_BLUE,
    Chart,
    count_axis,
    finish,
    grid,
    house_style,
    label_rows,
    legend_above,
    new_figure,
    nothing,
    rows_of,
    share_axis,
    write_beside,
)
from sbir_toolkit.reports.units import format_count, format_probability, format_share
from sbir_toolkit.tables import DECISIONS, TIERS

_TIER_NAMES = {
    "override": "decided by a person",
    "uei": "same UEI",
    "duns": "same DUNS",
    "contract": "same contract",
    "name_exact": "same name",
    "name_fuzzy": "similar name",
    "sibling": "known from another award",
    "none": "no recipient",
}
_DECISION_NAMES = {"accept": "accepted", "review": "for review", "reject": "rejected"}
_BINS = 40


@house_style
def decisions_by_tier(matches: pd.DataFrame, *, source: str = "table matches") -> Chart:
    """Draw the awards by what found their recipient and what was decided.

    Parameters
    ----------
    matches : pandas.DataFrame
        One row per award with `tier` and `decision`, as in the contract MATCHES.
    source
        Where the matches come from, for the caption.

    Returns
    -------
    Chart
        One stacked bar per tier.
    """
    if matches.empty:
        return nothing("no awards", source=source)
    tiers = matches["tier"].fillna("none")
    counts = pd.crosstab(tiers, matches["decision"])
    order = [tier for tier in (*TIERS, "none") if tier in counts.index]
    counts = counts.reindex(index=order, columns=list(DECISIONS), fill_value=0)
    shares = counts.sum() / len(matches)
    title = (
        f"{format_share(shares['accept'])} of awards accepted, {format_share(shares['review'])} for review, "
        f"{format_share(shares['reject'])} rejected"
    )
    figure = new_figure(1.0 + 0.36 * len(order))
    axes = figure.subplots()
    left = np.zeros(len(order))
    for decision in DECISIONS:
        drawn = counts[decision].to_numpy()
        label = f"{_DECISION_NAMES[decision]} ({format_count(drawn.sum())})"
        axes.barh(
            range(len(order)), drawn, left=left, height=0.62, color=DECISION_COLOURS[decision], label=label
        )
        left = left + drawn
    for row, count in enumerate(left):
        text = f"{format_count(count)} ({format_share(count / len(matches))})"
        write_beside(axes, text, (count, row))
    label_rows(axes, [_TIER_NAMES[tier] for tier in order])
    axes.set_xlabel("awards")
    axes.xaxis.set_major_formatter(count_axis())
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    grid(axes, "x")
    legend_above(axes, 3)
    return finish(
        figure,
        title,
        "Awards by what found the recipient, and by decision",
        alt="; ".join(
            f"{_TIER_NAMES[tier]}: {format_count(total)}" for tier, total in zip(order, left, strict=True)
        ),
        n=f"{format_count(len(matches))} awards",
        source=source,
    )


@house_style
def probability_histogram(
    matches: pd.DataFrame,
    *,
    accept: float,
    review: float,
    what: str = "awards",
    source: str = "table matches",
) -> Chart:
    """Draw how the match probabilities spread, by decision, with the thresholds.

    Parameters
    ----------
    matches : pandas.DataFrame
        With `match_probability` and `decision`, as in the contracts MATCHES and COMPANY_MATCHES.
    accept, review
        The thresholds, as in `params.matching`.
    what
        What one row is, in the plural.
    source
        Where the matches come from, for the caption.

    Returns
    -------
    Chart
        One histogram per decision over the probability, on a logarithmic count.
    """
    known = matches[matches["match_probability"].notna()]
    if known.empty:
        return nothing(f"no {what} with a probability", source=source)
    probability = known["match_probability"].to_numpy(dtype="float64")
    between = float(((probability >= review) & (probability < accept)).mean())
    title = (
        f"{format_share(between)} of {what} lie between the thresholds, "
        f"{format_share((probability >= accept).mean())} at or above both"
    )
    edges = np.linspace(0, 1, _BINS + 1)
    figure = new_figure(3.1)
    axes = figure.subplots()
    highest = 1
    for decision in DECISIONS:
        chosen = probability[known["decision"].eq(decision).to_numpy()]
        if chosen.size:
            counts, _ = np.histogram(chosen, bins=edges)
            highest = max(highest, int(counts.max()))
            label = f"{_DECISION_NAMES[decision]} ({format_count(chosen.size)})"
            axes.stairs(counts, edges, fill=True, color=DECISION_COLOURS[decision], alpha=0.72, label=label)
            axes.stairs(counts, edges, color=DECISION_COLOURS[decision], linewidth=1.1)
    axes.set_yscale("log")
    axes.set_ylim(0.7, highest * 3)
    axes.yaxis.set_major_formatter(count_axis())
    axes.yaxis.set_minor_locator(NullLocator())
    for threshold, name in ((review, "review"), (accept, "accept")):
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        text = f"{name} from {threshold:.2f}"
        is_right = threshold > 0.75
        axes.annotate(
            text,
            (threshold, highest * 2.6),
            (-4 if is_right else 4, 0),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="top",
            size=8.5,
        )
    axes.set_xlim(-0.01, 1.01)
    axes.set_xlabel("match probability of the best candidate")
    axes.set_ylabel(f"{what}, logarithmic scale")
    grid(axes, "y")
    legend_above(axes, 3)
    missing = len(matches) - len(known)
    without = f" ({format_count(missing)} more have no candidate)" if missing else ""
    return finish(
        figure,
        title,
        f"{what.capitalize()} by match probability (bins of {1 / _BINS:.3f}), decision and threshold",
        alt="Histogram; an accepted match needs a margin over the runner-up as well.",
        n=f"{format_count(len(known))} {what}{without}",
        source=source,
    )


@house_style
def reliability_curve(
    reliability: pd.DataFrame, *, source: str = "companies whose identifier was hidden"
) -> Chart:
    """Draw whether a probability of 80 % comes true in 80 % of cases.

    Parameters
    ----------
    reliability : pandas.DataFrame
        One row per bin with `predicted`, `observed`, `low`, `high` (all 0..1) and `n`.
    source
        Where the cases come from, for the caption.

    Returns
    -------
    Chart
        Observed against predicted share with intervals and the diagonal, and the number of cases below.
    """
    bins = reliability.dropna(subset=["predicted", "observed"])
    bins = bins[bins["n"] > 0].sort_values("predicted", kind="stable")
    if bins.empty:
        return nothing("no cases to compare probabilities with", source=source)
    cases = int(bins["n"].sum())
    gap = bins["observed"] - bins["predicted"]
    error = float((gap.abs() * bins["n"]).sum() / cases)
    lean = float((gap * bins["n"]).sum() / cases)
    leaning = "neither too sure nor too cautious"
    if abs(lean) >= 0.005:
        leaning = "too cautious" if lean > 0 else "too sure"
    title = f"Probabilities are off by {100 * error:.1f} points on average; on the whole they are {leaning}"
    figure = new_figure(4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label="perfect agreement")
    low = (bins["observed"] - bins["low"]).clip(lower=0).fillna(0)
    high = (bins["high"] - bins["observed"]).clip(lower=0).fillna(0)
    upper.vlines(
        bins["predicted"], bins["observed"] - low, bins["observed"] + high, color=LIGHT_BLUE, linewidth=3.2
    )
    upper.plot(
        bins["predicted"], bins["observed"], "o-", color=BLUE, markersize=5, linewidth=1.2, label="observed"
    )
    upper.set_ylim(-0.03, 1.03)
    upper.set_ylabel("observed share that is right")
    upper.yaxis.set_major_formatter(share_axis())
    lower.vlines(bins["predicted"], 0.7, bins["n"], color=BLUE, linewidth=5)
    lower.set_yscale("log")
    lower.set_ylim(0.7, float(bins["n"].max()) * 2)
    lower.yaxis.set_major_formatter(count_axis())
    lower.yaxis.set_minor_locator(NullLocator())
    lower.set_ylabel("cases, log")
    lower.set_xlim(-0.02, 1.02)
    lower.set_xlabel("predicted probability")
    lower.xaxis.set_major_formatter(share_axis())
    for axes in (upper, lower):
        grid(axes, "y")
    legend_above(upper, 2)
    return finish(
        figure,
        title,
        "Share that is right against the predicted probability, with 95 % intervals; cases below",
        alt="; ".join(
            f"predicted {format_probability(row.predicted)}, observed {format_probability(row.observed)}"
            for row in rows_of(bins)
        ),
        n=f"{format_count(cases)} cases in {len(bins)} bins",
        source=source,
    )
