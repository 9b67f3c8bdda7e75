"""Whether a stage or a phase became slower or hungrier than it used to be, and since when.

Like is compared with like (`series`), against a baseline that stays until somebody accepts the change, by a
rule that takes one run outside the fence for a suspicion and asks for more (`rule`).

===============  ====================================================================================
verdict          when
===============  ====================================================================================
``regression``   confirmed: the runs after a suspect cost more than the baseline; dated by its onset
``suspect``      this run, or the last few, are outside the fence; too little was measured since
``improvement``  confirmed the other way
``no change``    inside the fence, or a suspicion that wasn't confirmed
``unknown``      too few comparable runs, nothing measured, or no work done in this run
===============  ====================================================================================

Four measures are judged for each stage: wall time per row (throughput is the same figure read the other way),
CPU time per row, peak memory, and bytes moved per row; wall time also for each phase that takes at least a
twentieth of its stage.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.params import Performance
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.rule import Judgement, judge_series
from sbir_toolkit.performance.schema import describe_machine
from sbir_toolkit.performance.series import IDENTITIES, MEASURES, Series, observe, pick_series, sketch

_KINDS = {
    "id": "str",
    "stage": "str",
    "phase": "str",
    "measure": "str",
    "unit": "str",
    "value": "float64",
    "baseline": "float64",
    "low": "float64",
    "high": "float64",
    "change_share": "float64",
    "runs": "int64",
    "measured_again": "int64",
    "onset_run": "str",
    "since": "float64",
    "trend": "str",
    "verdict": "str",
    "missing": "str",
    "sentence": "str",
}
VERDICT_COLUMNS = tuple(_KINDS)
SEVERITY = {"regression": 0, "suspect": 1, "improvement": 2, "unknown": 3, "no change": 4}
_PHASE_SHARE = 0.05
_PHASE_LEAST_S = 0.05
NOUNS = {"time": "time", "cpu": "CPU time", "memory": "peak memory", "io": "bytes moved"}
MORE = {
    "time": ("slower", "faster"),
    "cpu": ("dearer in CPU time", "cheaper in CPU time"),
    "memory": ("hungrier for memory", "content with less memory"),
    "io": ("heavier on the disks", "lighter on the disks"),
}


@dataclass(frozen=True)
class StageVerdicts:
    """Every stage's verdict on its time, CPU time, memory and I/O.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each stage, phase and measure, the worst first: id (what `accept` takes), stage, phase,
        measure (time, cpu, memory or io), unit, value, baseline, low and high (fence), change_share, runs (in
        the baseline), measured_again (since the suspect), onset_run, since (seconds since 1970), trend (the
        last costs as bars; null where none was judged), verdict, missing (what an unknown verdict lacks),
        sentence.
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> StageVerdicts:
        """Put rows of that form into their order."""
        table = pd.DataFrame(rows, columns=list(VERDICT_COLUMNS)).astype(_KINDS)
        order = table["verdict"].map(SEVERITY).sort_values(kind="stable").index
        return cls(table.loc[order].reset_index(drop=True))

    @property
    def verdict(self) -> str:
        """The worst verdict."""
        return str(self.table["verdict"].iloc[0]) if len(self.table) else "unknown"

    @property
    def regressions(self) -> pd.DataFrame:
        """The confirmed changes for the worse."""
        found: pd.DataFrame = self.table[self.table["verdict"] == "regression"]
        return found

    @property
    def changes(self) -> pd.DataFrame:
        """What somebody should look at: regressions, suspects and improvements."""
        found: pd.DataFrame = self.table[self.table["verdict"].isin(["regression", "suspect", "improvement"])]
        return found

    @property
    def noteworthy(self) -> pd.DataFrame:
        """What is confirmed, then the suspects whose newest value lies outside the fence, largest first."""
        found = self.changes
        is_outside = (found["value"] > found["high"]) | (found["value"] < found["low"])
        told = found[(found["verdict"] != "suspect") | is_outside]
        rank = told["verdict"].map(SEVERITY).astype(float) - told["change_share"].abs().clip(upper=0.99)
        ordered: pd.DataFrame = told.loc[rank.sort_values(kind="stable").index]
        return ordered

    @property
    def missing(self) -> pd.DataFrame:
        """What the unknown verdicts lack: missing, stages, verdicts (how many), most first."""
        unknown = self.table[self.table["verdict"] == "unknown"]
        grouped = unknown.groupby("missing").agg(
            stages=("stage", lambda stages: ", ".join(stages.unique())), verdicts=("id", "size")
        )
        return grouped.sort_values("verdicts", ascending=False, kind="stable").reset_index()

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        if len(self.table) and self.verdict == "unknown" and not (self.table["verdict"] == "no change").any():
            return (
                f"Too early to say: none of {len(self.table)} measures can be compared with earlier runs yet."
            )
        counts = self.table["verdict"].value_counts()
        told = [f"{counts[verdict]} {verdict}" for verdict in SEVERITY if verdict in counts]
        first = self.regressions["sentence"].head(1).tolist() or ["No regression is confirmed"]
        if self.regressions.empty and len(suspects := self.noteworthy.query("verdict == 'suspect'")):
            first = [f"No regression is confirmed; the strongest suspect: {suspects['sentence'].iloc[0]}"]
        return f"{first[0]}. Of {len(self.table)} verdicts: {', '.join(told) or 'none'}."

    @property
    def sentences(self) -> list[str]:
        """One sentence for each row, the worst first."""
        return self.table["sentence"].tolist()

    def __repr__(self) -> str:
        return "\n".join(
            [f"StageVerdicts: {self.verdict}", *(f"  {sentence}" for sentence in self.sentences)]
        )

    def _repr_html_(self) -> str:
        body = self.table.to_html(
            index=False, border=0, na_rep="", float_format=lambda value: f"{value:,.4g}"
        )
        return f"<p>{html.escape(self.verdict)}</p>{body}"


