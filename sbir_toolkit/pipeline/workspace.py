"""What a notebook works with: its stage, opened.

A notebook says `stage = open_stage(name, run_id, params_file)` and from then on doesn't care how it was
started. Inside a run it reads the run's tables and writes into the run's folder. Opened by itself, in
JupyterLab or with plain papermill, it works in a folder of its own (`lab-<parameters' name>`) and reads
what earlier stages left in the store under these very parameters, inputs and code; when something is
missing it says which notebook makes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbir_toolkit.errors import GateError, InputError, ParameterError, explain
from sbir_toolkit.locks import is_locked
from sbir_toolkit.meter import EVENTS_VARIABLE, STAGE_VARIABLE
from sbir_toolkit.params import Params, load_params
from sbir_toolkit.pipeline.cell_progress import in_notebook, watch_cells
from sbir_toolkit.pipeline.certificate import check_outputs, check_sums
from sbir_toolkit.pipeline.gates import judge
from sbir_toolkit.pipeline.keys import (
    ResultStore,
    StageKey,
    StoredResult,
    StoredTable,
    stage_key,
    stored_result,
)
from sbir_toolkit.pipeline.past import accepted_metrics, comparable_name
from sbir_toolkit.pipeline.project import (
    Project,
    fetch_inputs,
    find_params_file,
    find_project,
    input_path,
    input_paths,
    with_overrides,
)
from sbir_toolkit.pipeline.run import LATEST, RunFolder, chunks_of, list_runs, open_run, read_run, run_params
from sbir_toolkit.pipeline.setup import make_setup
from sbir_toolkit.pipeline.stages import Pipeline, Stage, load_pipeline
from sbir_toolkit.storage import (
    mark_table,
    read_json,
    read_lines,
    read_marks,
    write_json,
    write_parquet,
)
from sbir_toolkit.tables import TABLES

if TYPE_CHECKING:
    import pandas as pd

    from sbir_toolkit.matching import Explanations
    from sbir_toolkit.performance import StagePath


@dataclass(frozen=True)
class Finished:
    """The last word of a notebook: what the stage wrote, and what adds up."""

    stage: str
    run_id: str
    tables: dict[str, int]
    sums: list[str]

    def __repr__(self) -> str:
        lines = [f"stage {self.stage} of {self.run_id}: done"]
        lines += [f"  {name}: {rows:,} rows" for name, rows in self.tables.items()]
        lines += [f"  adds up: {words}" for words in self.sums]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{count:,}</td></tr>" for name, count in self.tables.items()
        )
        sums = "".join(f"<li>{escape(words)}</li>" for words in self.sums)
        return (
            f"<p><strong>Stage {escape(self.stage)}: done.</strong></p>"
            f"<table><thead><tr><th>table</th><th>rows</th></tr></thead><tbody>{rows}</tbody></table>"
            + (f"<p>Adds up:</p><ul>{sums}</ul>" if sums else "")
        )


class OpenStage:
    """A stage as its notebook sees it; made by `open_stage`.

    Attributes
    ----------
    params : Params
        What the run was told.
    run_id : str
        The run, or the lab folder's name.
    """

    def __init__(
        self,
        stage: Stage,
        project: Project,
        run: RunFolder,
        params: Params,
        pipeline: Pipeline,
        *,
        params_file: str,
        source: RunFolder | None = None,
    ) -> None:
        self._stage = stage
        self._params_file = params_file
        self._pipeline = pipeline
        self._project = project
        self._run = run
        # Where earlier stages' tables are: in the run itself, or in one that has ended and stays as it is.
        self._source = source or run
        self._is_lab = not run.record.exists()
        self.params = params
        self.run_id = run.run_id
        self._results: dict[str, StoredTable] = {}
        # The keys of the earlier stages' results, by stage; blank where there is none, as in no run's record.
        self._known: dict[str, str] = {}
        self._key: StageKey | None = None
        if self._is_lab and source is None:
            self._look_up()
        if pipeline.asks_gates(stage):
            self._ask_gates()

    def __repr__(self) -> str:
        where = f"part of run {self.run_id}"
        if self._is_lab:
            where = f"opened by itself in {self._run.path}"
        if self._source != self._run:
            where = (
                f"opened on run {self._source.run_id}, which stays as it is; results go to {self._run.path}"
            )
        degraded = "".join(f"\nWhat it reads is degraded: {mark}." for mark in self.marks)
        return f"Stage {self._stage.name}, {where}, parameters {self.params.name}.{degraded}"

    def _repr_html_(self) -> str:
        return "".join(f"<p><small>{escape(line)}</small></p>" for line in repr(self).splitlines())

    @property
    def marks(self) -> list[str]:
        """Why what this stage reads is degraded, a sentence each; what it writes will bear the same marks."""
        paths = [self._find(table) for table in self._stage.reads]
        return list(dict.fromkeys(mark for path in paths if path.exists() for mark in read_marks(path)))

    @property
    def folder(self) -> Path:
        """Where this stage's tables go."""
        return self._run.path / "data"

    @property
    def reports(self) -> Path:
        """Where the report goes, and what a person should find beside it."""
        return self._run.path / "reports"

    @property
    def store(self) -> Path:
        """What is kept from run to run; a run that was asked to start afresh has one of its own."""
        is_fresh = not self._is_lab and read_json(self._run.record)["is_fresh"]
        return self._run.path / "store" if is_fresh else self._project.store

    @property
    def paths(self) -> dict[str, StagePath]:
        """What the speed of each stage of the pipeline depends on."""
        return {stage.name: self._pipeline.path(stage) for stage in self._pipeline.stages}

    def profile(self, stage: str) -> pd.DataFrame:
        """What each function of a stage cost in its newest profile; none when there is no profile."""
        from sbir_toolkit.pipeline.profiling import newest_functions

        return newest_functions(self._project, stage)

    def chunks_of(self, run_id: str) -> pd.DataFrame:
        """The figures of the chunks of any run."""
        return chunks_of(self._project, run_id)

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self._project.root

    @property
    def history(self) -> str | Path:
        """The database of all runs' figures: a file, or the URL that the parameters name."""
        return self.params.performance.history_url or self._project.history

    def input(self, name: str) -> Path:
        """Where an input file is: the one that the parameters name, or the synthetic one."""
        return input_path(self._project, self.params, name)

    def inputs(self, name: str) -> tuple[Path, ...]:
        """Where the files of an input are that may be several."""
        return input_paths(self._project, self.params, name)

    @property
    def labels(self) -> Path | None:
        """Where the labels are that somebody filled in; None when there are none."""
        return self.input("labels") if self.params.accuracy.labels else None

    def path(self, table: str) -> Path:
        """Where a table is that this stage reads or writes.

        Raises
        ------
        InputError
            When it is to be read and isn't there; names the notebook that makes it.
        """
        path = self._find(table)
        if table in self._stage.writes or path.exists():
            return path
        maker = self._pipeline.producer(table)
        made_by = maker.notebook if maker else "no stage"
        raise InputError(
            explain(
                f"the table '{table}' isn't there",
                where=path,
                expected=f"written by {made_by} with these parameters, inputs and code",
                todo=f"run {made_by} first, or everything: sbir-toolkit run {self._params_file}",
            )
        )

    def read(self, table: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Read a table, or some of its columns, into memory."""
        import pyarrow.parquet as pq

        frame: pd.DataFrame = pq.read_table(self.path(table), columns=columns).to_pandas()
        return frame

    def write(self, **tables: pd.DataFrame) -> None:
        """Write tables, each checked against its contract; what is made of degraded tables is degraded."""
        marks = self.marks
        for name, frame in tables.items():
            contract = TABLES[name]
            write_parquet(self.path(name), mark_table(contract.arrow(contract.check(frame)), marks))

    def accepted_metrics(self) -> pd.DataFrame:
        """What the runs that were accepted before this one measured, as a table `metric_history`."""
        record = None if self._is_lab else read_json(self._run.record)
        return accepted_metrics(
            self._project, comparable_name(self.params), before=record["created"] if record else None
        )

    def explain(self, award_ids: Iterable[str]) -> Explanations:
        """Explain why awards have their recipients: what speaks for and against, and who came second."""
        from sbir_toolkit.pipeline.explanation import MatchedTables, explain_awards

        return explain_awards(MatchedTables.found(self.path), award_ids, self.store, self.params)

    def record(self, **values: Any) -> None:
        """Record counts and metrics of this stage; they become part of the run's record."""
        path = self._run.metrics(self._stage.name)
        known = read_json(path) if path.exists() else {}
        write_json(path, {**known, **values})

    def recorded(self) -> dict[str, Any]:
        """What the stages before this one recorded, in one dictionary."""
        found: dict[str, Any] = {}
        for other in self._pipeline.stages:
            path = self._source.metrics(other.name)
            if path.exists() and other.name != self._stage.name:
                found |= read_json(path)
        return found

    def run_record(self) -> dict[str, Any]:
        """The record of this run; opened by itself, that of the newest run with the same results.

        When no run has them, it is the newest one of the same parameters' name.
        """
        return read_run(self._measured_run())

    def events(self) -> list[dict[str, Any]]:
        """The events of that run: phases, chunks, memory samples."""
        return read_lines(self._measured_run().events)

    def finish(self) -> Finished:
        """Check what the stage wrote and say so; opened by itself, keep it for the notebooks that come after.

        Raises
        ------
        ContractError
            When a declared table is missing, breaks its contract, or rows were lost.
        """
        outputs = check_outputs(self._stage, self._run) if self._is_lab else None
        sums = check_sums(self._stage, self._run, self._find)
        if outputs is not None and self._key is not None:
            ResultStore(self._project).add(
                stored_result(
                    self._stage, self._key, self._run, self._project, outputs, params=self.params.name
                )
            )
        return Finished(self._stage.name, self.run_id, self._row_counts(), sums)

    def _find(self, table: str) -> Path:
        if table in self._stage.writes:
            return self._run.table(table)
        if table in self._results:
            return self._project.outputs / self._results[table].path
        found, maker = self._source.table(table), self._pipeline.producer(table)
        if maker is not None and maker.measures_run and not (self._source.record.exists() or found.exists()):
            # What measures a run is made in each, and so isn't in the store.
            return next((run.table(table) for run in self._alike_runs()), found)
        return found

    def _row_counts(self) -> dict[str, int]:
        import pyarrow.parquet as pq

        return {name: pq.read_metadata(self._run.table(name)).num_rows for name in self._stage.writes}

    def _measured_run(self) -> RunFolder:
        if self._source.record.exists():
            return self._source
        named = (
            folder
            for folder in list_runs(self._project)
            if read_json(folder.record)["name"] == self.params.name
        )
        for folder in (*self._alike_runs(), *named):
            return folder
        raise InputError(
            explain(
                "there is no run whose figures could be shown",
                where=self._project.runs,
                todo=f"sbir-toolkit run {self._params_file}",
            )
        )

    def _alike_runs(self) -> list[RunFolder]:
        return [folder for folder in list_runs(self._project) if self._has_known(read_json(folder.record))]

    def _has_known(self, record: Mapping[str, Any]) -> bool:
        stages = record["stages"]
        return bool(self._known) and all(
            stages.get(name, {}).get("key") == key for name, key in self._known.items()
        )

    def _look_up(self) -> None:
        # Walk the stages before this one and find, by key, what each left in the store.
        setup = make_setup(self._project, self.params, say=print)
        store = ResultStore(self._project)
        tables: dict[str, str] = {}
        for stage in self._pipeline.stages:
            if not (stage.measures_run or self._pipeline.asks_gates(stage) or stage.name == self._stage.name):
                self._known[stage.name] = ""
            if not set(stage.reads) <= set(tables):
                continue
            run_id = self.run_id if stage.measures_run else None
            key = stage_key(stage, setup, tables, run_id)
            if stage.name == self._stage.name:
                self._key = key
                return
            result = store.find(stage.name, key.digest)
            if result is not None:
                tables |= {name: table.digest for name, table in result.tables.items()}
                self._results |= result.tables
                self._copy_metrics(result)
                if stage.name in self._known:
                    self._known[stage.name] = key.digest

    def _ask_gates(self) -> None:
        # The pipeline asks before it starts a stage; somebody who opens one by hand gets the same answer.
        judgement = judge(self.path("metrics"), self._find("metric_history"), self.params)
        hindrance = judgement.hindrance(self._stage)
        if hindrance is not None:
            raise GateError(
                explain(
                    f"the quality gates hold up the stage '{self._stage.name}'",
                    where=self._source.run_id,
                    got=hindrance.reason,
                    todo=judgement.way_out(),
                )
            )

    def _copy_metrics(self, result: StoredResult) -> None:
        if "metrics" in result.files and (self._project.outputs / result.files["metrics"]).exists():
            values = read_json(self._project.outputs / result.files["metrics"])
            write_json(self._run.metrics(result.stage), values)


def open_stage(name: str, run_id: str = "", params_file: str = "params/sample.yml") -> OpenStage:
    """Open a stage of the pipeline for the notebook that is it.

    Parameters
    ----------
    name
        The stage's name in `notebooks/pipeline.yml`.
    run_id
        The run it is part of. Empty: it is opened by itself. A run that has ended, or "latest" for the newest
        one: its tables are read, but it stays as it is, and what is written goes to a folder of its own.
    params_file
        The parameters, relative to the current folder or the project's; a run has its own.

    Returns
    -------
    OpenStage
        To read, write and record with.
    """
    project = find_project()
    if not run_id:
        params = fetch_inputs(project, load_params(find_params_file(project, params_file)), say=print)
        run, source = RunFolder(project.runs / f"lab-{params.name}"), None
    else:
        is_newest = run_id == LATEST
        folder = open_run(project) if is_newest else RunFolder(project.runs / run_id)
        if not folder.record.exists():
            todo = "leave run_id empty to work by itself"
            raise ParameterError(explain(f"there is no run '{run_id}'", where=project.runs, todo=todo))
        params, params_file = run_params(folder), str(folder.params)
        # The pipeline names its run; who asks for the newest one looks on, though it may still be going on.
        is_conducted = is_locked(folder.lock) and not is_newest
        lab = RunFolder(project.runs / f"lab-{folder.run_id}")
        run, source = (folder, None) if is_conducted else (lab, folder)
    params = with_overrides(project, params)
    pipeline = load_pipeline(project.declaration, params)
    stage = pipeline[name]
    run.metrics(name).unlink(missing_ok=True)
    run.path.mkdir(parents=True, exist_ok=True)
    if not run.record.exists() and in_notebook():
        _write_events(run, name)
    return OpenStage(stage, project, run, params, pipeline, params_file=params_file, source=source)


def _write_events(run: RunFolder, stage: str) -> None:
    """Let a notebook that somebody has opened say what it does, as the pipeline lets those that it runs."""
    run.events.unlink(missing_ok=True)
    os.environ |= {EVENTS_VARIABLE: str(run.events), STAGE_VARIABLE: stage}
    watch_cells(run.events, stage)
