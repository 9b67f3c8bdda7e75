"""Fit the matcher's weights anew on real files, and hold the shipped ones against the result.

Companies are looked for as in `real_pairs`; the weights are those of one conditional logistic regression: of
each company's candidates and "none of them", the right one is to be the most probable (see
`sbir_toolkit/matching/model.py`). Only the half `tune` is fitted; the other one is the judge. Award files
have few renames and near renames, so these count for less (`--renames`); and so do companies beside a
look-alike (`--look-alikes`), who were picked because a name of another firm is nearly theirs.

Labelled pairs can't tell everything. Who collects pairs of different firms takes them from different states
or leaves their places out, so places and legal forms look stronger or weaker there than they are, and how
often a company is in a register at all they can't know; too few pairs are different firms in one city; and
too few have numbers, initials, names cut off or alternate names. The weights of `HELD` stay as they are
shipped. The others are pulled towards their shipped values, as strongly as `--pull` says in squared standard
units.

`weights.json` goes to the results' folder. It is worth shipping when the log loss on the half held out is
clearly less than that of the shipped weights, the figures of `real_pairs` and the hand-written cases of
`tests/matching` are no worse with it, and award files with hidden identifiers say the same.

    make refit AWARDS=awards.csv RECIPIENTS=recipients.csv PAIRS=pairs.csv
    python -m benchmarks.refit --awards awards.csv --recipients recipients.csv --pairs pairs.csv
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.measuring import describe_machine
from benchmarks.real_cases import HALVES, Cases, read_cases
from benchmarks.real_pairs import make_index, make_parser
from benchmarks.results import store
from sbir_toolkit.matching import RecipientIndex
from sbir_toolkit.matching.match import match_blocks
from sbir_toolkit.matching.model import TERMS, load_weights
from sbir_toolkit.matching.texts import Flags, Floats, Ints
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import write_json
from sbir_toolkit.tables import COMPANIES

HELD = tuple(
    term
    for term in TERMS
    if term.startswith(("place_", "form_", "number_"))
    or term in ("like_name_nearby", "acronym", "is_alias", "namesakes", "same_name", "truncated")
)
"""The terms that labelled pairs can't judge: theory, counts in award files or a person's choice hold them."""

_STEPS, _NEAR_ENOUGH = 50, 1e-8


@dataclass(frozen=True)
class Choices:
    """The candidates of n companies, and which ones are right.

    Parameters
    ----------
    first : int64 array of shape (n,)
        Where each company's pairs begin; each has at least one.
    terms : float64 array of shape (pairs, terms)
    is_right : bool array of shape (pairs,)
    weight : float64 array of shape (n,)
        How much each company counts.
    """

    first: Ints
    terms: Floats
    is_right: Flags
    weight: Floats

    def losses(self, weights: Floats) -> Floats:
        """Give minus the log probability of what is right, company by company."""
        strength = np.exp(np.clip(self.terms @ weights, -30, 30))
        whole = 1 + np.add.reduceat(strength, self.first)
        right = np.add.reduceat(strength * self.is_right, self.first)
        has_right = np.add.reduceat(self.is_right.astype(float), self.first) > 0
        losses: Floats = np.log(whole) - np.log(np.where(has_right, right, 1.0))
        return losses

    def slope(self, weights: Floats) -> tuple[Floats, Floats]:
        """Give the weighted losses' gradient, and Fisher's information."""
        strength = np.exp(np.clip(self.terms @ weights, -30, 30))
        company = np.repeat(np.arange(len(self.first)), np.diff(np.append(self.first, len(strength))))
        share = strength / (1 + np.add.reduceat(strength, self.first))[company]
        right = np.add.reduceat(strength * self.is_right, self.first)
        right_share = strength * self.is_right / np.maximum(right, 1e-300)[company]
        weight = self.weight[company]
        gradient = self.terms.T @ (weight * (share - right_share))
        mean = np.add.reduceat(self.terms * share[:, None], self.first)
        spread = self.terms.T @ (self.terms * (weight * share)[:, None])
        return gradient, spread - mean.T @ (mean * self.weight[:, None])


def read_choices(
    cases: Cases, index: RecipientIndex, params: Matching, *, renames: float, look_alikes: float
) -> dict[str, Choices]:
    """Look for the companies of both halves and lay out the evidence for each candidate."""
    companies = cases.companies
    parts, low = [], 0
    for block in match_blocks(companies[COMPANIES.names], index, params):
        found = index.shown(block.pairs.row).column("recipient_id").to_pandas()
        company = low + block.pairs.company
        low += block.companies.num_rows
        rows = companies.iloc[company].set_axis(found.index)
        parts.append((company, block.terms, cases.is_right(rows, found).to_numpy(bool)))
    company, terms, is_right = (np.concatenate(part) for part in zip(*parts, strict=True))
    weight = np.where(companies["look_alike"].notna(), look_alikes, 1.0)
    weight[companies["group"].isin(("variant", "rename"))] = renames
    choices = {}
    for half in HALVES:
        at = np.flatnonzero((companies["half"] == half).to_numpy()[company])
        of_half, first = np.unique(company[at], return_index=True)
        choices[half] = Choices(first, terms[at], is_right[at], weight[of_half])
    return choices


def fit(choices: Choices, start: Floats, pull: float) -> tuple[Floats, Floats]:
    """Fit by Newton's method, pulled towards the start; gives weights and standard errors, 0 where held."""
    free = np.array([term not in HELD for term in TERMS])
    base, same = TERMS.index("base"), TERMS.index("same_name")
    # What equal names prove is held: the base is that of the others; `same_name` makes up for it.
    terms, start = choices.terms.copy(), start.copy()
    terms[:, base] -= terms[:, same]
    start[same] += start[base]
    choices = replace(choices, terms=terms)
    hold = pull * np.maximum(choices.terms.std(axis=0), 0.05)[free] ** 2
    weights = start.copy()
    curvature = np.diag(hold)
    for _ in range(_STEPS):
        gradient, information = choices.slope(weights)
        curvature = information[np.ix_(free, free)] + np.diag(hold)
        step = np.linalg.solve(curvature, gradient[free] + hold * (weights - start)[free])
        weights[free] -= step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < _NEAR_ENOUGH:
            break
    weights[same] -= weights[base]
    error = np.zeros(len(TERMS))
    error[free] = np.sqrt(np.diag(np.linalg.inv(curvature)))
    return weights, error