def judge_stages(
    history: History, run: Mapping[str, Any], figures: pd.DataFrame, performance: Performance
) -> StageVerdicts:
    """Compare each stage and phase of a run with its earlier comparable runs.

    Parameters
    ----------
    history
        The run itself and later ones may be in it and are left out.
    run
        The run's record.
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES, of this run (see `measure_run`).
    performance
        The rule's parameters.

    Returns
    -------
    StageVerdicts
        A row for each measure of each stage that did its work in this run and of each phase that matters, one
        row for each other stage.
    """
    seen = observe(history, run, figures)
    accepted = _accepted(history, run)
    rows = []
    own = seen[seen["run_id"] == run["run_id"]]
    lasted = dict(own.loc[own["phase"] == "all", ["stage", "elapsed_s"]].itertuples(index=False, name=None))
    for row in own.itertuples(index=False):
        for measure in MEASURES if row.phase == "all" else ("time",):
            if row.phase == "all" or row.elapsed_s >= max(_PHASE_LEAST_S, _PHASE_SHARE * lasted[row.stage]):
                since = accepted.get(identify(row.stage, row.phase, measure), 0.0)
                series = pick_series(seen, row, measure, performance, since=since)
                rows.append(_row(row, measure, series, performance))
    for name, stage in run.get("stages", {}).items():
        if name not in lasted:
            rows.append(_no_work(name, stage))
    return StageVerdicts.of(rows)


def accept_change(history: History, run_id: str, verdicts: StageVerdicts, regression: str, why: str) -> str:
    """Accept a confirmed or suspected change as the new baseline; give a sentence about it.

    Parameters
    ----------
    run_id
        The run in which it was seen.
    regression
        Its identity, as in the column `id`.
    why
        The reason; not empty.

    Raises
    ------
    ParameterError
        When there is no such change in this run, or no reason is given.
    """
    changes = verdicts.changes
    found = changes[changes["id"] == regression]
    if found.empty:
        known = ", ".join(changes["id"])
        raise ParameterError(
            explain(
                f"there is no change '{regression}' to accept",
                where=f"run {run_id}",
                expected=f"one of: {known}" if known else "a change; none was found in this run",
                todo="see what changed with: sbir-toolkit history",
            )
        )
    if not why.strip():
        raise ParameterError(
            explain(
                f"'{regression}' can't be accepted without a reason", where=f"run {run_id}", todo="say why"
            )
        )
    runs = history.runs()
    run = runs[runs["run_id"] == run_id].to_dict("records")[0]
    row = found.to_dict("records")[0]
    since = float(run["created"] if math.isnan(row["since"]) else row["since"])
    history.accept(regression, str(run["name"]), str(run["machine"]), since=since, why=why)
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
    return f"{regression} accepted: runs of '{run['name']}' since {day} are the new baseline. Reason: {why}"


def _accepted(history: History, run: Mapping[str, Any]) -> dict[str, float]:
    known = history.accepted()
    machine = describe_machine(run.get("environment") or {})
    ours = known[(known["name"] == run.get("name")) & (known["machine"] == machine)]
    return dict(zip(ours["regression"], ours["since"], strict=True))


def identify(stage: str, phase: str, measure: str) -> str:
    """Give the identity of a change, which `accept` takes.

    Examples
    --------
    >>> identify("match_recipients", "score", "cpu")
    'cpu_growth:match_recipients/score'
    """
    return f"{IDENTITIES[measure]}:{stage}" + ("" if phase == "all" else f"/{phase}")


