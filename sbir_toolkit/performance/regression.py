"""Whether a stage became slower or hungrier than it used to be.

One run says little: on a shared machine times scatter by several percent, and now and then a run takes twice
as long for no reason in the code. So like is only compared with like, against a fence, and one run outside it
is a suspicion.

*Comparable* are earlier runs of the same stage that did the work (not reused it), under parameters of the
same name, on a machine with the same fingerprint, with about as many rows. What is compared is the *cost*:
wall time per row (wall time where a stage reads no rows) and peak memory.

The *fence* comes from the comparable runs before the last three, the newest one counted among the three; a
lasting slow-down would otherwise be swallowed into its own baseline at once. On the logarithm of the cost it
lies above their median by `alerts.slowdown_share` or by `fence_sigmas` robust standard deviations (1.4826
times the median absolute deviation, widened where the runs are few), whichever is more. For the median of
three runs, which scatters by only two thirds as much as one run, the standard deviations count two thirds.

===========  =======================================================================================
verdict      when
===========  =======================================================================================
``pass``     this run is inside the fence
``warn``     suspected: this run is outside, the median of the last three isn't
``fail``     confirmed: the median of the last three is outside its fence, and this run is, too
``unknown``  fewer than `min_history_runs` comparable runs, or the stage did no work in this run
===========  =======================================================================================

On simulated histories with lognormal noise of 6 % and 5 % of wild runs (x 1.3 to 2), 8 to 30 runs long, the
defaults confirm a slow-down where there is none in 0.7 % of runs, and a lasting +30 % at its third run in 82
to 95 %.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sbir_toolkit.params import Performance

TREND_COLUMNS = ("run_id", "created", "stage", "elapsed_s", "cost_s_per_row", "peak_bytes")
VERDICT_COLUMNS = (
    "stage",
    "measure",
    "value",
    "baseline",
    "fence",
    "change_share",
    "runs",
    "verdict",
    "sentence",
)
_SEVERITY = {"fail": 0, "warn": 1, "unknown": 2, "pass": 3}
_NEWEST = 3
_MAD_TO_SIGMA = 1.4826
_MEDIAN_OF_THREE = 0.67
_NOUNS = {"cost_s_per_row": "time per row", "elapsed_s": "time", "peak_bytes": "peak memory"}
_WORSE = {"cost_s_per_row": "slower", "elapsed_s": "slower", "peak_bytes": "hungrier for memory"}


@dataclass(frozen=True)
class StageVerdicts:
    """Every stage's verdict on its time and its memory.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each stage and measure, the worst first: stage, measure (cost_s_per_row, elapsed_s or
        peak_bytes), value, baseline (median of the earlier runs), fence, change_share (value over baseline,
        less 1), runs (comparable earlier runs), verdict, sentence.
    """

    table: pd.DataFrame

    @property
    def verdict(self) -> str:
        """The worst verdict: fail, warn, unknown or pass."""
        return str(self.table["verdict"].iloc[0]) if len(self.table) else "unknown"

    @property
    def failed(self) -> list[str]:
        """Stages with a confirmed change for the worse, each once."""
        return self.table.loc[self.table["verdict"] == "fail", "stage"].drop_duplicates().tolist()

    @property
    def sentences(self) -> list[str]:
        """One sentence for each stage and measure, the worst first."""
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
    history_stages: pd.DataFrame, run: Mapping[str, Any], performance: Performance
) -> StageVerdicts:
    """Compare each stage of a run with its earlier comparable runs.

    Parameters
    ----------
    history_stages : pandas.DataFrame
        From `History.stages`; the run itself and later ones may be in it and are left out.
    run
        The run's record.
    performance
        `min_history_runs`, `max_rows_difference`, `fence_sigmas` and `alerts.slowdown_share` decide.

    Returns
    -------
    StageVerdicts
        Two rows for each stage that did its work in this run, one for each other stage.
    """
    rows = []
    for name, stage in run.get("stages", {}).items():
        if stage.get("status") != "done" or not stage.get("elapsed_s"):
            rows.append(_no_work(name, stage))
            continue
        now = pd.DataFrame([{column: stage.get(column) for column in ("elapsed_s", "rows_in", "peak_bytes")}])
        past = _comparable(history_stages, name, stage, run, performance.max_rows_difference)
        cost = "cost_s_per_row" if stage.get("rows_in") else "elapsed_s"
        for measure in (cost, "peak_bytes"):
            value = _measured(now.astype("float64"), measure)[0]
            rows.append(_judge(name, measure, value, _measured(past, measure), performance))
    table = pd.DataFrame(rows, columns=list(VERDICT_COLUMNS)).astype(
        {"stage": "str", "measure": "str", "verdict": "str", "sentence": "str", "runs": "int64"}
        | dict.fromkeys(("value", "baseline", "fence", "change_share"), "float64")
    )
    order = table["verdict"].map(_SEVERITY).sort_values(kind="stable").index
    return StageVerdicts(table.loc[order].reset_index(drop=True))


def trend_frame(history_stages: pd.DataFrame, run: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Give the figures of all runs in which a stage did its work, tidy for drawing.

    Parameters
    ----------
    history_stages : pandas.DataFrame
        From `History.stages`.
    run
        The record of a run that may still be going on. When given, only runs with parameters of the same name
        on the same machine count, and those of its stages that have ended stand as the latest.

    Returns
    -------
    pandas.DataFrame
        One row for each run and stage, the oldest run first: run_id, created (seconds since 1970), stage,
        elapsed_s, cost_s_per_row (null where no rows were read), peak_bytes.
    """
    done = pd.DataFrame(history_stages[history_stages["status"] == "done"])
    if run is not None:
        done = _with_run(done, run)
    done["cost_s_per_row"] = done["elapsed_s"] / done["rows_in"].where(done["rows_in"] > 0)
    trend: pd.DataFrame = done[list(TREND_COLUMNS)]
    return trend.sort_values(["created", "run_id"], kind="stable").reset_index(drop=True)


