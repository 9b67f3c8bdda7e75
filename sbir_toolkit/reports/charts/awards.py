"""Charts of what came in and what came out: awards, rejected records, recipients, and the funding."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from sbir_toolkit.reports.charts.base import (
    BLUE,
    GREY,
    INK,
    Chart,
    count_axis,
    finish,
    grid,
    house_style,
    label_rows,
    legend_above,
    new_figure,
    nothing,
    say,
    share_axis,
    usd_axis,
    write_beside,
)
from sbir_toolkit.reports.units import format_count, format_large_usd, format_share

_IDENTIFIERS = {
    "uei": "UEI",
    "duns": "DUNS",
    "cage": "CAGE code",
    "parent_uei": "parent's UEI",
    "zip5": "ZIP",
    "state": "state",
    "address1": "street address",
    "alternate_names": "other names",
}
_SHOWN_BARS = 15


@house_style
def award_years(awards: pd.DataFrame, *, source: str = "table awards") -> Chart:
    """Draw the awards and their dollars by year; matched and unmatched apart, where that is known.

    Parameters
    ----------
    awards : pandas.DataFrame
        One row per award with `award_year` and `award_usd`, and `decision` where awards have been matched.
    source
        Where the awards come from, for the caption.

    Returns
    -------
    Chart
        Two panels over the award year: awards, and US dollars.
    """
    known = awards[awards["award_year"].notna()]
    if known.empty:
        return nothing("no awards", source=source)
    is_matched = (
        known["decision"].eq("accept") if "decision" in known else pd.Series(False, index=known.index)
    )
    usd = known["award_usd"].fillna(0.0)
    by_year = pd.DataFrame(
        {"year": known["award_year"].astype("int64"), "awards": 1, "usd": usd}
        | {"matched_awards": is_matched.astype("int64"), "matched_usd": usd.where(is_matched, 0.0)}
    )
    years = by_year.groupby("year").sum()
    total, matched = len(known), int(is_matched.sum())
    if "decision" in known:
        title = f"{format_share(matched / total)} of awards have a recipient"
        if usd.sum() > 0:
            title += f", and {format_share(years['matched_usd'].sum() / usd.sum())} of the dollars"
    else:
        most = int(years["awards"].max())
        best = years.index[years["awards"] == most][0]
        title = f"{format_count(total)} awards worth {format_large_usd(usd.sum())}, "
        title += f"most of them in {best} ({format_count(most)})"
    figure = new_figure(4.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _stack_years(upper, years, "awards", with_matched="decision" in known)
    _stack_years(lower, years, "usd", with_matched="decision" in known)
    upper.set_ylabel("awards")
    upper.yaxis.set_major_formatter(count_axis())
    lower.set_ylabel("US dollars as filed")
    lower.yaxis.set_major_formatter(usd_axis())
    lower.set_xlabel("award year")
    if "decision" in known:
        legend_above(upper, 2)
    first, last = years.index.min(), years.index.max()
    return finish(
        figure,
        title,
        "Awards (above) and US dollars as filed (below) by award year",
        alt=f"Bars by year from {first} to {last}.",
        n=f"{format_count(total)} awards, {format_count(known['award_usd'].isna().sum())} without an amount",
        source=source,
    )


@house_style
def rejects_by_reason(
    rejects: pd.DataFrame, *, records: int | None = None, source: str = "rejects table"
) -> Chart:
    """Draw why records couldn't be used.

    Parameters
    ----------
    rejects : pandas.DataFrame
        One row per rejected record with `reason`, as in the contracts AWARD_REJECTS and RECIPIENT_REJECTS.
    records
        Records read in all, to say what share was rejected.
    source
        Where the rejects come from, for the caption.

    Returns
    -------
    Chart
        One bar per reason, the most frequent first; when nothing was rejected, only words.
    """
    read = f" of {format_count(records)}" if records is not None else ""
    if rejects.empty:
        return say(f"No record{read} was rejected", source=source)
    reasons = rejects["reason"].fillna("no reason given").value_counts(sort=False).sort_index()
    reasons = reasons.sort_values(ascending=False, kind="stable")
    share = f" ({format_share(len(rejects) / records)})" if records else ""
    were = "record was" if len(rejects) == 1 else "records were"
    title = f"{format_count(len(rejects))}{read} {were} rejected{share}, most often: {reasons.index[0]}"
    shown = _pooled(reasons.to_frame("records"))
    figure = new_figure(0.7 + 0.3 * len(shown))
    axes = figure.subplots()
    axes.barh(range(len(shown)), shown["records"], color=BLUE, height=0.62)
    for row, count in enumerate(shown["records"]):
        write_beside(axes, format_count(count), (count, row))
    label_rows(axes, [str(name) for name in shown.index], width=44)
    axes.set_xlabel("records")
    axes.xaxis.set_major_formatter(count_axis())
    axes.margins(x=0.1)
    grid(axes, "x")
    return finish(
        figure,
        title,
        "Rejected records by reason; each is kept with its line in the rejects table",
        alt=f"{len(reasons)} reasons.",
        n=f"{format_count(len(rejects))} rejected records",
        source=source,
    )


@house_style
def recipients_by_source_and_identifier_fill(
    filled: pd.DataFrame, *, source: str = "table recipients"
) -> Chart:
    """Draw where the recipients come from, and how many carry each identifier.

    Parameters
    ----------
    filled : pandas.DataFrame
        As `count_filled(recipients, by="source")` counts: one row per source with `source`, `rows`, and how
        many rows have each of the contract's other columns.
    source
        Where the recipients come from, for the caption.

    Returns
    -------
    Chart
        Two panels: recipients by source, and the share of recipients that have each identifier.
    """
    recipients = int(filled["rows"].sum())
    if recipients == 0:
        return nothing("no recipients", source=source)
    present = {
        label: filled[name].sum() / recipients for name, label in _IDENTIFIERS.items() if name in filled
    }
    fill = pd.Series(present, dtype="float64")
    sources = filled.set_index("source")["rows"]
    told = [f"{format_share(fill[name])} have a {name}" for name in ("UEI", "DUNS") if name in fill]
    title = f"{format_count(recipients)} recipients" + (f": {', '.join(told)}" if told else "")
    shown = _pooled(sources.to_frame("recipients"), limit=8)
    figure = new_figure(0.75 + 0.3 * max(len(shown), len(fill), 2))
    left, right = figure.subplots(1, 2)
    left.barh(range(len(shown)), shown["recipients"], color=BLUE, height=0.62)
    label_rows(left, [str(name) for name in shown.index], width=28)
    left.set_ylim(max(len(shown), len(fill)) - 0.4, -0.6)
    left.set_xlabel("recipients, by source")
    left.xaxis.set_major_formatter(count_axis())
    left.locator_params(axis="x", nbins=4)
    right.barh(range(len(fill)), [1.0] * len(fill), color="#eef1f4", height=0.62)
    right.barh(range(len(fill)), fill, color=BLUE, height=0.62)
    for row, share in enumerate(fill):
        right.annotate(
            format_share(share),
            (1, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
    label_rows(right, [str(name) for name in fill.index], width=22)
    right.set_xlim(0, 1.16)
    right.set_xticks([0, 0.5, 1])
    right.xaxis.set_major_formatter(share_axis())
    right.set_xlabel("share of recipients that have it")
    grid(left, "x")
    grid(right, "x")
    return finish(
        figure,
        title,
        "Recipients by source (left) and how many carry each identifier (right)",
        alt="; ".join(f"{name} {format_share(share)}" for name, share in fill.items()),
        n=f"{format_count(recipients)} recipients",
        source=source,
    )


@house_style
def funding_by(funding: pd.DataFrame, dimension: str, *, source: str = "table funding") -> Chart:
    """Draw the dollars with and without a known recipient along one dimension.

    Parameters
    ----------
    funding : pandas.DataFrame
        Of the contract FUNDING.
    dimension
        year, agency or state.
    source
        Where the figures come from, for the caption.

    Returns
    -------
    Chart
        Columns over the years, or one bar for each of the 15 largest agencies or states and one for the rest.
    """
    chosen = funding[funding["dimension"] == dimension]
    if chosen.empty:
        return nothing(f"no funding by {dimension}", source=source)
    values = chosen.set_index("value")[["awards", "awards_usd", "matched_usd"]]
    total, matched = values["awards_usd"].sum(), values["matched_usd"].sum()
    title = f"{format_large_usd(matched)} of {format_large_usd(total)} went to a known recipient"
    if total > 0:
        title = f"{format_share(matched / total)} of {format_large_usd(total)} went to a known recipient"
    if dimension == "year":
        years = values.rename(index=int).sort_index()
        figure = new_figure(2.9)
        axes = figure.subplots()
        _stack_years(axes, years.rename(columns={"awards_usd": "usd"}), "usd", with_matched=True)
        axes.set_ylabel("US dollars as filed")
        axes.yaxis.set_major_formatter(usd_axis())
        axes.set_xlabel("award year")
        legend_above(axes, 2)
    else:
        ranked = _pooled(values.sort_index().sort_values("awards_usd", ascending=False, kind="stable"))
        title += f"; largest: {values['awards_usd'].sort_index().idxmax()}"
        figure = new_figure(0.95 + 0.29 * len(ranked))
        axes = figure.subplots()
        _draw_ranked(axes, ranked)
    return finish(
        figure,
        title,
        f"US dollars as filed, by {'award year' if dimension == 'year' else dimension}",
        alt=f"{len(values)} values of {dimension}.",
        n=f"{format_count(values['awards'].sum())} awards",
        source=source,
    )


def _draw_ranked(axes: Axes, ranked: pd.DataFrame) -> None:
    rows = range(len(ranked))
    rest = ranked["awards_usd"] - ranked["matched_usd"]
    axes.barh(rows, ranked["matched_usd"], color=BLUE, height=0.62, label="recipient known")
    axes.barh(rows, rest, left=ranked["matched_usd"], color=GREY, height=0.62, label="recipient not known")
    for row, (usd, matched) in enumerate(zip(ranked["awards_usd"], ranked["matched_usd"], strict=True)):
        share = f"{format_share(matched / usd)} known" if usd > 0 else ""
        write_beside(axes, share, (max(usd, 0), row))
    label_rows(axes, [str(name) for name in ranked.index])
    axes.set_xlabel("US dollars as filed")
    axes.xaxis.set_major_formatter(usd_axis())
    axes.margins(x=0.14)
    axes.set_xlim(left=min(0.0, float(ranked["awards_usd"].min())))
    grid(axes, "x")
    legend_above(axes, 2)


def _stack_years(axes: Axes, years: pd.DataFrame, measure: str, *, with_matched: bool) -> None:
    if with_matched:
        matched = years[f"matched_{measure}"]
        axes.bar(years.index, matched, color=BLUE, width=0.8, label="recipient known")
        rest = years[measure] - matched
        axes.bar(years.index, rest, bottom=matched, color=GREY, width=0.8, label="recipient not known")
    else:
        axes.bar(years.index, years[measure], color=BLUE, width=0.8)
    axes.set_xlim(years.index.min() - 0.7, years.index.max() + 0.7)
    axes.locator_params(axis="x", integer=True, nbins=min(12, max(2, len(years))))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", labelcolor=INK)
    grid(axes, "y")


def _pooled(ranked: pd.DataFrame, *, limit: int = _SHOWN_BARS) -> pd.DataFrame:
    if len(ranked) <= limit:
        return ranked
    rest = ranked.iloc[limit - 1 :]
    pooled = rest.sum().to_frame(f"{len(rest)} others").T.astype(ranked.dtypes.to_dict())
    return pd.concat([ranked.iloc[: limit - 1], pooled])
