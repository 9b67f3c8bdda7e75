"""How right links are, judged against the truth that is written beside synthetic files.

Ours and every peer's are judged by the same rules. A link counts when its tool accepts it; it is right when
it names the recipient that the truth names. What identifiers alone decide (the floor's links) is judged only
in the first line; everything else is about the awards *left to names*, the same ones for every tool.
Renamed firms are apart in the recall: no name says that they are the same.

Each figure is counted twice: over awards, and over distinct companies (one name, address and set of
identifiers as filed), because a firm with a hundred awards is one decision and not a hundred. Intervals are
Wilson's, at 95 %; over awards they are too narrow for that same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet as pq

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.quality import wilson_interval

CALIBRATED_FROM = 0.4
"""Proposals with at least this probability are held against what came true: what a person would be shown."""

_COMPANY = ["Company", "Address1", "City", "State", "Zip", "UEI", "Duns"]
_BINS = np.linspace(CALIBRATED_FROM, 1, 13)


@dataclass(frozen=True)
class Judgement:
    """What was found out about one tool's links.

    Parameters
    ----------
    figures : pandas.DataFrame
        Columns figure, of (award, company), value, low, high, count, cases; a figure without cases is NaN.
    kinds : pandas.DataFrame
        The same by kind of noise, over awards left to names: column noise, and precision and recall.
    """

    figures: pd.DataFrame
    kinds: pd.DataFrame

    def value(self, figure: str, of: str) -> float:
        """Give one figure's value."""
        rows = self.figures[(self.figures["figure"] == figure) & (self.figures["of"] == of)]
        return float(rows["value"].iloc[0])


def read_truth(folder: Path) -> pd.DataFrame:
    """Read what is true of each award of a folder of synthetic files.

    Parameters
    ----------
    folder
        With `awards.csv` and `truth.csv`, as `write_synthetic` writes them.

    Returns
    -------
    pandas.DataFrame
        One row per record of the award file, in its order: recipient (null: it has none), noise, company (a
        digest of the company as filed), is_rejected (no award can be read from the record).
    """
    truth = pd.read_csv(folder / "truth.csv", dtype=str)
    filed = pyarrow.csv.read_csv(
        folder / "awards.csv",
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=_COMPANY, column_types=dict.fromkeys(_COMPANY, "string")
        ),
    ).to_pandas()
    return pd.DataFrame(
        {
            "recipient": truth["recipient_hash"],
            "noise": truth["noise"],
            "company": pd.util.hash_pandas_object(filed.fillna(""), index=False),
            "is_rejected": truth["is_rejected"] == "1",
        }
    )


