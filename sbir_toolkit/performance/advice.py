"""What to change so that a run takes less time, and what each change would save.

A recommendation is only worth reading if its saving was computed from what was measured. Each rule takes the
figures of this run (and, where it asks what was known before, the history), and derives a saving in seconds
of wall time by a formula that stands in its docstring (`savings`, `chunk_savings`). No saving of a stage is
taken to be more than the time in which that stage ran alone, since what happens beside another stage doesn't
shorten the run. A rule that lacks what it needs keeps silent and is named among the unknowns. Savings of one
stage may overlap and must not be added up.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sbir_toolkit.params import Performance
from sbir_toolkit.performance.chunk_savings import find_chunk_savings
from sbir_toolkit.performance.savings import RunTimes, find_run_savings
from sbir_toolkit.tables import RECOMMENDATIONS

_HEADINGS = {"saved_s": "would save", "saved_share": "share of the time"}
_SHOWN = {"would save": "{:,.3g} s".format, "share of the time": "{:.1%}".format}


@dataclass(frozen=True)
class Recommendations:
    """Changes worth making.

    Attributes
    ----------
    table : pandas.DataFrame
        Of the contract RECOMMENDATIONS, the largest saving first.
    covers : str
        What the shares refer to: the time of the run, or, while it is going on, of its stages so far.
    worth_share : float
        The smallest share of it that is worth a recommendation.
    unknowns : tuple of str
        What nothing can be said about, and why.
    settings : tuple of tuple of str
        For each row of the table the parameters that would make the change, as `KEY=VALUE`.
    """

    table: pd.DataFrame
    covers: str
    worth_share: float
    unknowns: tuple[str, ...]
    settings: tuple[tuple[str, ...], ...] = ()

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        if self.table.empty:
            return f"Nothing is worth changing: no saving reaches {self.worth_share:.0%} of {self.covers}."
        best = self.table.iloc[0]
        return (
            f"{len(self.table)} change(s) worth making; the largest would save {best['saved_s']:,.1f} s, "
            f"{best['saved_share']:.0%} of {self.covers}."
        )

    def __repr__(self) -> str:
        rows = self.table.to_dict("records")
        lines = [
            f"  {row['rank']}. {row['change']} ({row['where']}): {row['saved_s']:,.1f} s, "
            f"{row['confidence']} confidence - {row['evidence']}"
            for row in rows
        ]
        return "\n".join([self.sentence, *lines, *(f"  not known: {unknown}" for unknown in self.unknowns)])

    def _repr_html_(self) -> str:
        unknowns = "".join(f"<li>Not known: {html.escape(unknown)}</li>" for unknown in self.unknowns)
        shown = self.table.rename(columns=_HEADINGS)
        body = "" if shown.empty else shown.to_html(index=False, border=0, formatters=_SHOWN)
        table = f'<div class="sbir-table">{body}</div>' if body else ""
        return f"<p>{html.escape(self.sentence)}</p>{table}" + (f"<ul>{unknowns}</ul>" if unknowns else "")


def recommend(
    figures: pd.DataFrame,
    chunks: pd.DataFrame,
    run: Mapping[str, Any],
    performance: Performance,
    history_stages: pd.DataFrame | None = None,
) -> Recommendations:
    """Compute what changes to this run would save, and rank them.

    Parameters
    ----------
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES, from `measure_run`.
    chunks : pandas.DataFrame
        From `chunk_figures`.
    run
        The run's record. The rule on stages side by side reads `needs` (names of stages) of each stage.
    performance
        Savings below `worth_share` of the run's time are left out.
    history_stages : pandas.DataFrame, optional
        From `History.stages`; without it nothing can be said about work that was done before.

    Returns
    -------
    Recommendations
        Its table is empty when nothing is worth changing.
    """
    times = RunTimes.of(figures, run)
    savings, unknowns = find_run_savings(times, figures, run, history_stages)
    of_chunks, unknown_chunks = find_chunk_savings(times, chunks, run)
    # The worth is judged on the share that is shown, so that none below it is.
    worth = [
        (saving, min(1.0, saving.saved_s / times.elapsed_s))
        for saving in (*savings, *of_chunks)
        if times.elapsed_s > 0 and saving.saved_s > 0
    ]
    worth = [(saving, share) for saving, share in worth if share >= performance.worth_share]
    worth.sort(key=lambda found: (-found[0].saved_s, found[0].where, found[0].change))
    rows = [
        (rank, saving.change, saving.where, saving.saved_s, share, saving.evidence, saving.confidence)
        for rank, (saving, share) in enumerate(worth, start=1)
    ]
    kinds = {"string": "str", "int64": "int64", "float64": "float64"}
    table = pd.DataFrame(rows, columns=RECOMMENDATIONS.names).astype(
        {column.name: kinds[column.dtype] for column in RECOMMENDATIONS.columns}
    )
    settings = tuple(saving.settings for saving, _ in worth)
    not_known = (*unknowns, *unknown_chunks)
    return Recommendations(table, times.covers, performance.worth_share, not_known, settings)
