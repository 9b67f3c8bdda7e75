"""Advice about one run, for the command line: what held it up, what to change, and whether that is true.

`check_advice` doesn't believe an estimate: it does the work of the stage concerned once more, as the run was
told and with the change, in turns and in a scratch folder, and says what it really saved.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from sbir_toolkit.params import Params, load_params
from sbir_toolkit.performance import Recommendations, chunk_figures, find_bottlenecks, measure_run, recommend
from sbir_toolkit.pipeline.profiling import make_job
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, read_run, run_params
from sbir_toolkit.pipeline.speed import open_history
from sbir_toolkit.pipeline.stage_work import WORK, measure_work
from sbir_toolkit.storage import read_lines

_TURNS = 2


@dataclass(frozen=True)
class Checked:
    """What a recommended change really did to its stage: seconds before and after, of several turns."""

    change: str
    expected_s: float
    before_s: list[float]
    after_s: list[float]

    def __repr__(self) -> str:
        saved_s = statistics.median(self.before_s) - statistics.median(self.after_s)
        scatter_s = max(max(side) - min(side) for side in (self.before_s, self.after_s))
        word = (
            "holds" if saved_s > scatter_s else "doesn't show" if saved_s > -scatter_s else "makes it worse"
        )
        return (
            f"{self.change}: {word}; {saved_s:+,.2f} s saved (expected {self.expected_s:,.2f} s; "
            f"the turns scatter by {scatter_s:,.2f} s)"
        )


@dataclass(frozen=True)
class Advice:
    """What held a run up, what to change, and what changes really did where that was tried."""

    run_id: str
    bottlenecks: pd.DataFrame
    recommendations: Recommendations
    checked: list[Checked] = field(default_factory=list)

    def __repr__(self) -> str:
        formats = {"share": "{:.0%}".format}
        table = self.bottlenecks.to_string(
            index=False, formatters=formats, float_format="{:,.1f}".format, na_rep="-"
        )
        lines = [f"run {self.run_id}", "where its time went:", table, "", repr(self.recommendations)]
        return "\n".join([*lines, *(f"  tried: {checked!r}" for checked in self.checked)])


def advise_run(project: Project, run: RunFolder) -> Advice:
    """Say what held a run up and what to change, from its own figures and the history."""
    record, events = read_run(run), read_lines(run.events)
    figures, params = measure_run(record, events), run_params(run)
    history = open_history(project).stages()
    advice = recommend(figures, chunk_figures(events), record, params.performance, history)
    return Advice(run.run_id, find_bottlenecks(figures, record), advice)


def check_advice(
    project: Project, run: RunFolder, advice: Advice, *, say: Callable[[str], None] = print
) -> Advice:
    """Try each recommended setting on the work of its stage, in turns with the run's own settings.

    Parameters
    ----------
    say
        Receives a line for each recommendation that can't be tried, with the reason.
    """
    checked = []
    rows = advice.recommendations.table.to_dict("records")
    for row, settings in zip(rows, advice.recommendations.settings, strict=True):
        stage = str(row["where"]).partition(",")[0]
        if not settings or stage not in WORK:
            say(f"can't be tried on one stage's work: {row['change']}")
            continue
        changed = load_params(run.params, settings)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(_TURNS):
            for side, params in zip(times, (run_params(run), changed), strict=True):
                side.append(_measure(project, run, stage, params))
        checked.append(Checked(f"{' '.join(settings)} in {stage}", float(row["saved_s"]), *times))
    return Advice(advice.run_id, advice.bottlenecks, advice.recommendations, checked)


def _measure(project: Project, run: RunFolder, stage: str, params: Params) -> float:
    with tempfile.TemporaryDirectory(dir=project.outputs, prefix=".advice-") as scratch:
        job = make_job(project, run, stage, Path(scratch), params)
        return float(measure_work(job, Path(scratch) / "events.ndjson")["elapsed_s"])
