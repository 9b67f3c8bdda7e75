"""The runner: one stage, one supervised child process, measured to its end.

While the child runs, its whole process tree (child, notebook kernel, Dask workers) is sampled for memory and
CPU time. When it is over the runner knows how it ended, even if the child can't say so itself, and what it
cost.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, Literal

import psutil

from sbir_toolkit.meter import EVENTS_VARIABLE, STAGE_VARIABLE, TreeSampler, TreeUsage
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.nursery import Ending, Nursery, Nursling
from sbir_toolkit.pipeline.project import OUTPUTS_VARIABLE, Project
from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.pipeline.setup import Setup
from sbir_toolkit.pipeline.stages import Stage
from sbir_toolkit.storage import append_line, read_json, write_json

_POLL_S = 0.02
_SAMPLE_EVENT_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """How a stage ended, and what it cost.

    Parameters
    ----------
    status
        done, failed (the notebook raised an error), died (a process was killed), or interrupted (the run was
        told to stop).
    error
        The error's class, when the notebook raised one.
    message
        Its message, or how the process ended.
    figures
        started, ended (seconds since the epoch), elapsed_s, cpu_s, peak_bytes, read_bytes, written_bytes,
        user_s, system_s, queued_s, minor_faults, major_faults (of all processes that were waited for);
        others_cpu_s: what all else on the machine used meanwhile.
    """

    status: str
    error: str = ""
    message: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


def run_notebook(stage: Stage, setup: Setup, run: RunFolder, nursery: Nursery, stop: Event) -> Outcome:
    """Execute a stage's notebook in a supervised child.

    Parameters
    ----------
    stage
        What to run.
    setup, run
        Where, told what, in which run.
    nursery
        Forks the child.
    stop
        When set, the child is killed and the stage counts as interrupted.
    """
    project, params = setup.project, setup.params
    job = run.path / "metrics" / f".{stage.name}.job.json"
    outcome_file = run.path / "metrics" / f".{stage.name}.outcome.json"
    outcome_file.unlink(missing_ok=True)
    write_json(
        job,
        {
            "notebook": str(project.root / "notebooks" / stage.notebook),
            "output": str(run.notebook(stage.notebook)),
            "parameters": {"run_id": run.run_id, "params_file": str(run.params)},
            "kernel": params.pipeline.kernel,
            "cwd": str(project.root / "notebooks"),
            "outcome": str(outcome_file),
        },
    )
    log = run.path / "metrics" / f"{stage.name}.log"
    nursling = nursery.fork(job, _environment(stage, project, run), log)
    started = time.time()
    if not nursling.pid:
        job.unlink()
        gone = "the process that stages are forked from was killed, or can't start"
        return Outcome(
            "died", message=gone, figures=_figures(started, TreeUsage(0, 0.0, 0, 0, 0), Ending(None), 0)
        )
    child = _Child(nursling, TreeSampler(nursling.pid, params.performance.sample_interval_s).start())
    try:
        child.watch(stop, params.pipeline.stage_timeout_s, lambda seen: _write_sample(run, stage, seen))
    finally:
        child.sampler.stop()
    job.unlink()
    outcome = _judge(child, outcome_file, log, params)
    outcome_file.unlink(missing_ok=True)
    return replace(
        outcome, figures=_figures(started, child.sampler.last_, child.ended, child.sampler.peak_bytes_)
    )


def _figures(started: float, last: TreeUsage, ended: Ending, peak_bytes: int) -> dict[str, Any]:
    return {
        "started": started,
        "ended": time.time(),
        "elapsed_s": time.time() - started,
        "cpu_s": max(last.cpu_s, ended.user_s + ended.system_s),
        "peak_bytes": peak_bytes,
        "read_bytes": last.read_bytes,
        "written_bytes": last.written_bytes,
        "user_s": ended.user_s,
        "system_s": ended.system_s,
        "queued_s": last.queued_s,
        "others_cpu_s": last.others_cpu_s,
        "minor_faults": ended.minor_faults,
        "major_faults": ended.major_faults,
    }


@dataclass
class _Child:
    """A child process under watch, and how it ended."""

    process: Nursling
    sampler: TreeSampler
    ending: Literal["by itself", "stopped", "timeout"] = "by itself"
    ended: Ending = field(default_factory=lambda: Ending(None))

    def watch(self, stop: Event, timeout_s: float, on_sample: Callable[[TreeUsage], None]) -> None:
        """Wait for the child to end; kill it and all below it when told to stop or when its time is up."""
        deadline = time.monotonic() + timeout_s
        next_sample = 0.0
        while (ended := self.process.wait(_POLL_S)) is None:
            now = time.monotonic()
            if self.ending == "by itself" and (stop.is_set() or now > deadline):
                self.ending = "stopped" if stop.is_set() else "timeout"
                _kill_tree(self.process.pid)
            if now >= next_sample:
                next_sample = now + _SAMPLE_EVENT_S
                on_sample(self.sampler.last_)
        self.ended = ended


def describe_exit(what: str, exit_code: int | None) -> str:
    """Say how a process ended.

    Examples
    --------
    >>> describe_exit("the kernel", -9)
    'the kernel was killed by SIGKILL'
    >>> describe_exit("the kernel", 3)
    'the kernel ended with exit code 3'
    """
    if exit_code is not None and exit_code < 0:
        return f"{what} was killed by {signal.Signals(-exit_code).name}"
    return f"{what} ended with exit code {exit_code}" if exit_code is not None else f"{what} died"


def _environment(stage: Stage, project: Project, run: RunFolder) -> dict[str, str]:
    return {
        OUTPUTS_VARIABLE: str(project.outputs),
        EVENTS_VARIABLE: str(run.events),
        STAGE_VARIABLE: stage.name,
    }


def _write_sample(run: RunFolder, stage: Stage, seen: TreeUsage) -> None:
    append_line(
        run.events,
        {
            "at": time.time(),
            "kind": "sample",
            "stage": stage.name,
            "memory_bytes": seen.memory_bytes,
            "cpu_s": round(seen.cpu_s, 3),
            "processes": seen.processes,
        },
    )


def _judge(child: _Child, outcome: Path, log: Path, params: Params) -> Outcome:
    if child.ending == "stopped":
        return Outcome("interrupted", message="the run was told to stop")
    if child.ending == "timeout":
        limit = params.pipeline.stage_timeout_s
        return Outcome("died", message=f"stopped after pipeline.stage_timeout_s = {limit:,.0f} s")
    memory = f"; its processes held at most {child.sampler.peak_bytes_ / 1e6:,.0f} MB"
    if outcome.exists():
        told = read_json(outcome)
        message = told.get("message", "") + (memory if told["status"] == "died" else "")
        return Outcome(told["status"], told.get("error", ""), message)
    said = "\n".join(log.read_text(errors="replace").strip().splitlines()[-3:])
    ended = describe_exit("the process that ran the notebook", child.ended.exit_code)
    return Outcome("died", message=f"{ended}{memory}" + (f"; it said: {said}" if said else ""))


def _kill_tree(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [*root.children(recursive=True), root]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
