"""Labels: what a person said about pairs, and what follows for all companies.

Pairs were drawn from strata of very different size, so each answer counts for its share of its stratum
(decision, tier, probability). Precision is the share of right ones among what was accepted; what is right
among reviewed and rejected candidates was missed, and gives recall. A company without any candidate has
nothing to label: recall is that of companies whose recipient was among the candidates.

The interval comes from drawing each stratum's share anew from what its answers leave possible (Jeffreys'
prior), with a fixed seed, so that three right answers out of three aren't taken for certainty.

Labels outlive refreshed files. Those whose company is no longer there, or is proposed another recipient, are
left out, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.matching.accuracy.estimates import Estimates
from sbir_toolkit.matching.accuracy.proposals import company_of, decision_of, name_strata, propose
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.texts import Floats, Ints
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.sources.sheets import read_sheet

ANSWERS = ("yes", "no", "unsure")
_COLUMNS = ("key", "same", "who", "note")
_DRAWS = 4_000
_METHOD = "labelled by a person, blind; answers weighted to their strata (decision, tier, probability)"


def read_labels(path: Path | None) -> pd.DataFrame:
    """Read a label sample that somebody filled in.

    Parameters
    ----------
    path : pathlib.Path, optional
        CSV (UTF-8) or Excel (.xlsx), in the layout of the label sample; only `key`, `same`, `who` and `note`
        are looked at. None: there are no labels.

    Returns
    -------
    pandas.DataFrame
        Columns key, same, who, note, in the order of the file; rows without an answer are left out.

    Raises
    ------
    InputError
        When the file can't be read, lacks a column, or a row's key or answer isn't one, naming the row.
    """
    if path is None:
        return pd.DataFrame({name: pd.Series(dtype="str") for name in _COLUMNS})
    table = read_sheet(path, "labels")
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise InputError(
            explain(
                "the labels lack columns",
                where=path,
                expected=", ".join(_COLUMNS),
                got=", ".join(table.columns),
                todo="fill in the label sample that a run writes, and leave its header as it is",
            )
        )
    labels = table.assign(same=table["same"].str.lower(), row=np.arange(2, len(table) + 2))
    is_known = labels["key"].map(lambda key: company_of(key) is not None).astype(bool)
    _refuse(labels, ~is_known, "key", "a key of the label sample, unchanged", path)
    _refuse(labels, ~labels["same"].isin(["", *ANSWERS]), "same", f"{', '.join(ANSWERS)} or nothing", path)
    answered = labels[labels["same"] != ""]
    _refuse(answered, answered["key"].duplicated(), "key", "each pair answered once", path)
    return answered.reset_index(drop=True)[list(_COLUMNS)]


def add_labelled(
    estimates: Estimates,
    labels: pd.DataFrame,
    companies: pd.DataFrame,
    company_matches: pd.DataFrame,
    index: RecipientIndex,
    *,
    matching: Matching,
    accuracy: Accuracy,
) -> None:
    """Add what labels say of precision and recall; nothing when there are no labels.

    Parameters
    ----------
    estimates : Estimates
    labels : pandas.DataFrame
        As `read_labels` gives them.
    companies, company_matches : pandas.DataFrame
        As the contracts say.
    index : RecipientIndex
    matching : Matching
    accuracy : Accuracy
        Its seed is that of the interval.
    """
    if labels.empty:
        return
    strata = name_strata(company_matches)
    owner = labels["key"].map(company_of)
    asked = companies[companies["company_id"].isin(set(owner))].sort_values("company_id", ignore_index=True)
    proposals = propose(asked, company_matches, index, matching)
    is_current = labels["key"].isin(set(proposals["key"]))
    estimates.add_share(
        "labels_used_share", is_current, method="labels whose pair is still proposed, counted"
    )
    used = labels[is_current]
    is_sure = used["same"] != "unsure"
    estimates.add_share("labels_unsure_share", ~is_sure, method="labels used that say unsure, counted")
    sure = used[is_sure]
    stratum_of = dict(zip(company_matches["company_id"].tolist(), strata.tolist(), strict=True))
    tally = _tally(
        strata, np.array([stratum_of[one] for one in owner[sure.index]], str), sure["same"].eq("yes")
    )
    drawn = _draw_shares(tally, accuracy)
    for decision in ("accept", "review", "reject"):
        inside = np.flatnonzero(tally.decision == decision)
        _add(
            estimates,
            "labelled_right_share",
            _right(tally.share, tally, inside) / tally.size[inside].sum() if len(inside) else np.nan,
            _right(drawn, tally, inside) / max(tally.size[inside].sum(), 1),
            cases=(int(tally.right[inside].sum()), int(tally.asked[inside].sum())),
            part=f"decision={decision}",
        )
    accepted = np.flatnonzero(tally.decision == "accept")
    everything = np.arange(len(tally.size))
    for name, of in (("labelled_precision", tally.size[accepted].sum()), ("labelled_recall", None)):
        right = _right(tally.share, tally, accepted)
        right_drawn = _right(drawn, tally, accepted)
        total = _right(tally.share, tally, everything) if of is None else of
        total_drawn = _right(drawn, tally, everything) if of is None else of
        inside = everything if of is None else accepted
        _add(
            estimates,
            name,
            right / total if total else np.nan,
            right_drawn / np.maximum(total_drawn, 1e-9),
            cases=(int(tally.right[inside].sum()), int(tally.asked[inside].sum())),
        )
    unasked = int(np.isin(strata, tally.name, invert=True).sum() - (strata == "").sum())
    known = int((strata != "").sum())
    estimates.add(
        "labelled_coverage",
        (known - unasked) / known if known else np.nan,
        cases=(known - unasked, known),
        method="companies with a candidate, in a stratum with an answer, counted; the others are unknown",
    )


@dataclass(frozen=True)
class _Tally:
    """Strata with an answer: their companies, and how many were asked about and right."""

    name: npt.NDArray[np.str_]
    decision: npt.NDArray[np.str_]
    size: Ints
    asked: Ints
    right: Ints

    @property
    def share(self) -> Floats:
        """The share that is right."""
        return self.right / self.asked


def _tally(strata: npt.NDArray[np.str_], asked: npt.NDArray[np.str_], is_right: pd.Series[bool]) -> _Tally:
    names, place = np.unique(asked, return_inverse=True)
    sizes = dict(zip(*np.unique(strata, return_counts=True), strict=True))
    return _Tally(
        names,
        np.array([decision_of(name) for name in names.tolist()], str),
        np.array([sizes[name] for name in names], np.int64),
        np.bincount(place, minlength=len(names)),
        np.bincount(place, is_right.to_numpy(float), minlength=len(names)).astype(np.int64),
    )


def _draw_shares(tally: _Tally, accuracy: Accuracy) -> Floats:
    rng = np.random.default_rng([accuracy.seed, 5])
    wrong = tally.asked - tally.right
    return rng.beta(tally.right + 0.5, wrong + 0.5, (_DRAWS, len(tally.name)))


def _right(share: Floats, tally: _Tally, inside: Ints) -> Floats:
    """Give how many companies of some strata are right, by the shares that are."""
    right: Floats = (share[..., inside] * tally.size[inside]).sum(axis=-1)
    return right


def _add(
    estimates: Estimates,
    name: str,
    value: Floats | float,
    drawn: Floats,
    *,
    cases: tuple[int, int],
    part: str = "all",
) -> None:
    value = float(value)
    tail = (1 - estimates.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    is_known = not np.isnan(value)
    estimates.add(
        name,
        value,
        min(value, float(low)) if is_known else np.nan,
        max(value, float(high)) if is_known else np.nan,
        cases=cases,
        method=f"{_METHOD}; interval from Jeffreys' prior for each stratum",
        part=part,
    )


def _refuse(labels: pd.DataFrame, is_wrong: pd.Series[bool], column: str, expected: str, path: Path) -> None:
    wrong = labels[is_wrong]
    if wrong.empty:
        return
    first = wrong.iloc[0]
    raise InputError(
        explain(
            f"{len(wrong)} row(s) of the labels can't be used",
            where=f"{path}, row {first['row']}, column {column}",
            expected=expected,
            got=repr(first[column]),
            todo="correct the cell, or take the row out",
        ),
        rows=wrong,
    )
