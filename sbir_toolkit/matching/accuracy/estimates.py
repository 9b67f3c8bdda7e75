"""Estimates: shares of cases that count, each with its interval and how it was made."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.intervals import wilson_interval
from sbir_toolkit.matching.texts import Floats
from sbir_toolkit.tables import ACCURACY

SAID_BY_IDENTIFIER = "identifiers blanked, found by name and place, compared with the identifier's recipient"


class Estimates:
    """Rows of the table of accuracy, in the order in which they are estimated.

    Parameters
    ----------
    confidence : float
        Level of the intervals, 0..1.
    """

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence
        self._rows: list[dict[str, object]] = []

    def add_share(
        self,
        estimate: str,
        counted: pd.Series[bool],
        of: pd.Series[bool] | None = None,
        *,
        method: str,
        part: str = "all",
        weights: Floats | None = None,
    ) -> None:
        """Add the share of cases that count, of all or of some; Wilson's interval, of weighted cases too.

        Parameters
        ----------
        estimate : str
            Its name.
        counted, of : bool series
            Which cases count, and of which; None: of all.
        method : str
            How it was estimated.
        part : str
            The slice.
        weights : float64 array, optional
            What each case stands for. The interval is then that of the effective number of cases
            (L. Kish, 1965): the square of the weights' sum over the sum of their squares.
        """
        inside = np.ones(len(counted), bool) if of is None else of.to_numpy(bool)
        hits = counted.to_numpy(bool) & inside
        weight = np.ones(len(counted)) if weights is None else weights
        total = float(weight[inside].sum())
        value = low = high = np.nan
        effective = 0.0
        if total > 0:
            value = float(weight[hits].sum()) / total
            effective = total**2 / float((weight[inside] ** 2).sum())
            low, high = wilson_interval(value * effective, effective, self.confidence)
        self.add(
            estimate,
            value,
            low,
            high,
            cases=(int(hits.sum()), int(inside.sum())),
            method=f"{method}; Wilson interval",
            part=part,
            effective=effective,
        )

    def add(
        self,
        estimate: str,
        value: float,
        low: float = np.nan,
        high: float = np.nan,
        *,
        cases: tuple[int, int],
        method: str,
        part: str = "all",
        effective: float | None = None,
    ) -> None:
        """Add an estimate that is more than a share; `cases` are those that count and those looked at."""
        self._rows.append(
            {
                "estimate": estimate,
                "slice": part,
                "value": value,
                "low": low,
                "high": high,
                "numerator": cases[0],
                "denominator": cases[1],
                "effective_cases": float(cases[1]) if effective is None else effective,
                "method": method,
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the contract `accuracy`."""
        frame: pd.DataFrame = pd.DataFrame(self._rows)[ACCURACY.names]
        return frame


def add_hidden(estimates: Estimates, hidden: pd.DataFrame) -> None:
    """Add what trials with hidden identifiers say: precision, recall, and how far the candidates reach."""
    slices = {"all": hidden}
    for column in ("spelling", "place"):
        slices |= {f"{column}={value}": part for value, part in hidden.groupby(column, sort=True)}
    for name, part in slices.items():
        right = part["is_right"]
        add_precision_and_recall(estimates, "hidden_identifier", part, part_name=name)
        for estimate, counted in (
            ("hidden_identifier_review_recall", (part["decision"] != "reject") & right),
            ("candidate_recall", right),
        ):
            estimates.add_share(estimate, counted, method=SAID_BY_IDENTIFIER, part=name)


def add_precision_and_recall(
    estimates: Estimates,
    name: str,
    trials: pd.DataFrame,
    *,
    part_name: str = "all",
    weights: Floats | None = None,
    method: str = SAID_BY_IDENTIFIER,
) -> None:
    """Add the share of accepted links that are right, and of all trials that are rightly accepted."""
    accepted = trials["decision"] == "accept"
    found = accepted & trials["is_right"]
    for estimate, of in ((f"{name}_precision", accepted), (f"{name}_recall", None)):
        estimates.add_share(estimate, found, of, method=method, part=part_name, weights=weights)