def _row(own: Any, measure: str, series: Series, performance: Performance) -> dict[str, Any]:
    unit = _unit(measure, has_rows=own.rows > 0)
    found = {
        "id": identify(own.stage, own.phase, measure),
        "stage": own.stage,
        "phase": own.phase,
        "measure": measure,
        "unit": unit,
        "value": math.nan,
        "onset_run": None,
        "since": math.nan,
        "trend": None,
    }
    if not series.run_ids or series.run_ids[-1] != own.run_id:
        told = Judgement("unknown")
        missing: str | None = "it wasn't measured, or was nothing"
    else:
        told = judge_series(series.values, performance, series.created)
        missing = _missing(series, performance) if told.verdict == "unknown" else None
        found |= {"value": series.values[-1], "trend": sketch(series.values)}
    sentence = _say(told, series, measure, unit) if missing is None else _say_unknown(measure, unit, missing)
    if told.onset is not None:
        onset = min(told.onset, len(series.run_ids) - 1)
        found |= {"onset_run": series.run_ids[onset], "since": series.created[onset]}
    where = own.stage if own.phase == "all" else f"{own.stage}, {own.phase}"
    return found | {
        "baseline": told.baseline,
        "low": told.low,
        "high": told.high,
        "change_share": told.change_share,
        "runs": told.runs,
        "measured_again": told.measured_again,
        "verdict": told.verdict,
        "missing": missing,
        "sentence": f"{where}: {sentence}",
    }


def _missing(series: Series, performance: Performance) -> str:
    other = ", ".join(f"{count} {reason}" for reason, count in series.not_alike.items())
    known = f"{len(series.values) - 1} of {performance.min_history_runs} comparable earlier runs"
    return known + (f"; not comparable: {other}" if other else "")


def _noun(measure: str, unit: str) -> str:
    return NOUNS[measure] + (" per row" if unit.endswith("per row") else "")


def _say_unknown(measure: str, unit: str, missing: str) -> str:
    return f"no verdict yet on {_noun(measure, unit)}: {missing}"


def _say(told: Judgement, series: Series, measure: str, unit: str) -> str:
    noun = _noun(measure, unit)
    drift = ", the machine's drift taken out" if series.is_calibrated else ""
    change = (
        f"{noun} {write_cost(series.values[-1], unit)} against {write_cost(told.baseline, unit)} in the"
        f" baseline of {told.runs} runs{drift}"
    )
    slower, faster = MORE[measure]
    words = slower if told.change_share > 0 else faster
    if told.verdict in ("regression", "improvement"):
        assert told.onset is not None
        onset = series.run_ids[min(told.onset, len(series.run_ids) - 1)]
        return (
            f"{words} by {abs(told.change_share):.0%} since run {onset}, confirmed by {told.measured_again}"
            f" measurements: {change}"
        )
    if told.verdict == "suspect":
        return (
            f"suspected of being {words} ({told.change_share:+.0%}); measured {told.measured_again} time(s)"
            f" since, not enough yet: {change}"
        )
    return f"{change}, no change"


def _no_work(name: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    origin = f" from run {stage['reused_from']}" if stage.get("reused_from") else ""
    missing = f"nothing to compare, the stage was {stage.get('status')}{origin}"
    if stage.get("status") in ("pending", "running"):
        missing = "it hadn't ended when this was written"
    empty = {column: math.nan for column, kind in _KINDS.items() if kind == "float64"}
    return {
        **empty,
        "id": identify(name, "all", "time"),
        "stage": name,
        "phase": "all",
        "measure": "time",
        "unit": "s",
        "runs": 0,
        "measured_again": 0,
        "onset_run": None,
        "verdict": "unknown",
        "missing": missing,
        "sentence": f"{name}: {missing}",
    }


def _unit(measure: str, *, has_rows: bool) -> str:
    base = "bytes" if measure in ("memory", "io") else "s"
    return base if measure == "memory" or not has_rows else f"{base} per row"


def write_cost(value: float, unit: str) -> str:
    """Write a cost in a readable unit.

    Examples
    --------
    >>> write_cost(0.000013, "s per row"), write_cost(2.5, "s"), write_cost(120_000_000, "bytes")
    ('13 µs', '2.5 s', '120 MB')
    """
    if unit == "bytes":
        return f"{value / 1e6:,.0f} MB"
    if unit == "bytes per row":
        return f"{value:,.3g} bytes"
    if unit == "s per row":
        return f"{value * 1e6:,.3g} µs" if value < 1e-3 else f"{value * 1e3:,.3g} ms"
    return f"{value:,.3g} s"
