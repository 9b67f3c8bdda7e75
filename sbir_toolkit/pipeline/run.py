"""One run: its folder, its record, and what is true of it.

`run.json` is written by the process that conducts the run and by no other. It says what was asked for
(parameters, inputs, code, environment), and for each stage what became of it. A record that says "running"
while nobody holds the run's lock is the record of a run that was killed; `read_run` says so instead of
repeating what the dead process last believed.
"""

from __future__ import annotations

import platform
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.locks import is_locked, locked
from sbir_toolkit.meter import usable_cores
from sbir_toolkit.params import Params, load_params
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.setup import Setup
from sbir_toolkit.storage import (
    digest_value,
    read_json,
    read_lines,
    write_json,
    write_text,
)
from sbir_toolkit.versions import code_version, library_versions

if TYPE_CHECKING:
    import pandas as pd

ENDED_WELL = ("done", "reused")
LATEST = "latest"
"""What the newest run is called, whatever its id."""
_LIBRARIES = ("dask", "distributed", "nbconvert", "numpy", "pandas", "papermill", "pyarrow", "rapidfuzz")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's id, which is its folder's name."""
        return self.path.name

    @property
    def record(self) -> Path:
        """What is true of the run."""
        return self.path / "run.json"

    @property
    def params(self) -> Path:
        """The resolved parameters, frozen."""
        return self.path / "params.yml"

    @property
    def events(self) -> Path:
        """Spans and samples, a line each."""
        return self.path / "events.ndjson"

    @property
    def lock(self) -> Path:
        """Held by the process that conducts the run."""
        return self.path / "run.lock"

    def table(self, name: str) -> Path:
        """Where a table stands."""
        return self.path / "data" / f"{name}.parquet"

    def metrics(self, stage: str) -> Path:
        """What a stage recorded about itself."""
        return self.path / "metrics" / f"{stage}.json"

    def notebook(self, notebook: str) -> Path:
        """The executed notebook."""
        return self.path / "notebooks" / notebook

    def report(self, notebook: str) -> Path:
        """The rendered report."""
        return self.path / "reports" / Path(notebook).with_suffix(".html").name


class RunState:
    """The record of a run under way: changed by stages side by side, written whole after each change."""

    def __init__(self, folder: RunFolder, record: dict[str, Any]) -> None:
        self.folder = folder
        self.record = record
        self._lock = threading.Lock()

    def update(self, **values: Any) -> None:
        """Change facts about the run."""
        with self._lock:
            self.record.update(values)
            self._write()

    def update_stage(self, name: str, **values: Any) -> None:
        """Change facts about a stage."""
        with self._lock:
            self.record["stages"][name].update(values)
            self._write()

    def stage(self, name: str) -> dict[str, Any]:
        """The facts about a stage."""
        with self._lock:
            return dict(self.record["stages"][name])

    def _write(self) -> None:
        write_json(self.folder.record, self.record)


def create_run(setup: Setup, *, run_id: str | None = None, is_fresh: bool = False) -> RunState:
    """Make the folder and the record of a new run.

    Parameters
    ----------
    run_id
        Its id; None: the time and the parameters' name.
    is_fresh
        Whether nothing that earlier runs left may be reused.

    Raises
    ------
    ParameterError
        When a run of that id exists.
    """
    project, params = setup.project, setup.params
    folder = _new_folder(project, params, run_id)
    write_text(folder.params, params.to_yaml())
    record = {
        "run_id": folder.run_id,
        "name": params.name,
        "created": time.time(),
        "ended": None,
        "status": "pending",
        "exit_code": None,
        "is_fresh": is_fresh,
        "params_digest": digest_value(params.model_dump(mode="json")),
        "params": params.model_dump(mode="json"),
        "code": code_version(project.root),
        "environment": describe_environment(),
        "inputs": {},
        "stages": {
            stage.name: {
                "status": "pending",
                "notebook": stage.notebook,
                "needs": setup.pipeline.before(stage),
                "files": [f"reports/{name}" for name in stage.files],
                "reason": "",
            }
            for stage in setup.pipeline.stages
        },
        "totals": {},
        "metrics": {},
        "gates": [],
        "marks": [],
        "notices": [],
        "decisions": [],
        "way_out": "",
        "alerts": [],
        "advice": {},
        "certificate": None,
        "is_published": False,
    }
    write_json(folder.record, record)
    return RunState(folder, record)


def open_run(project: Project, run_id: str | None = None) -> RunFolder:
    """Find a run by its id or its folder; None or "latest": the newest one.

    Raises
    ------
    ParameterError
        When there is none, or the folder is elsewhere than in these outputs.
    """
    folders = list_runs(project)
    if run_id is not None and Path(run_id).resolve().parent == project.runs.resolve():
        run_id = Path(run_id).resolve().name
    if run_id in (None, LATEST):
        if folders:
            return folders[0]
        raise ParameterError(
            explain(
                "there is no run yet",
                where=project.runs,
                todo="start one: sbir-toolkit run params/sample.yml",
            )
        )
    for folder in folders:
        if folder.run_id == run_id:
            return folder
    known = ", ".join(folder.run_id for folder in folders[:5]) or "none"
    raise ParameterError(
        explain(
            f"there is no run '{run_id}'",
            where=project.runs,
            expected=f"one of: {known}",
            todo="list them all with: sbir-toolkit runs",
        )
    )


def list_runs(project: Project) -> list[RunFolder]:
    """All runs, the newest first."""
    found = [(read_json(path)["created"], path.parent) for path in project.runs.glob("*/run.json")]
    return [
        RunFolder(path) for _, path in sorted(found, key=lambda item: (item[0], item[1].name), reverse=True)
    ]


def read_run(folder: RunFolder) -> dict[str, Any]:
    """Read a run's record and correct what a killed process could not.

    Returns
    -------
    dict
        As in `run.json`; a run that says "running" without a living owner is "interrupted", and the stages
        it left running are "died", with the memory they last held. So is one whose stages have all ended, but
        that was killed before it was certified and entered into the history.
    """
    record: dict[str, Any] = read_json(folder.record)
    if has_ended(record) or is_locked(folder.lock):
        return record
    record["status"] = "interrupted"
    last = {event["stage"]: event for event in read_lines(folder.events) if event.get("kind") == "sample"}
    for name, stage in record["stages"].items():
        if stage["status"] == "running":
            sample = last.get(name)
            held = f"; it last held {sample['memory_bytes'] / 1e6:,.0f} MB" if sample else ""
            stage.update(status="died", reason=f"the process that conducted the run was killed{held}")
    return record


def has_ended(record: Mapping[str, Any]) -> bool:
    """Tell whether a run came to its end: all stages, and what is published of them."""
    return record["status"] not in ("pending", "running") and bool(record.get("is_published", True))


def chunks_of(project: Project, run_id: str) -> pd.DataFrame:
    """The figures of a run's chunks; none when its folder isn't here any more."""
    from sbir_toolkit.performance import chunk_figures

    return chunk_figures(read_lines(RunFolder(project.runs / run_id).events))


def run_params(folder: RunFolder) -> Params:
    """The parameters a run was told."""
    return load_params(folder.params)


@contextmanager
def owning(folder: RunFolder) -> Iterator[None]:
    """Be the one process that conducts the run."""
    with locked(folder.lock, f"run {folder.run_id}"):
        yield


def describe_environment() -> dict[str, Any]:
    """Describe the machine and the libraries; runs are comparable when the fingerprints are equal."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "libraries": library_versions(_LIBRARIES),
    }
    return {"fingerprint": digest_value(facts)[7:23], **facts}


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _new_folder(project: Project, params: Params, run_id: str | None) -> RunFolder:
    project.runs.mkdir(parents=True, exist_ok=True)
    if run_id is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", run_id):
        raise ParameterError(
            explain("a run's id is the name of a folder", expected="letters, digits, _ . -", got=run_id)
        )
    base = run_id or f"{time.strftime('%Y%m%dT%H%M%S')}-{params.name}"
    for number in range(1, 1000):
        path = project.runs / (base if number == 1 else f"{base}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            if run_id is not None:
                break
            continue
        return RunFolder(path)
    raise ParameterError(
        explain(
            f"there is a run '{base}' already",
            where=project.runs,
            todo="take another --run-id, or resume that run",
        )
    )
