"""Drills: break a run on purpose, and show that it recovers with nothing lost and nothing done twice.

Each drill runs the first stages of the real pipeline on a small synthetic sample, in processes of their own
and in a folder of its own, and does to them what happens to people: a kernel, a worker or the whole run is
killed with SIGKILL, Ctrl-C is pressed, a file is damaged, the disk is full, a gate fails. Then it does what a
person would do (`resume`, or `run` once more) and compares: the tables must have the digests of a run that
nobody disturbed, no chunk may be computed twice, and the run's record must have told the truth in between.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from sbir_toolkit.errors import ParameterError, StageError, explain
from sbir_toolkit.pipeline.conduct import Say
from sbir_toolkit.pipeline.nursery import KERNEL_NAME
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, open_run, read_run
from sbir_toolkit.storage import read_json, read_lines

_MATCHING = "match_recipients"
_STAGES = ("load_awards", "load_recipients", _MATCHING)
_GATES = (*_STAGES, "accuracy", "quality_gates")
_SAMPLE = ("synthetic.awards=1500", "synthetic.recipients=6000", "compute.chunk_companies=15")
_WAIT_S = 180.0
_ENOUGH_CHUNKS = 3
# Less than the table of recipients takes.
_FULL_DISK_BYTES = 200_000


@dataclass(frozen=True)
class Outcome:
    """What a drill showed: each claim, and whether it held."""

    fault: str
    what: str
    claims: tuple[tuple[str, bool], ...]
    elapsed_s: float

    @property
    def is_recovered(self) -> bool:
        """Whether every claim held."""
        return all(held for _, held in self.claims)

    def __str__(self) -> str:
        head = (
            f"{'ok ' if self.is_recovered else 'BAD'}  {self.fault:<16} {self.what} ({self.elapsed_s:.0f} s)"
        )
        return "\n".join([head, *(f"       {'' if held else 'NOT '}{claim}" for claim, held in self.claims)])


def run_drills(project: Project, faults: Iterable[str] = (), *, say: Say) -> Iterable[Outcome]:
    """Break runs on purpose, one fault after the other.

    Parameters
    ----------
    project
        Whose notebooks are run; results go to `drill/` in its outputs, which is emptied first.
    faults
        Names out of `FAULTS`; none: all of them.
    say
        Receives a line as each drill begins; one takes about half a minute.

    Yields
    ------
    Outcome
        As soon as a drill is over.

    Raises
    ------
    ParameterError
        When there is no such fault.
    """
    chosen = list(faults) or list(FAULTS)
    for fault in chosen:
        if fault not in FAULTS:
            expected = ", ".join(FAULTS)
            raise ParameterError(explain("there is no such drill", expected=expected, got=fault))
    folder = project.outputs / "drill"
    shutil.rmtree(folder, ignore_errors=True)
    undisturbed = _Ground(project.root, folder / "undisturbed")
    for fault in chosen:
        break_it = FAULTS[fault]
        started = time.monotonic()
        ground = _Ground(project.root, folder / fault, undisturbed)
        what = str(break_it.__doc__).splitlines()[0].removesuffix(".")
        say(f"{fault}: {what} ...")
        break_it(ground)
        yield Outcome(fault, what, tuple(ground.claims), time.monotonic() - started)


@dataclass
class _Ground:
    """Where a drill takes place: a folder of outputs of its own."""

    root: Path
    outputs: Path
    undisturbed: _Ground | None = None
    claims: list[tuple[str, bool]] = field(default_factory=list)

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digest of each table of a run that nobody disturbed."""
        self.finish(self.start())
        return self.certified()

    def claim(self, sentence: str, held: bool) -> None:
        self.claims.append((sentence, held))

    def claim_same_data(self) -> None:
        """Claim what must hold at the end of every drill."""
        assert self.undisturbed is not None
        same = self.certified() == self.undisturbed.digests
        self.claim("in the end every table has the digest of a run that nobody disturbed", same)

    def claim_chunks_once(self) -> None:
        counts = Counter(str(line["key"]) for line in self.journal())
        self.claim(f"each of {len(counts)} chunks was committed once", set(counts.values()) == {1})

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sbir_toolkit.cli", "--outputs", str(self.outputs), *words]

    def run_words(self, *overrides: str, stages: tuple[str, ...] = _STAGES) -> list[str]:
        words = [word for stage in stages for word in ("--only", stage)]
        for override in ("name=drill", *_SAMPLE, *overrides):
            words += ["-p", override]
        return ["run", "params/sample.yml", *words]

    def start(self, words: list[str] | None = None) -> subprocess.Popen[str]:
        """Start a command; none: a run."""
        return subprocess.Popen(
            self.command(*(words or self.run_words())),
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for a command; give its exit code and what it said."""
        said, _ = process.communicate(timeout=_WAIT_S)
        return process.returncode, said

    def record(self) -> dict[str, Any]:
        return read_run(self.newest())

    def newest(self) -> RunFolder:
        return open_run(Project(self.root, self.outputs))

    def certified(self) -> dict[str, str]:
        outputs = self.record()["certificate"]["outputs"]
        return {made["table"]: made["digest"] for made in outputs if made["stage"] in _STAGES}

    def rows(self) -> dict[str, int]:
        """Count the rows of each table of the newest run; of one that nobody disturbed there is one first."""
        if self.undisturbed is None:
            assert self.digests
        return {made["table"]: made["rows"] for made in self.record()["certificate"]["outputs"]}

    def journal(self) -> list[dict[str, Any]]:
        return [
            line for path in self.outputs.glob("store/matching/*/journal.ndjson") for line in read_lines(path)
        ]

    def wait_for_chunks(self, process: subprocess.Popen[str]) -> None:
        """Wait until some chunks are committed, while the run is in the middle of the others."""
        self.wait_for(process, lambda: len(self.journal()) >= _ENOUGH_CHUNKS)

    def wait_for(self, process: subprocess.Popen[str], is_so: Callable[[], bool]) -> None:
        """Wait for a moment of a run."""
        deadline = time.monotonic() + _WAIT_S
        while not is_so():
            if time.monotonic() > deadline or process.poll() is not None:
                got = self.finish(process)[1] if process.poll() is not None else "not in time"
                what = "the run that was to be disturbed didn't come so far"
                raise StageError(explain(what, where=self.outputs, got=got))
            time.sleep(0.01)

    def resume(self) -> None:
        """Go on with the newest run, and claim that it did what was missing and no more."""
        before = {str(line["key"]) for line in self.journal()}
        code, _ = self.finish(self.start(["resume"]))
        self.claim("'resume' brings it to its end", code == 0)
        reused = read_json(self.newest().metrics(_MATCHING))["chunks_reused"]
        self.claim(f"the {len(before)} chunks committed before were kept", reused >= len(before))


def _kill(ground: _Ground, kind: str) -> int:
    """Kill a process of a run that is in the middle of matching; give the run's exit code."""
    words = ground.run_words("compute.scheduler=distributed", "compute.workers=2")
    runner = ground.start(words)
    ground.wait_for_chunks(runner)
    os.kill(_find_victim(runner.pid, kind).pid, signal.SIGKILL)
    return ground.finish(runner)[0]


def _find_victim(runner: int, kind: str) -> psutil.Process:
    process = psutil.Process(runner)
    if kind == "runner":
        return process
    below = process.children(recursive=True)
    if kind == "kernel":
        return next(one for one in below if one.name() == KERNEL_NAME)
    return next(one for one in below if any("spawn_main" in word for word in one.cmdline()))


def killed_kernel(ground: _Ground) -> None:
    """The notebook's kernel is killed in the middle of matching."""
    code = _kill(ground, "kernel")
    record = ground.record()
    ground.claim("the run ends with exit code 1 and its record says that the stage died", code == 1)
    ground.claim("the stage's status is 'died'", record["stages"][_MATCHING]["status"] == "died")
    ground.resume()
    ground.claim_chunks_once()
    ground.claim_same_data()


def killed_runner(ground: _Ground) -> None:
    """The whole run is killed in the middle of matching."""
    _kill(ground, "runner")
    record = ground.record()
    ground.claim("its record says that it was interrupted", record["status"] == "interrupted")
    ground.claim("stages that had ended stay done", record["stages"]["load_awards"]["status"] == "done")
    ground.resume()
    ground.claim_chunks_once()
    ground.claim_same_data()


def killed_worker(ground: _Ground) -> None:
    """A Dask worker is killed in the middle of matching."""
    code = _kill(ground, "worker")
    ground.claim("the run ends well by itself", code == 0)
    ground.claim_chunks_once()
    ground.claim_same_data()


def stopped(ground: _Ground) -> None:
    """Ctrl-C is pressed in the middle of matching."""
    runner = ground.start()
    ground.wait_for_chunks(runner)
    runner.send_signal(signal.SIGINT)
    code, _ = ground.finish(runner)
    ground.claim("the run ends with exit code 1", code == 1)
    ground.claim("its record says that it was interrupted", ground.record()["status"] == "interrupted")
    ground.resume()
    ground.claim_chunks_once()
    ground.claim_same_data()


def damaged_chunk(ground: _Ground) -> None:
    """A committed chunk's file is damaged on the disk."""
    ground.finish(ground.start())
    chunks = len(ground.journal())
    part = sorted(ground.outputs.glob("store/matching/*/part-*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:-100])
    code, _ = ground.finish(ground.start([*ground.run_words(), "--from", _MATCHING]))
    ground.claim("running the stage again ends well", code == 0)
    ground.claim("that chunk was computed again and no other one", len(ground.journal()) == chunks + 1)
    ground.claim_same_data()


def torn_journal(ground: _Ground) -> None:
    """The journal's last line is cut in half."""
    ground.finish(ground.start())
    chunks = len(ground.journal())
    (path,) = ground.outputs.glob("store/matching/*/journal.ndjson")
    path.write_bytes(path.read_bytes()[:-40])
    code, _ = ground.finish(ground.start([*ground.run_words(), "--from", _MATCHING]))
    ground.claim("running the stage again ends well", code == 0)
    ground.claim("that chunk was computed again and no other one", len(ground.journal()) == chunks)
    ground.claim_same_data()


def damaged_table(ground: _Ground) -> None:
    """A stage's stored table is damaged after the run."""
    ground.finish(ground.start())
    table = ground.newest().table("awards")
    table.write_bytes(table.read_bytes()[:-100])
    code, said = ground.finish(ground.start())
    ground.claim("the next run doesn't take the damaged table", code == 0 and "nothing to do" not in said)
    ground.claim_same_data()


def full_disk(ground: _Ground) -> None:
    """The disk is full while tables are written."""
    runner = ground.start()
    ground.wait_for(runner, lambda: next(ground.outputs.glob("runs/*/run.json"), None) is not None)
    # Files that can't grow stand for a disk that can't; what the run starts inherits the limit.
    psutil.Process(runner.pid).rlimit(psutil.RLIMIT_FSIZE, (_FULL_DISK_BYTES, _FULL_DISK_BYTES))
    code, said = ground.finish(runner)
    ground.claim("the run fails with exit code 1 and says why", code == 1 and "too large" in said)
    finished = [name for name, facts in ground.record()["stages"].items() if facts["status"] == "done"]
    ground.claim("matching wasn't run on half a table", _MATCHING not in finished)
    code, _ = ground.finish(ground.start(["resume"]))
    ground.claim("'resume' brings it to its end once there is room", code == 0)
    ground.claim_same_data()


def cut_off_input(ground: _Ground) -> None:
    """The file of awards is cut off, as after a broken download."""
    assert ground.undisturbed is not None
    whole_file = ground.undisturbed.rows()
    (awards,) = ground.undisturbed.outputs.glob("store/synthetic/*/awards.csv")
    copies = ground.outputs / "inputs"
    copies.mkdir(parents=True)
    recipients = awards.with_name("recipients.csv")
    whole = awards.read_bytes()
    broken = copies / "awards.csv"
    broken.write_bytes(whole[: len(whole) // 2])
    words = ground.run_words(f"awards.path={broken}", f"recipients.path={recipients}")
    ground.finish(ground.start(words))
    rows = ground.rows()
    is_short = 0 < rows["awards"] < whole_file["awards"]
    ground.claim("what is there is read, and less than the whole file holds", is_short)
    ground.claim("the broken record is rejected, and counted", rows["award_rejects"] > 0)
    broken.write_bytes(whole)
    code, said = ground.finish(ground.start(words))
    ground.claim("with the whole file the next run reads it anew", code == 0 and "nothing to do" not in said)
    ground.claim_same_data()


def failed_gate(ground: _Ground) -> None:
    """A quality gate fails."""
    strict = ground.run_words("quality.gates.match_rate.fail_below=0.9999", stages=_GATES)
    code, said = ground.finish(ground.start(strict))
    ground.claim("the run ends with exit code 3 and names the gate", code == 3 and "match_rate" in said)
    code, said = ground.finish(ground.start(ground.run_words(stages=_GATES)))
    record = ground.record()["stages"]
    reused = [name for name in _STAGES if record[name]["status"] == "reused"]
    ground.claim("with the gate as it was the run ends well", code == 0)
    ground.claim("and matches nothing again", reused == list(_STAGES))
    ground.claim_same_data()


def two_at_once(ground: _Ground) -> None:
    """Two runs of the same start at the same moment."""
    both = [ground.start(), ground.start()]
    codes = [ground.finish(one)[0] for one in both]
    ground.claim("both end well", codes == [0, 0])
    ground.claim_chunks_once()
    ground.claim_same_data()


FAULTS: dict[str, Callable[[_Ground], None]] = {
    break_it.__name__: break_it
    for break_it in (
        killed_kernel,
        killed_runner,
        killed_worker,
        stopped,
        damaged_chunk,
        torn_journal,
        damaged_table,
        full_disk,
        cut_off_input,
        failed_gate,
        two_at_once,
    )
}
"""The drills by name; the first line of each one's text says what is done to the run."""