def compare_losses(choices: Choices, shipped: Floats, fitted: Floats) -> dict[str, str]:
    """Give both weights' mean log loss, and how much less the fitted ones lose, with its 95 % interval."""
    one, other = choices.losses(shipped), choices.losses(fitted)
    share = choices.weight / choices.weight.sum()
    gain = float(((one - other) * share).sum())
    error = float(np.sqrt((share**2 * (one - other - gain) ** 2).sum()))
    return {
        "shipped": f"{(one * share).sum():.4f}",
        "fitted": f"{(other * share).sum():.4f}",
        "less by": f"{gain:.4f} ({gain - 1.96 * error:.4f} to {gain + 1.96 * error:.4f})",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, compare, store."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--pull", type=float, default=5.0, help="towards the shipped weights; default: %(default)s"
    )
    parser.add_argument(
        "--renames", type=float, default=0.1, help="what a renamed company counts; default: %(default)s"
    )
    parser.add_argument(
        "--look-alikes",
        type=float,
        default=0.5,
        help="what a company beside a look-alike counts; default: %(default)s",
    )
    options = parser.parse_args(arguments)
    machine, params = describe_machine(), Matching()
    cases = read_cases(options.awards, options.recipients, options.pairs)
    index = make_index(cases, options.folder / "real", params)
    choices = read_choices(cases, index, params, renames=options.renames, look_alikes=options.look_alikes)
    shipped = load_weights()
    fitted, error = fit(choices["tune"], shipped, options.pull)
    rounded = dict(zip(TERMS, np.round(fitted, 3).tolist(), strict=True))
    write_json(options.folder / "weights.json", {"unit": "natural logarithm", "weights": rounded})
    table = pd.DataFrame(
        {"term": TERMS, "shipped": shipped, "fitted": fitted, "standard error": error}
    ).round(3)
    table["off by"] = ((fitted - shipped) / np.where(error > 0, error, np.inf)).round(1)
    losses = [{"half": half, **compare_losses(choices[half], shipped, fitted)} for half in HALVES]
    tables = {"Weights": table, "Log loss per company": pd.DataFrame(losses)}
    notes = [f"the fitted weights are in {options.folder / 'weights.json'}; 'off by' is in standard errors"]
    store("refit", options, machine, {}, tables, notes=notes)


if __name__ == "__main__":
    main()
