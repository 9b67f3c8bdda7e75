"""A stage's work without its notebook: in a process and a folder of its own, measured like a stage.

What a stage costs can be asked again without a run: under a profiler, with another parameter, in another
version of the code. The job names the files and tables that a run worked on; what comes out goes to a scratch
folder, and the run stays as it is. Phases and chunks are written as events, as in a run. A benchmark does the
same work, of all stages one after the other in one process (`workload`).

    python -m sbir_toolkit.pipeline.stage_work JOB.json
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbir_toolkit.errors import ParameterError, StageError, explain
from sbir_toolkit.meter import EVENTS_VARIABLE, STAGE_VARIABLE, TreeSampler, emit
from sbir_toolkit.params import Params
from sbir_toolkit.storage import append_line, read_json, read_lines, write_json


@dataclass(frozen=True)
class Job:
    """What to work on, and where the results go.

    Parameters
    ----------
    stage
        A name out of `WORK`.
    params
        What the stage is told.
    inputs
        Files of each input, by its name.
    tables
        The folder of the tables that earlier stages left.
    folder
        Where this one's tables go.
    store
        Where indices and committed chunks are kept.
    """

    stage: str
    params: Params
    inputs: Mapping[str, list[str]]
    tables: Path
    folder: Path
    store: Path

    def write(self, file: Path) -> None:
        """Write the job for the process that will do it."""
        told = {
            "params": self.params.model_dump(mode="json"),
            "inputs": {name: [str(path) for path in paths] for name, paths in self.inputs.items()},
            **{name: str(getattr(self, name)) for name in ("stage", "tables", "folder", "store")},
        }
        write_json(file, told)

    @classmethod
    def read(cls, file: Path) -> Job:
        """Read a job that was written."""
        told = read_json(file)
        folders = {name: Path(told[name]) for name in ("tables", "folder", "store")}
        return cls(told["stage"], Params.model_validate(told["params"]), told["inputs"], **folders)

    def table(self, name: str) -> Path:
        """Where a table of an earlier stage stands."""
        return self.tables / f"{name}.parquet"


def _load_awards(job: Job) -> int:
    from sbir_toolkit.sources import load_awards

    paths = [Path(path) for path in job.inputs["awards"]]
    return int(load_awards(paths, job.folder, job.params.limits, job.params.awards).records_read)


def _load_recipients(job: Job) -> int:
    from sbir_toolkit.sources import load_recipients

    paths = [Path(path) for path in job.inputs["recipients"]]
    return load_recipients(paths, job.folder, job.params.limits, job.params.recipients).records_read


def _match_recipients(job: Job) -> int:
    from sbir_toolkit.enrichment import enrich_awards

    tables = job.table("awards"), job.table("recipients")
    return enrich_awards(*tables, job.folder, job.store, job.params).awards


def _accuracy(job: Job) -> int:
    import pandas as pd

    from sbir_toolkit.enrichment import prepare_index
    from sbir_toolkit.matching import measure_accuracy, open_index
    from sbir_toolkit.storage import write_parquet
    from sbir_toolkit.tables import ACCURACY

    params = job.params
    companies, matches = (pd.read_parquet(job.table(name)) for name in ("companies", "company_matches"))
    index = open_index(prepare_index(job.table("recipients"), job.store, params))
    report = measure_accuracy(
        companies, matches, index, params.matching, params.accuracy, confidence=params.quality.confidence
    )
    write_parquet(job.folder / "accuracy.parquet", ACCURACY.arrow(ACCURACY.check(report.table)))
    return len(companies)


def _quality_gates(job: Job) -> int:
    import pyarrow.parquet as pq

    from sbir_toolkit.quality import evaluate_gates, measure_quality, release_awards

    names = ("enriched_awards", "award_rejects", "recipients", "recipient_rejects", "accuracy")
    paths, quality = {name: job.table(name) for name in names}, job.params.quality
    counts = {
        f"{singular}_records": sum(pq.read_metadata(job.table(name)).num_rows for name in tables)
        for singular, tables in (
            ("award", ("enriched_awards", "award_rejects")),
            ("recipient", ("recipients", "recipient_rejects")),
        )
    }
    gates = evaluate_gates(measure_quality(paths, counts, quality).table, quality.gates)
    release_awards(paths["enriched_awards"], gates, quality.gates, job.folder)
    return int(counts["award_records"])


# What each stage calls to do its work; it returns how many rows it worked on.
WORK: dict[str, Callable[[Job], int]] = {
    "load_awards": _load_awards,
    "load_recipients": _load_recipients,
    "match_recipients": _match_recipients,
    "accuracy": _accuracy,
    "quality_gates": _quality_gates,
}


def require_work(stage: str) -> None:
    """Refuse a stage that has no work outside its notebook.

    Raises
    ------
    ParameterError
        With the stages that have.
    """
    if stage not in WORK:
        raise ParameterError(
            explain(
                f"the stage '{stage}' can't be done without its notebook",
                expected=f"one of: {', '.join(WORK)}",
                got=stage,
            )
        )


def measure_work(job: Job, events: Path, *, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Do a job in a process of its own and measure it as the runner measures a stage.

    Parameters
    ----------
    job
        What to do.
    events
        Where spans, samples and chunks go, a line each.
    env
        Variables to add to this process's own.

    Returns
    -------
    dict
        As a run's record has it for a stage: status, started, ended, elapsed_s, cpu_s, user_s, system_s,
        queued_s, others_cpu_s, minor_faults, major_faults, peak_bytes, read_bytes, written_bytes, rows_in.

    Raises
    ------
    StageError
        When the work fails.
    """
    require_work(job.stage)
    job.folder.mkdir(parents=True, exist_ok=True)
    file = job.folder / "job.json"
    job.write(file)
    told = {EVENTS_VARIABLE: str(events), STAGE_VARIABLE: job.stage}
    started, clock = time.time(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {}), **told},
        text=True,
    )
    sampler = TreeSampler(process.pid, job.params.performance.sample_interval_s).start()
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed_s = time.perf_counter() - clock
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    sampler.stop()
    if process.returncode:
        raise StageError(explain(f"the work of {job.stage} failed", where=file, got=said.strip()[-2_000:]))
    rows = [line["rows"] for line in read_lines(events) if line["kind"] == "work" and line["at"] >= started]
    last = sampler.last_
    append_line(
        events, {"at": time.time(), "kind": "sample", "stage": job.stage, "memory_bytes": sampler.peak_bytes_}
    )
    return {
        "status": "done",
        "started": started,
        "ended": started + elapsed_s,
        "elapsed_s": elapsed_s,
        "cpu_s": max(last.cpu_s, usage.ru_utime + usage.ru_stime),
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "queued_s": last.queued_s,
        "others_cpu_s": last.others_cpu_s,
        "minor_faults": usage.ru_minflt,
        "major_faults": usage.ru_majflt,
        "peak_bytes": sampler.peak_bytes_,
        "read_bytes": last.read_bytes,
        "written_bytes": last.written_bytes,
        "rows_in": rows[-1],
    }


def import_rooms() -> None:
    """Import what the work needs, so that it stands apart from the work itself."""
    for room in ("enrichment", "matching", "quality", "sources", "tables"):
        importlib.import_module(f"sbir_toolkit.{room}")


def main(job_file: str) -> None:
    """Do the work that a job file describes."""
    job = Job.read(Path(job_file))
    import_rooms()
    emit("work", rows=WORK[job.stage](job))


if __name__ == "__main__":
    main(sys.argv[1])
