"""Repeats of a workload: one version of the code, in whatever folder it stands, does it again and again.

A repeat is a process of its own (`workload`), preceded by the calibration task. In turns with another version
it is forked from a warm process, which has imported already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.meter import EVENTS_VARIABLE
from sbir_toolkit.performance import Repeat, calibrate, measure_run
from sbir_toolkit.pipeline.workload import WARM
from sbir_toolkit.storage import read_json, read_lines, write_json

CHILD = (sys.executable, "-m", "sbir_toolkit.pipeline.workload")


@dataclass
class Version:
    """One version of the code, and how it is measured.

    Parameters
    ----------
    code
        The folder that holds the package.
    files, scratch
        Where the workload's input is, and where a repeat may write.
    template
        What the record of each repeat says of its code and machine.
    child
        The words that start a repeat, to be followed by its job file.
    until
        The last stage that a repeat does; None: all. Code from before there was such a thing does all.
    """

    code: Path
    files: tuple[Path, Path]
    scratch: Path
    template: dict[str, Any]
    child: Sequence[str] = CHILD
    until: str | None = None
    taken: int = 0
    _warm: subprocess.Popen[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Version:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cool_down()

    def warm_up(self) -> bool:
        """Import once for all repeats from now on; False where this code can't do that."""
        self.cool_down()
        self._warm = subprocess.Popen(
            [*self.child, WARM],
            cwd=self.code,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if self._answer() == "ready":
            return True
        self.cool_down()
        return False

    def cool_down(self) -> None:
        """From now on each repeat imports for itself again."""
        if self._warm is not None:
            self._warm.kill()
            self._warm.communicate()
            self._warm = None

    def measure(self) -> Repeat:
        """Calibrate, then do the workload once.

        Raises
        ------
        StageError
            When it fails; the error holds what it said last.
        """
        self.taken += 1
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        events, outcome, file = folder / "events.ndjson", folder / "outcome.json", folder / "job.json"
        awards, recipients = map(str, self.files)
        job = {"awards": awards, "recipients": recipients, "folder": str(folder), "until": self.until}
        write_json(file, {**job, "events": str(events), "outcome": str(outcome)})
        calibration_s, created = calibrate(), time.time()
        said = self._do(file)
        if said is not None or not outcome.exists():
            raise StageError(explain("the workload failed", where=self.code, got=said))
        stages = read_json(outcome)
        in_turns = {} if self._warm is None else {"name": f"{self.template['name']}, in turns"}
        record = {
            **self.template,
            **in_turns,
            "run_id": f"{self.template['benchmark']}-{self.template['role']}{self.taken}",
            "created": created,
            "ended": time.time(),
            "status": "done",
            "calibration_s": calibration_s,
            "stages": stages,
            "totals": {
                "elapsed_s": time.time() - created,
                "cpu_s": sum(stage["cpu_s"] for stage in stages.values()),
                "peak_bytes": max(stage["peak_bytes"] for stage in stages.values()),
            },
        }
        figures = measure_run(record, read_lines(events))
        shutil.rmtree(folder)
        return Repeat(record, figures)

    def _do(self, file: Path) -> str | None:
        """Do a job; give what was said last when it failed."""
        if self._warm is None:
            done = subprocess.run(
                [*self.child, str(file)],
                cwd=self.code,
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            return "; ".join(done.stderr.strip().splitlines()[-3:]) if done.returncode else None
        assert self._warm.stdin is not None
        self._warm.stdin.write(f"{file}\n")
        self._warm.stdin.flush()
        code = self._answer()
        return None if code == "0" else f"exit code {code or 'unknown'} in a fork of a warm process"

    def _answer(self) -> str:
        assert self._warm is not None
        assert self._warm.stdout is not None
        return self._warm.stdout.readline().strip()

    def _environment(self) -> dict[str, str]:
        # Code that has just been checked out would be compiled each time, that of now never.
        left_out = (EVENTS_VARIABLE, "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return {**kept, "PYTHONPATH": str(self.code), "PYTHONHASHSEED": "0"}


def warm_up_both(first: Version, second: Version) -> None:
    """Warm both of two versions up, or neither where one can't: their repeats must be alike."""
    if not (first.warm_up() and second.warm_up()):
        first.cool_down()
        second.cool_down()
