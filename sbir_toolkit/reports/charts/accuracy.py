"""Charts of what the accuracy depends on: the threshold, and the routes to candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sbir_toolkit.reports.charts.base import (
    AMBER,
    BLUE,
    GREY,
    INK,
    LIGHT_BLUE,
    RED,
    Chart,
    finish,
    grid,
    house_style,
    label_rows,
    legend_above,
    new_figure,
    nothing,
    rows_of,
    share_axis,
    write_at_edge,
)
from sbir_toolkit.reports.units import format_count, format_interval, format_share

_LINES = {
    "precision": ("links that are right", BLUE, "-o"),
    "recall": ("companies rightly linked", AMBER, "-s"),
    "removed_link_share": ("linked without their recipient", RED, "-o"),
    "decoy_link_share": ("invented, and linked", GREY, "-s"),
}
_NONE = "none"


@house_style
def threshold_curves(
    thresholds: pd.DataFrame, *, source: str = "companies whose identifier was hidden, and decoys"
) -> Chart:
    """Draw what accepting from another probability on would mean.

    Parameters
    ----------
    thresholds : pandas.DataFrame
        Of the contract ACCURACY_THRESHOLDS.
    source
        Where the trials come from, for the caption.

    Returns
    -------
    Chart
        Precision and recall above, false links below, each with its 95 % interval, by threshold.
    """
    known = thresholds.dropna(subset=["recall"]).sort_values("threshold", kind="stable")
    if known.empty:
        return nothing("no trials to judge thresholds by", source=source)
    figure = new_figure(4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
    place = np.arange(len(known))
    for axes, names in ((upper, list(_LINES)[:2]), (lower, list(_LINES)[2:])):
        for name in names:
            _draw_line(axes, place, known, name)
        grid(axes, "y")
        axes.yaxis.set_major_formatter(share_axis())
        legend_above(axes, 2)
    # A line of zeros must still be seen.
    lower.set_ylim(bottom=-0.03 * lower.get_ylim()[1])
    upper.set_ylabel("share of links, of companies")
    lower.set_ylabel("share falsely linked")
    lower.set_xticks(place, [f"{threshold:g}" for threshold in known["threshold"]])
    lower.set_xlabel("accept from this match probability on")
    current = known[known["is_current"].astype(bool)]
    for at in place[known["is_current"].to_numpy(bool)]:
        for axes in (upper, lower):
            axes.axvline(at, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    return finish(
        figure,
        _threshold_title(current if len(current) else known.tail(1)),
        "What each threshold would mean, with 95 % intervals; the dashed line is the one that was used",
        alt="; ".join(
            f"from {row.threshold:g}: {format_share(row.precision)} right, {format_share(row.recall)} found"
            for row in rows_of(known)
        ),
        n=f"{format_count(known['trials'].max())} companies, each with and without its recipient, and "
        f"{format_count(known['decoys'].max())} decoys",
        source=source,
    )


def _threshold_title(rows: pd.DataFrame) -> str:
    row = rows_of(rows)[0]
    return (
        f"Accepting from {row.threshold:g} on: {format_share(row.precision)} of links are right, "
        f"{format_share(row.recall)} of companies are found, "
        f"{format_share(row.removed_link_share)} of those without a recipient get a false one"
    )


def _draw_line(axes: Axes, place: np.ndarray, rows: pd.DataFrame, name: str) -> None:
    label, colour, mark = _LINES[name]
    value, low, high = (rows[column].to_numpy(float) for column in (name, f"{name}_low", f"{name}_high"))
    axes.fill_between(place, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(place, value, mark, color=colour, markersize=4, label=label)


@house_style
def routes_found(routes: pd.DataFrame, *, source: str = "companies whose identifier was hidden") -> Chart:
    """Draw what each route to candidates finds, and what it alone finds.

    Parameters
    ----------
    routes : pandas.DataFrame
        Of the contract ACCURACY_ROUTES.
    source
        Where the companies come from, for the caption.

    Returns
    -------
    Chart
        One bar per route: all that it finds, and in a darker colour what no other route finds.
    """
    if routes.empty:
        return nothing("no companies for which routes were followed", source=source)
    total = int(routes["cases"].sum())
    sets = [set(str(names).split(", ")) for names in routes["routes"]]
    cases = routes["cases"].to_numpy(int)
    names = sorted(
        {name for one in sets for name in one} - {_NONE},
        key=lambda name: (-_count(sets, cases, name), name),
    )
    none = routes[routes["routes"] == _NONE]
    figure = new_figure(0.9 + 0.36 * (len(names) + 1))
    axes = figure.subplots()
    for row, name in enumerate(names):
        found = _count(sets, cases, name)
        alone = int(cases[[one == {name} for one in sets]].sum())
        first = row == 0
        axes.barh(row, found / total, height=0.62, color=LIGHT_BLUE, label="found" if first else None)
        axes.barh(row, alone / total, height=0.62, color=BLUE, label="found by no other" if first else None)
        write_at_edge(axes, f"{format_share(found / total)}, alone {format_share(alone / total)}", row)
    missed = format_interval(*none[["share", "low", "high"]].iloc[0]) if len(none) else "0 %"
    axes.barh(len(names), none["share"].sum(), height=0.62, color=RED)
    write_at_edge(axes, missed, len(names))
    label_rows(axes, [*names, "none of them"])
    axes.set_xlim(0, 1.02)
    axes.xaxis.set_major_formatter(share_axis())
    axes.set_xlabel("share of companies whose recipient is among the candidates")
    grid(axes, "x")
    if names:
        legend_above(axes, 2)
    told = (
        [f"Most are found by {names[0]} ({format_share(_count(sets, cases, names[0]) / total)})"]
        if names
        else []
    )
    return finish(
        figure,
        "; ".join([*told, f"{missed} of right recipients are found by no route"]),
        "What each route to candidates finds by itself, and what it alone finds",
        alt="; ".join(f"{row.routes}: {format_count(row.cases)}" for row in rows_of(routes)),
        n=f"{format_count(total)} companies",
        source=source,
    )


def _count(sets: list[set[str]], cases: np.ndarray, name: str) -> int:
    return int(cases[[name in one for one in sets]].sum())
