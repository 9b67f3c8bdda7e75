"""The workload of a benchmark: the pipeline's stages on files of fixed content, without notebooks.

One repeat is one process: it imports the toolkit, reads both files, builds the index, matches, estimates the
accuracy and judges the gates, from an empty store, and writes down what each stage took. What the phases
inside took stands in the events, as in a run. A process of its own begins each time with the same empty
caches, and has its own luck with addresses and pages, so repeats scatter as runs do.

Half of a small repeat is importing. Where two versions of the code take turns and nothing is asked about
their start, each stays in one warm process, from which the process of each repeat is forked: both sides alike
have imported already.

    python -m sbir_toolkit.pipeline.workload JOB.json
    python -m sbir_toolkit.pipeline.workload -          # warm: says "ready", then does the job of each line
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbir_toolkit.meter import EVENTS_VARIABLE, STAGE_VARIABLE, TreeSampler
from sbir_toolkit.pipeline.nursery import fork
from sbir_toolkit.storage import read_json, write_json

START = "start"
WARM = "-"
WORKER_NAME = "sbir-bench"
_SAMPLE_S = 0.2  # as often as in a run


@dataclass(frozen=True)
class Workload:
    """Files of fixed content to do the pipeline's work on.

    Parameters
    ----------
    awards, recipients, seed
        What the generator of synthetic files is told.
    """

    name: str
    awards: int
    recipients: int
    seed: int = 7


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("small", 8_000, 80_000),
        Workload("medium", 40_000, 500_000),
        Workload("full", 219_500, 3_400_000),
    )
}


def main(job_file: str) -> None:
    """Do the work that a job file describes, once; "-": be warm, and do what standard input names."""
    if job_file == WARM:
        serve()
    else:
        do_job(Path(job_file))


def serve() -> None:
    """Import what the work needs, then do the job of each line in a fork; answer with its exit code."""
    for room in ("enrichment", "matching", "quality", "sources", "tables"):
        importlib.import_module(f"sbir_toolkit.{room}")
    gc.collect()
    gc.freeze()
    _answer("ready")
    for line in sys.stdin:
        pid = fork(WORKER_NAME)
        if pid == 0:
            do_job(Path(line.strip()))
            return
        _answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _answer(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def do_job(file: Path) -> None:
    """Do the work that a file describes, and write down what each stage took."""
    job = read_json(file)
    os.environ[EVENTS_VARIABLE] = job["events"]
    write_json(
        Path(job["outcome"]),
        do_work(Path(job["awards"]), Path(job["recipients"]), Path(job["folder"]), job.get("until")),
    )


def do_work(
    awards: Path, recipients: Path, folder: Path, until: str | None = None
) -> dict[str, dict[str, Any]]:
    """Go through the stages once, from an empty store.

    Parameters
    ----------
    awards, recipients
        The input files.
    folder
        Where tables and store go; empty.
    until
        The last stage to do; None: all.

    Returns
    -------
    dict
        For each stage, in their order, what a run's record keeps of it.
    """
    with contextlib.closing(_Laps()) as laps:
        for _ in _go_through(awards, recipients, folder, laps):
            if until in laps.stages:
                break
        return laps.stages


def _go_through(awards: Path, recipients: Path, folder: Path, laps: _Laps) -> Iterator[None]:
    """Do one stage after the other; stop after each, to be told to go on."""
    with laps.stage(START) as start:
        from sbir_toolkit import sources
        from sbir_toolkit.enrichment import enrich_awards, prepare_index
        from sbir_toolkit.matching import measure_accuracy, open_index
        from sbir_toolkit.params import Params
        from sbir_toolkit.quality import decide, evaluate_gates, measure_quality
        from sbir_toolkit.storage import write_parquet
        from sbir_toolkit.tables import ACCURACY

        params, store, data = Params(), folder / "store", folder / "data"
        start["rows_in"] = 0
    yield
    with laps.stage("load_awards") as facts:
        loaded = sources.load_awards(awards, data, params.limits)
        facts["rows_in"] = loaded.records_read
    yield
    with laps.stage("load_recipients") as facts:
        facts["rows_in"] = sources.load_recipients(recipients, data, params.limits).records_read
    yield
    with laps.stage("match_recipients") as facts:
        tables = data / "awards.parquet", data / "recipients.parquet"
        enriched = enrich_awards(*tables, data, store, params)
        facts["rows_in"] = loaded.records_read
    yield
    with laps.stage("accuracy") as facts:
        import pandas as pd

        companies, matches = (
            pd.read_parquet(data / f"{name}.parquet") for name in ("companies", "company_matches")
        )
        index = open_index(prepare_index(data / "recipients.parquet", store, params))
        told = params.matching, params.accuracy
        report = measure_accuracy(companies, matches, index, *told, confidence=params.quality.confidence)
        write_parquet(data / "accuracy.parquet", ACCURACY.arrow(ACCURACY.check(report.table)))
        facts["rows_in"] = len(companies)
    yield
    with laps.stage("quality_gates") as facts:
        names = ("enriched_awards", "award_rejects", "recipients", "recipient_rejects", "accuracy")
        records = {"award_records": loaded.records_read, **enriched.counts}
        metrics = measure_quality({name: data / f"{name}.parquet" for name in names}, records, params.quality)
        decide(evaluate_gates(metrics.table, params.quality.gates))
        facts["rows_in"] = loaded.records_read


class _Laps:
    """What each stage takes, one after the other; one sampler watches them all."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, Any]] = {}
        self._sampler = TreeSampler(os.getpid(), _SAMPLE_S).start()

    def close(self) -> None:
        """Stop watching."""
        self._sampler.stop()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Measure a stage; what else is known of it is put into the dictionary that is given."""
        os.environ[STAGE_VARIABLE] = name
        (seen, _), used = self._sampler.lap(), _used()
        facts: dict[str, Any] = {}
        started, clock = time.time(), time.perf_counter()
        yield facts
        elapsed_s, used_now = time.perf_counter() - clock, _used()
        last, peak_bytes = self._sampler.lap()
        figures = {figure: used_now[figure] - used[figure] for figure in used}
        self.stages[name] = {
            "status": "done",
            "started": started,
            "ended": started + elapsed_s,
            "elapsed_s": elapsed_s,
            "cpu_s": figures["user_s"] + figures["system_s"],
            **facts,
            **figures,
            "queued_s": _grown(seen.queued_s, last.queued_s),
            "others_cpu_s": _grown(seen.others_cpu_s, last.others_cpu_s),
            "peak_bytes": peak_bytes,
            "read_bytes": last.read_bytes - seen.read_bytes,
            "written_bytes": last.written_bytes - seen.written_bytes,
        }


def _grown(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else max(0.0, now - before)


def _used() -> dict[str, float]:
    both = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    names = {"user_s": "utime", "system_s": "stime", "minor_faults": "minflt", "major_faults": "majflt"}
    return {figure: sum(getattr(usage, f"ru_{name}") for usage in both) for figure, name in names.items()}


if __name__ == "__main__":
    main(sys.argv[1])