def read_links(path: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """Read a tool's links in the order of the awards: our table `matches`, or what a peer wrote.

    Parameters
    ----------
    path
        Parquet.
    truth : pandas.DataFrame
        As `read_truth` gives it.

    Returns
    -------
    pandas.DataFrame
        With the index of the truth's awards that aren't rejected: recipient (accepted or proposed, or null),
        probability (or null), is_accepted, is_tried (the tool was asked).

    Raises
    ------
    InputError
        When the file hasn't one row for each award.
    """
    table = pq.read_table(path).to_pandas()
    kept = truth.index[~truth["is_rejected"]]
    is_ours = "decision" in table
    expected = len(kept) if is_ours else len(truth)
    if len(table) != expected:
        raise InputError(
            explain(
                "these are links for other awards",
                where=path,
                expected=f"{expected:,} rows",
                got=f"{len(table):,}",
            )
        )
    if not is_ours:
        columns = ["recipient", "probability", "is_accepted", "is_tried"]
        return table.sort_values("row", ignore_index=True).loc[kept, columns]
    return pd.DataFrame(
        {
            "recipient": table["recipient_id"].to_numpy(),
            "probability": table["match_probability"].to_numpy(),
            "is_accepted": (table["decision"] == "accept").to_numpy(),
            "is_tried": True,
        },
        index=kept,
    )


def judge(links: pd.DataFrame, floor: pd.DataFrame, truth: pd.DataFrame) -> Judgement:
    """Judge a tool's links.

    Parameters
    ----------
    links : pandas.DataFrame
        As `read_links` gives them.
    floor : pandas.DataFrame
        The links that identifiers alone give, read the same way; what it left open is left to names.
    truth : pandas.DataFrame
        As `read_truth` gives it.

    Returns
    -------
    Judgement
        Of the awards that were tried.
    """
    cases = links.join(truth[["noise", "company"]]).assign(
        truth=truth["recipient"], is_left=floor["recipient"].isna()
    )
    cases = cases[cases["is_tried"].astype(bool)]
    cases["is_accepted"] = cases["is_accepted"].astype(bool) & cases["recipient"].notna()
    cases["is_right"] = cases["recipient"].notna() & (cases["recipient"] == cases["truth"])
    cases["is_linkable"] = cases["truth"].notna()
    companies = cases.drop_duplicates("company")
    figures = [*_figures(cases, "award"), *_figures(companies, "company")]
    left = cases[cases["is_left"]]
    kinds = [
        {"noise": str(noise), **row}
        for noise, of_kind in left.groupby("noise")
        for row in (_precision("precision", of_kind), _recall("recall", of_kind))
    ]
    return Judgement(pd.DataFrame(figures), pd.DataFrame(kinds))


def expected_calibration_error(probability: pd.Series, is_right: pd.Series) -> float:
    """Give the mean distance between probability and truth, over twelve bins from 0.4 to 1.

    Parameters
    ----------
    probability : pandas.Series of float
        What the tool said; null or below 0.4 isn't counted.
    is_right : pandas.Series of bool
        What was true.

    Returns
    -------
    float
        Sum over the bins of |mean probability - share right|, weighted by their cases; NaN without cases.
    """
    is_counted = (probability >= CALIBRATED_FROM).fillna(False).to_numpy(dtype=bool)
    said = probability[is_counted].to_numpy(dtype=float)
    was = is_right[is_counted].to_numpy(dtype=float)
    if not len(said):
        return float("nan")
    bins = np.digitize(said, _BINS[1:-1])
    distance = np.bincount(bins, weights=said - was, minlength=len(_BINS) - 1)
    return float(np.abs(distance).sum() / len(said))


def _figures(cases: pd.DataFrame, of: str) -> list[dict[str, Any]]:
    left = cases[cases["is_left"]]
    proposed = left[left["recipient"].notna()]
    nobody = left[~left["is_linkable"]]
    renamed = left["noise"] == "rename"
    precision, recall = _precision("precision by name", left), _recall("recall by name", left[~renamed])
    sum_ = precision["value"] + recall["value"]
    counted = int((proposed["probability"] >= CALIBRATED_FROM).sum())
    error = expected_calibration_error(proposed["probability"], proposed["is_right"])
    rows = [
        _precision("precision", cases),
        precision,
        recall,
        _plain(
            "F1 by name", 2 * precision["value"] * recall["value"] / sum_ if sum_ else float("nan"), len(left)
        ),
        _recall("recall by name, renamed", left[renamed]),
        share_row("linked without counterpart", nobody["is_accepted"]),
        _plain("calibration error", error, counted),
    ]
    return [{"of": of, **row} for row in rows]


def _precision(figure: str, cases: pd.DataFrame) -> dict[str, Any]:
    return share_row(figure, cases.loc[cases["is_accepted"], "is_right"])


def _recall(figure: str, cases: pd.DataFrame) -> dict[str, Any]:
    linkable = cases[cases["is_linkable"]]
    return share_row(figure, linkable["is_right"] & linkable["is_accepted"])


def share_row(figure: str, counts: pd.Series) -> dict[str, Any]:
    """Count how many of some cases are true; NaN where there is none."""
    count, cases = int(counts.sum()), len(counts)
    low, high = wilson_interval(count, cases, 0.95)
    value = count / cases if cases else float("nan")
    return {"figure": figure, "value": value, "low": low, "high": high, "count": count, "cases": cases}


def _plain(figure: str, value: float, cases: int) -> dict[str, Any]:
    nan = float("nan")
    return {"figure": figure, "value": value, "low": nan, "high": nan, "count": None, "cases": cases}
