"""What earlier runs say: the metrics of those that were accepted, and since when a gate has been failing.

A run is *accepted* when it is done and no gate failed that nobody overruled. Its table of metrics is then
kept in the store, by content: the same data measured twice say nothing new and count once. A run's own view
of the past is what had been accepted before it began.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.project import Project, is_synthetic
from sbir_toolkit.pipeline.run import RunFolder, list_runs
from sbir_toolkit.storage import atomic_path, digest_file, read_json, write_json
from sbir_toolkit.tables import METRIC_HISTORY

# More than any history rule may look at by default; what is older stays in the store.
_KEPT_RUNS = 60
_NUMBERS = ("created", "value", "numerator", "denominator")


def is_accepted(record: Mapping[str, Any]) -> bool:
    """Tell whether later runs may be held against this one."""
    gates = record["gates"]
    return (
        record["status"] == "done"
        and bool(gates)
        and all(gate["verdict"] != "fail" or gate.get("overruled") for gate in gates)
    )


def comparable_name(params: Params) -> str:
    """Name the runs that this one may be held against: same parameters' name, same kind of input."""
    if not is_synthetic(params):
        return params.name
    made = params.synthetic
    return f"{params.name}-{made.awards}x{made.recipients}-{made.seed}"


def keep_accepted(project: Project, run: RunFolder, record: Mapping[str, Any], name: str) -> None:
    """Keep an accepted run's metrics for the runs to come that are comparable by this name."""
    metrics = run.table("metrics")
    if not is_accepted(record) or not metrics.exists():
        return
    digest = digest_file(metrics)[7:23]
    folder = project.store / "accepted" / name
    with atomic_path(folder / f"{digest}.parquet") as temporary:
        shutil.copyfile(metrics, temporary)
    write_json(folder / f"{digest}.json", {"run_id": run.run_id, "created": record["created"]})


def accepted_metrics(project: Project, name: str, *, before: float | None = None) -> pd.DataFrame:
    """Give what the newest accepted runs measured.

    Parameters
    ----------
    name
        Of the comparable runs, from `comparable_name`.
    before
        Only runs that began before this time, in seconds since 1970.

    Returns
    -------
    pandas.DataFrame
        Of the contract METRIC_HISTORY, the oldest run first.
    """
    notes = [(read_json(note), note) for note in (project.store / "accepted" / name).glob("*.json")]
    ordered = sorted((note["created"], note["run_id"], path) for note, path in notes)
    frames = []
    for created, run_id, path in ordered:
        if before is None or created < before:
            measured = pq.read_table(path.with_suffix(".parquet")).to_pandas()
            frames.append(measured.assign(run_id=run_id, created=float(created))[METRIC_HISTORY.names])
    if frames:
        together: pd.DataFrame = pd.concat(frames[-_KEPT_RUNS:], ignore_index=True)
        return together
    kinds = dict.fromkeys(METRIC_HISTORY.names, "str") | dict.fromkeys(_NUMBERS, "float64")
    return pd.DataFrame(columns=METRIC_HISTORY.names).astype(kinds)


def earlier_records(project: Project, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read the records of earlier runs with parameters of the same name, the newest first."""
    found = [read_json(folder.record) for folder in list_runs(project)]
    return [
        other for other in found if other["name"] == record["name"] and other["created"] < record["created"]
    ]


def failing_since(gate: str, record: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> str:
    """Name the run since which a gate has failed without a break; runs that didn't judge it are left out."""
    since = str(record["run_id"])
    for other in earlier:
        verdicts = {row["gate"]: row["verdict"] for row in other["gates"]}
        if gate not in verdicts:
            continue
        if verdicts[gate] != "fail":
            break
        since = str(other["run_id"])
    return since
