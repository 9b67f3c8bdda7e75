"""Locks: who may write, whom the others wait for, and what they say meanwhile.

Two runs may want the same index, the same chunks or the same page at once. One of them owns the lock file and
works; the other waits and then finds the work done. The operating system frees a lock when its owner dies, so
a stale one can't be left behind. Beside the lock stands a note of who owns it. So whoever waits can say for
whom, on which machine and since when, as a line on the terminal or as beats and events that `status` shows.
It gives up, and says why, when the owner hasn't used any processor for a minute (it was stopped, or died and
left a worker behind), and when the longest wait is over. Of an owner on another machine only the latter is
known.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from sbir_toolkit.errors import BusyError, explain
from sbir_toolkit.meter import EVENTS_VARIABLE, emit, progress
from sbir_toolkit.storage import make_folder

_log = logging.getLogger(__name__)

LONGEST_WAIT_S = 6 * 3600.0
"""As long as the largest job may take; the one who waits sees for whom and can stop waiting."""
SILENT_S = 60.0
"""An owner that has done nothing for so long counts as stuck."""
_LOOK_S = 0.5


@dataclass(frozen=True)
class Owner:
    """Who holds a lock: a process, its machine, the run it works for ("" for none), and since when."""

    pid: int
    host: str
    run: str
    since: float

    def __str__(self) -> str:
        """Say it in a few words."""
        run = f"run {self.run}, " if self.run else ""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"{run}process {self.pid} on {self.host}, at it since {since}"


@contextlib.contextmanager
def locked(path: Path, what: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Own a lock file while the block runs; wait for its owner before, and say so.

    Parameters
    ----------
    path
        The lock file; its folder is made when missing.
    what
        What it guards, for those who wait.
    wait_s
        The longest wait; 0 to be refused at once.

    Raises
    ------
    BusyError
        When another process holds it for longer, or holds it and does nothing; the message names that one.
    """
    make_folder(path.parent)
    lock = FileLock(path)
    _acquire(lock, path, what, wait_s)
    try:
        with _noted(_note(path)):
            yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Tell whether a living process holds the lock."""
    if not path.exists():
        return False
    lock = FileLock(path)
    if not _try(lock, 0.0):
        return True
    lock.release()
    return False


def read_owner(path: Path) -> Owner | None:
    """Read who holds a lock, or died holding it; None when nobody noted that."""
    try:
        return Owner(**json.loads(_note(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _acquire(lock: FileLock, path: Path, what: str, wait_s: float) -> None:
    # Nobody need hear of a moment; who only asks whether it is owned holds it for one, too.
    if _try(lock, _LOOK_S):
        return
    if wait_s <= _LOOK_S:
        raise _busy(f"another process is working on {what}", path, read_owner(path))
    began, owner = time.monotonic(), read_owner(path)
    while True:
        name = f"waiting for {what} ({owner or 'owner unknown'})"
        _tell(name, "waiting", what, owner)
        with progress(name, None, "seconds"):
            is_ours, owner = _wait(lock, path, what, owner, began + wait_s)
        if is_ours:
            break
    left = read_owner(path)  # a note that still stands is that of an owner who died
    ended = f"{left} died; going on from what it left" if left else "done waiting"
    _tell(f"{ended} ({what})", "waited", what, left, elapsed_s=time.monotonic() - began)


def _wait(
    lock: FileLock, path: Path, what: str, owner: Owner | None, until: float
) -> tuple[bool, Owner | None]:
    """Wait until the lock is ours, or another one's than before."""
    work, heard = _work_of(owner), time.monotonic()
    while not _try(lock, _LOOK_S):
        now, latest, current = time.monotonic(), _work_of(owner), read_owner(path)
        if current is not None and current != owner:
            return False, current
        if latest != work:
            work, heard = latest, now
        if now - heard > SILENT_S:
            silent = f"{what} is held by a process that has done nothing for {SILENT_S:.0f} s"
            raise _busy(silent, path, owner, "end that process and those it started, then start this again")
        if now > until:
            raise _busy(f"{what} wasn't free within the longest wait", path, owner)
    return True, owner


def _try(lock: FileLock, wait_s: float) -> bool:
    try:
        lock.acquire(timeout=wait_s, poll_interval=0.05)
    except Timeout:
        return False
    return True


def _tell(line: str, kind: str, what: str, owner: Owner | None, **values: float) -> None:
    emit(kind, what=what, owner=asdict(owner) if owner else None, **values)
    if not os.environ.get(EVENTS_VARIABLE):
        # Where somebody asked for events, these are what is shown.
        _log.warning(line)


@contextlib.contextmanager
def _noted(note: Path) -> Iterator[None]:
    """Keep the owner's note beside the lock while the block runs."""
    events = Path(os.environ.get(EVENTS_VARIABLE, ""))
    run = events.parent.name if events.parent.parent.name == "runs" else ""
    owner = Owner(os.getpid(), socket.gethostname(), run, time.time())
    note.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_suffix(".owner")


def _work_of(owner: Owner | None) -> float | None:
    """What the owner and its children have used of the processors; None when it is gone."""
    if owner is None:
        return None
    if owner.host != socket.gethostname():
        return time.monotonic()  # nobody can tell from here
    try:
        process = psutil.Process(owner.pid)
        return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))
    except psutil.Error:
        return None


def _busy(
    what: str,
    path: Path,
    owner: Owner | None,
    todo: str = "wait for it to end; 'sbir-toolkit status' shows how far it is",
) -> BusyError:
    return BusyError(explain(what, where=path, got=owner or "an unknown process", todo=todo))
