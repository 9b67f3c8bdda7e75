"""Figures from run to run, tidy for drawing: what each stage took, and what each phase had of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.schema import describe_machine

TREND_COLUMNS = ("run_id", "created", "stage", "elapsed_s", "cost_s_per_row", "peak_bytes")
PHASE_COLUMNS = ("run_id", "created", "stage", "phase", "elapsed_s")
REST = "rest of the stage"


def trend_frame(history_stages: pd.DataFrame, run: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Give the figures of all runs in which a stage did its work, tidy for drawing.

    Parameters
    ----------
    history_stages : pandas.DataFrame
        From `History.stages`.
    run
        The record of a run that may still be going on. When given, only runs with parameters of the same name
        on the same machine count, none that came after it, and those of its stages that have ended stand as
        the latest.

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
    machine = describe_machine(run.get("environment") or {})
    is_alike = (done["name"] == run.get("name")) & (done["machine"] == machine)
    is_before = (done["created"] <= run["created"]) & (done["run_id"] != run["run_id"])
    earlier = done[is_alike & is_before]
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


def phase_trend_frame(history: History, run: Mapping[str, Any], figures: pd.DataFrame) -> pd.DataFrame:
    """Give what the phases of each stage took, from run to run: parts that add up to the stage.

    Parameters
    ----------
    history
        Where the runs are.
    run
        The record of a run that may still be going on; only runs with parameters of its name on its machine
        count.
    figures : pandas.DataFrame
        Of that run (`measure_run`).

    Returns
    -------
    pandas.DataFrame
        One row for each run, stage and phase, the oldest run first: run_id, created (seconds since 1970),
        stage, phase, elapsed_s. A phase that others are a part of counts with what is left beside them, and
        what goes on at once shares the clock (in runs of an earlier version it is drawn in to the stage's
        time). What no phase took is one more, named "rest of the stage".
    """
    whole = trend_frame(history.stages(), run)[["run_id", "created", "stage", "elapsed_s"]]
    known = history.phases()
    own = figures[figures["phase"] != "all"].assign(run_id=run["run_id"])
    columns = ["run_id", "stage", "phase", "elapsed_s", "own_s"]
    parts = pd.concat([known.loc[known["run_id"] != run["run_id"], columns], own[columns]])
    # Runs of an earlier version don't know which share of the clock was a phase's own.
    parts["elapsed_s"] = parts.pop("own_s").fillna(parts["elapsed_s"])
    parts = parts.merge(whole.rename(columns={"elapsed_s": "whole_s"}), on=["run_id", "stage"])
    sums = parts.groupby(["run_id", "stage"])["elapsed_s"].transform("sum")
    parts["elapsed_s"] *= (parts["whole_s"] / sums).clip(upper=1).fillna(1)
    taken = parts.groupby(["run_id", "stage"])["elapsed_s"].sum()
    keys = pd.MultiIndex.from_frame(whole[["run_id", "stage"]])
    left = whole.assign(phase=REST, elapsed_s=whole["elapsed_s"] - taken.reindex(keys).fillna(0).to_numpy())
    together: pd.DataFrame = pd.concat([parts, left])[list(PHASE_COLUMNS)]
    return together.sort_values(["created", "run_id"], kind="stable").reset_index(drop=True)