def _with_run(done: pd.DataFrame, run: Mapping[str, Any]) -> pd.DataFrame:
    fingerprint = (run.get("environment") or {}).get("fingerprint")
    is_alike = (done["name"] == run.get("name")) & (done["fingerprint"] == fingerprint)
    earlier = done[is_alike & (done["run_id"] != run["run_id"])]
    figures = ("elapsed_s", "rows_in", "peak_bytes")
    own = pd.DataFrame(
        [
            {
                "run_id": run["run_id"],
                "created": run["created"],
                "stage": name,
                **{figure: stage.get(figure) for figure in figures},
            }
            for name, stage in run["stages"].items()
            if stage.get("status") == "done"
        ],
        columns=["run_id", "created", "stage", *figures],
    )
    own = own.astype({name: earlier[name].dtype for name in own.columns})
    together: pd.DataFrame = pd.concat([earlier, own], ignore_index=True) if len(own) else earlier
    return together


def _comparable(
    history: pd.DataFrame, name: str, stage: Mapping[str, Any], run: Mapping[str, Any], max_difference: float
) -> pd.DataFrame:
    fingerprint = (run.get("environment") or {}).get("fingerprint")
    same = (
        (history["stage"] == name)
        & (history["status"] == "done")
        & (history["name"] == run.get("name"))
        & (history["fingerprint"] == fingerprint)
        & (history["run_id"] != run["run_id"])
        & (history["created"] < run["created"])
        & (history["elapsed_s"] > 0)
    )
    rows = stage.get("rows_in") or 0
    is_near = (history["rows_in"].fillna(0) - rows).abs() <= max_difference * rows
    comparable: pd.DataFrame = history[same & is_near]
    return comparable.sort_values(["created", "run_id"], kind="stable")


def _measured(frame: pd.DataFrame, measure: str) -> list[float]:
    values = frame["elapsed_s"] / frame["rows_in"] if measure == "cost_s_per_row" else frame[measure]
    return [float(value) for value in values]


def _judge(
    stage: str, measure: str, value: float, past_values: list[float], performance: Performance
) -> dict[str, Any]:
    past = [earlier for earlier in past_values if earlier > 0]
    runs, needed = len(past), performance.min_history_runs

    def row(
        verdict: str, sentence: str, baseline: float = math.nan, fence: float = math.nan
    ) -> dict[str, Any]:
        found = (
            stage,
            measure,
            value,
            baseline,
            fence,
            value / baseline - 1,
            runs,
            verdict,
            f"{stage}: {sentence}",
        )
        return dict(zip(VERDICT_COLUMNS, found, strict=True))

    if not value > 0:
        return row("unknown", f"no verdict: {_NOUNS[measure]} wasn't measured")
    if runs < needed:
        return row("unknown", f"no verdict yet on {_NOUNS[measure]}: {runs} of {needed} comparable runs")
    newest, before = [*past[1 - _NEWEST :], value], past[: 1 - _NEWEST]
    baseline, fence, fence_of_three = _fences(before, performance)
    change = (
        f"{_NOUNS[measure]} {_write(value, measure)}, {value / baseline - 1:+.0%} against the median of "
        f"{_write(baseline, measure)} in {len(before)} earlier runs"
    )
    if min(float(np.median(newest)), value) > fence_of_three:
        words = f"{_WORSE[measure]}, confirmed by the last {_NEWEST} runs: {change}"
        return row("fail", words, baseline, fence_of_three)
    if value > fence:
        words = f"suspected to be {_WORSE[measure]}: {change}; one run alone proves nothing"
        return row("warn", words, baseline, fence)
    return row("pass", f"{change}, inside the fence", baseline, fence)


def _fences(before: list[float], performance: Performance) -> tuple[float, float, float]:
    """Give the median of the earlier runs, the fence for one run, and that for the median of three."""
    logs = np.log(before)
    centre = float(np.median(logs))
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(logs - centre))) * (1 + 2 / len(before))
    least = math.log1p(performance.alerts.slowdown_share)
    reach = performance.fence_sigmas * sigma
    one, three = max(least, reach), max(least, _MEDIAN_OF_THREE * reach)
    return math.exp(centre), math.exp(centre + one), math.exp(centre + three)


def _no_work(name: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    status = str(stage.get("status"))
    origin = f" from run {stage['reused_from']}" if stage.get("reused_from") else ""
    sentence = f"{name}: nothing to compare, the stage was {status}{origin}"
    unknown = (name, "elapsed_s", math.nan, math.nan, math.nan, math.nan, 0, "unknown", sentence)
    return dict(zip(VERDICT_COLUMNS, unknown, strict=True))


def _write(value: float, measure: str) -> str:
    if measure == "peak_bytes":
        return f"{value / 1e6:,.0f} MB"
    if measure == "cost_s_per_row":
        return f"{value * 1e6:,.3g} µs" if value < 1e-3 else f"{value * 1e3:,.3g} ms"
    return f"{value:,.3g} s"
