"""How right the matching is, measured without labels, with intervals.

Three questions, each answered by a trial whose right answer is known:

- *Hidden identifier.* Companies whose UEI or DUNS names a recipient are matched again with their
  identifiers blanked. What is found by
  name and place alone is compared with what the identifier said. (Several recipients of one firm are one.)
- *Removed truth.* The same companies, with the right recipient kept from them: every link accepted is a
  false one. This is
  the best estimate of what happens to companies that have no counterpart.
- *Decoys.* Invented companies: words of two real names put together, at the place of a third. Nobody should
  be linked to them.

The first two also say whether a probability of 0.9 is right nine times in ten (`AccuracyReport.reliability`).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyarrow as pa

from sbir_toolkit.matching.candidates import find_exact
from sbir_toolkit.matching.decide import decide, same_firm
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.match import match_blocks
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, place_level, read_places
from sbir_toolkit.matching.texts import Floats, Ints
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.tables import ACCURACY, COMPANIES

_BINS = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
# One trial in five of the reliability has no right recipient: about the share of award companies that
# have none.
_REMOVED_EVERY = 4


@dataclass(frozen=True)
class AccuracyReport:
    """How right the matching is.

    Parameters
    ----------
    table : pandas.DataFrame
        As the contract `accuracy` says: each estimate for all companies and for slices, with its interval.
    reliability : pandas.DataFrame
        Columns predicted, observed, n, low, high: for companies whose best candidate got about the same
        probability, its mean, and the share of them that was right.
    cases : pandas.DataFrame
        Every trial: kind (hidden, removed, decoy), company_id, company, city, state, truth_id, truth_name,
        recipient_id, recipient_name, match_probability, decision, is_right, spelling, place.
    """

    table: pd.DataFrame
    reliability: pd.DataFrame
    cases: pd.DataFrame

    def __repr__(self) -> str:
        lines = [
            f"  {row.estimate:<34} {row.value:.3f}  ({row.numerator} of {row.denominator})"
            for row in self.table[self.table["slice"] == "all"].dropna(subset="value").itertuples()
        ]
        return "\n".join([f"AccuracyReport of {len(self.cases)} trials", *lines])

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, float_format="{:.3f}".format))


def measure_accuracy(
    companies: pd.DataFrame, index: RecipientIndex, matching: Matching, accuracy: Accuracy, confidence: float
) -> AccuracyReport:
    """Measure how right the matching is on companies whose recipient is known, and on invented ones.

    Parameters
    ----------
    companies : pandas.DataFrame
        As the contract `companies` says.
    index : RecipientIndex
    matching : Matching
    accuracy : Accuracy
        Sizes and seed of the samples.
    confidence : float
        Level of the intervals (Wilson), 0..1.

    Returns
    -------
    AccuracyReport
        Estimates for which there is no case have a null value.
    """
    with phase("accuracy_sample", rows=len(companies)):
        sample, truth = _companies_with_truth(companies, index, matching, accuracy)
        decoys = _invent(companies, index, accuracy)
    with phase("accuracy_match", rows=2 * len(sample) + len(decoys)):
        nobody = np.full(len(decoys), -1)
        hidden = _try("hidden", sample, truth, index, matching, masked=np.full(len(sample), -1))
        removed = _try("removed", sample, truth, index, matching, masked=truth)
        decoy = _try("decoy", decoys, nobody, index, matching, masked=nobody)
    cases = pd.concat([hidden, removed, decoy], ignore_index=True)
    reliability = _reliability(pd.concat([hidden, removed[::_REMOVED_EVERY]]), confidence)
    table = _estimate(hidden, removed, decoy, reliability, confidence)
    return AccuracyReport(table, reliability, cases)


def wilson_interval(hits: int, cases: int, confidence: float) -> tuple[float, float]:
    """Give Wilson's interval of a share.

    Parameters
    ----------
    hits, cases : int
        `hits` of `cases` count; at least one case.
    confidence : float
        Level, 0..1.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> [round(end, 3) for end in wilson_interval(99, 100, 0.95)]
    [0.946, 0.998]
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / cases
    middle = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    half = z / (1 + z * z / cases) * float(np.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _companies_with_truth(
    companies: pd.DataFrame, index: RecipientIndex, matching: Matching, accuracy: Accuracy
) -> tuple[pd.DataFrame, Ints]:
    """Sample companies whose identifier and name tell their recipient; blank the identifiers."""
    with_id = companies[companies["uei"].notna() | companies["duns"].notna()].sort_values("company_id")
    order = np.random.default_rng(accuracy.seed).permutation(len(with_id))
    kept, truths, found = [], [], 0
    for low in range(0, len(order), accuracy.sample_companies):
        part = with_id.iloc[order[low : low + accuracy.sample_companies]]
        for block in match_blocks(part, index, matching):
            hits = block.hits
            good = np.flatnonzero((hits.row >= 0) & (hits.name > 0))[: accuracy.sample_companies - found]
            kept.append(block.companies.take(pa.array(good)).to_pandas())
            truths.append(hits.row[good])
            found += len(good)
        if found >= accuracy.sample_companies:
            break
    if not kept:
        return with_id, np.zeros(0, np.int64)
    sample = pd.concat(kept, ignore_index=True)
    return _blanked(sample), np.concatenate(truths)


def _blanked(companies: pd.DataFrame) -> pd.DataFrame:
    nothing = pd.Series([None] * len(companies), index=companies.index, dtype="str")
    return companies.assign(uei=nothing, duns=nothing)


def _invent(companies: pd.DataFrame, index: RecipientIndex, accuracy: Accuracy) -> pd.DataFrame:
    """Put the first half of one name before the second half of another, at the place of a third."""
    pool = companies.sort_values("company_id")
    if pool.empty:
        return pool
    rng = np.random.default_rng([accuracy.seed, 1])
    words = [str(name).split() for name in pool["company"]]
    one, other, place = (rng.integers(0, len(pool), accuracy.decoys) for _ in range(3))
    heads = [words[at][: max(1, len(words[at]) // 2)] for at in one.tolist()]
    tails = [words[at][max(1, len(words[at]) // 2) :] or words[at] for at in other.tolist()]
    invented = _blanked(pool.iloc[place].reset_index(drop=True)).assign(
        company=pd.Series(
            [" ".join(head + tail) for head, tail in zip(heads, tails, strict=True)], dtype="str"
        ),
        company_id=pd.Series([f"decoy-{number}" for number in range(accuracy.decoys)], dtype="str"),
    )
    names = read_names(pa.array(invented["company"], pa.string()))
    real = names.owner[find_exact(index, names)[0]]
    is_own = (one == other) | np.isin(np.arange(accuracy.decoys), real)
    decoys: pd.DataFrame = invented[~is_own].reset_index(drop=True)[COMPANIES.names]
    return decoys


def _try(
    kind: str,
    companies: pd.DataFrame,
    truth: Ints,
    index: RecipientIndex,
    matching: Matching,
    *,
    masked: Ints,
) -> pd.DataFrame:
    frames, low = [], 0
    for block in match_blocks(companies, index, matching, masked[:, None]):
        count = block.companies.num_rows
        right, choice = truth[low : low + count], block.choice
        low += count
        row = np.append(block.pairs.row, -1)[choice.best]
        decision = decide(choice.probability, choice.runner_up_probability, np.zeros(count, bool), matching)
        is_right = same_firm(index, row, right)
        found = index.shown(row)
        true = index.shown(right)
        spelling, place = _slices(block.companies, right, index)
        shown = block.companies.select(["company_id", "company", "city", "state"]).to_pandas()
        frames.append(
            shown.assign(
                kind=kind,
                truth_id=true.column("recipient_id").to_pandas(),
                truth_name=true.column("recipient_name").to_pandas(),
                recipient_id=found.column("recipient_id").to_pandas(),
                recipient_name=found.column("recipient_name").to_pandas(),
                match_probability=choice.probability,
                decision=decision,
                is_right=is_right & (kind == "hidden"),
                spelling=spelling,
                place=place,
            )
        )
    tried: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return tried


def _slices(companies: pa.Table, truth: Ints, index: RecipientIndex) -> tuple[list[str], list[str]]:
    """Say how each company is spelled and where it is, beside its right recipient."""
    names = read_names(companies.column("company").combine_chunks())
    at, entry = index.entries_of(np.maximum(truth, 0)) if index.rows else (truth[:0], truth[:0])
    theirs = set(zip(at.tolist(), index["name_joined"][index["entry_name"][entry]].tolist(), strict=True))
    same = {
        owner
        for owner, joined in zip(names.owner.tolist(), names.joined.tolist(), strict=True)
        if (owner, joined) in theirs
    }
    spelling = ["same" if owner in same else "differs" for owner in range(len(truth))]
    if not index.rows:
        return spelling, ["unknown"] * len(truth)
    column = [companies.column(name).combine_chunks() for name in ("address1", "city", "state", "zip5")]
    level = place_level(read_places(*column), index.places.take(np.maximum(truth, 0)))
    near = {"elsewhere": "elsewhere", "unknown": "unknown", "state": "state", "zip3": "state"}
    return spelling, [near.get(LEVELS[one], "city") for one in level.tolist()]


def _estimate(
    hidden: pd.DataFrame,
    removed: pd.DataFrame,
    decoy: pd.DataFrame,
    reliability: pd.DataFrame,
    confidence: float,
) -> pd.DataFrame:
    rows = []
    slices = {"all": hidden}
    for column in ("spelling", "place"):
        slices |= {f"{column}={value}": part for value, part in hidden.groupby(column, sort=True)}
    for name, part in slices.items():
        accepted, right = part["decision"] == "accept", part["is_right"]
        seen = part["decision"] != "reject"
        rows += [
            _share(
                "hidden_identifier_precision",
                name,
                accepted & right,
                accepted,
                method=_HIDDEN,
                confidence=confidence,
            ),
            _share(
                "hidden_identifier_recall",
                name,
                accepted & right,
                right | True,
                method=_HIDDEN,
                confidence=confidence,
            ),
            _share(
                "hidden_identifier_review_recall",
                name,
                seen & right,
                right | True,
                method=_HIDDEN,
                confidence=confidence,
            ),
            _share("candidate_recall", name, right, right | True, method=_HIDDEN, confidence=confidence),
        ]
    for estimate, part, method in (
        ("removed_truth_link_share", removed, _REMOVED),
        ("decoy_link_share", decoy, _DECOY),
    ):
        linked = part["decision"] == "accept"
        rows.append(_share(estimate, "all", linked, linked | True, method=method, confidence=confidence))
    cases = int(reliability["n"].sum())
    error = float(
        ((reliability["predicted"] - reliability["observed"]).abs() * reliability["n"]).sum() / max(cases, 1)
    )
    rows.append(
        {
            "estimate": "expected_calibration_error",
            "slice": "all",
            "value": error if cases else np.nan,
            "low": np.nan,
            "high": np.nan,
            "numerator": round(float((reliability["observed"] * reliability["n"]).sum())),
            "denominator": cases,
            "method": _CALIBRATION,
        }
    )
    table: pd.DataFrame = pd.DataFrame(rows)[ACCURACY.names]
    return table


_HIDDEN = "identifiers blanked, found by name and place, compared with the identifier's; Wilson interval"
_REMOVED = "identifiers blanked and the right recipient taken away: every link is false; Wilson interval"
_DECOY = "invented names at real places: every link is false; Wilson interval"
_CALIBRATION = (
    "mean distance of probability and share of right ones over bins; one trial in five lacks its recipient"
)


def _share(
    estimate: str, part: str, counted: pd.Series[bool], of: pd.Series[bool], *, method: str, confidence: float
) -> dict[str, object]:
    hits, cases = int(counted.sum()), int(of.sum())
    low, high = wilson_interval(hits, cases, confidence) if cases else (np.nan, np.nan)
    return {
        "estimate": estimate,
        "slice": part,
        "value": hits / cases if cases else np.nan,
        "low": low,
        "high": high,
        "numerator": hits,
        "denominator": cases,
        "method": method,
    }


def _reliability(cases: pd.DataFrame, confidence: float) -> pd.DataFrame:
    probability: Floats = cases["match_probability"].to_numpy(float)
    right = cases["is_right"].to_numpy(bool)
    place = np.searchsorted(_BINS, probability, side="right").clip(max=len(_BINS) - 1) - 1
    rows = []
    for one in np.unique(place):
        inside = place == one
        low, high = wilson_interval(int(right[inside].sum()), int(inside.sum()), confidence)
        rows.append(
            (float(probability[inside].mean()), float(right[inside].mean()), int(inside.sum()), low, high)
        )
    return pd.DataFrame(rows, columns=["predicted", "observed", "n", "low", "high"])
