"""The workload of a benchmark: the pipeline's stages on files of fixed content, without notebooks.

One repeat is one process: it imports the toolkit, does the work of each stage (`stage_work`) from an empty
store, and writes down what each took: it reads both files, builds the index, matches, estimates the accuracy,
judges the gates and parts the awards. What the phases inside took stands in the events, as in a run. A repeat
that is a process of its own begins each time with the same empty caches, and has its own luck with addresses
and pages, so repeats scatter as runs do.

Half of a small repeat is importing. Where two versions of the code take turns and nothing is asked about
their start, each stays in one warm process, from which the process of each repeat is forked: both sides alike
have imported already.

    python -m sbir_toolkit.pipeline.workload JOB.json
    python -m sbir_toolkit.pipeline.workload -          # warm: says "ready", then does the job of each line
"""

from __future__ import annotations

import contextlib
import gc
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
    from sbir_toolkit.pipeline.stage_work import import_rooms

    import_rooms()
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
        with laps.stage(START) as facts:
            from sbir_toolkit.params import Params
            from sbir_toolkit.pipeline.stage_work import WORK, Job, import_rooms

            import_rooms()
            inputs = {"awards": [str(awards)], "recipients": [str(recipients)]}
            facts["rows_in"] = 0
        data = folder / "data"
        for name, do in WORK.items():
            if until in laps.stages:
                break
            with laps.stage(name) as facts:
                facts["rows_in"] = do(Job(name, Params(), inputs, data, data, folder / "store"))
        return laps.stages


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
