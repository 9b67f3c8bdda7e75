"""What the system tells of processes and threads, read as cheaply as it can be.

These files are read dozens of times a second while a run goes on, so nothing is parsed that isn't needed.
Where a system has no such files nothing is known: no memory of one's own, no children, no queueing.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from pathlib import Path

import psutil

KNOWS_CHILDREN = Path("/proc/thread-self/children").exists()
KNOWS_QUEUES = Path("/proc/thread-self/schedstat").exists()
_PAGE = resource.getpagesize()
_LINE_BYTES = 256


def usable_cores() -> int:
    """Count the cores that this process may use; where the system doesn't say, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_cpu_s() -> float:
    """Give the CPU time that all processes of the machine have used since it started, on all its cores."""
    times = psutil.cpu_times()
    # A virtual machine's guests count as its user; what the host took from it was used by others.
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(times, name, 0.0) for name in names))


def own_bytes(pid: int) -> int:
    """Give the memory that a process shares with no file: what grows when it allocates."""
    try:
        resident, shared = _read(f"/proc/{pid}/statm").split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE


def newest_process() -> int:
    """Give the number that the last process or thread to be started got; 0 where the system doesn't tell.

    While it stays the same nobody has started anything.
    Source: last field of `loadavg` (Linux, proc_loadavg(5)).
    """
    try:
        return int(_read("/proc/loadavg").split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def with_descendants(pids: set[int]) -> set[int]:
    """Add to some processes all that they, and those below them, have started."""
    waiting = list(pids)
    while waiting:
        new = _children(waiting.pop()) - pids
        pids = pids | new
        waiting += new
    return pids


def _children(pid: int) -> set[int]:
    """Name the processes that a process's threads have started and that are still there."""
    found: set[int] = set()
    # The process may end meanwhile, and so may any of its threads.
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/task") as threads:
        for thread in threads:
            with contextlib.suppress(OSError):
                found.update(map(int, _read(f"{thread.path}/children").split()))
    return found


def _read(file: str) -> bytes:
    # Several times cheaper than a file object, and read dozens of times a second.
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, 65_536)
    finally:
        os.close(descriptor)


def queued_by_thread(pid: int) -> dict[int, float] | None:
    """Give the seconds that each thread of a process was ready to run and had no core; None: not known.

    Source: field 2 of `schedstat`, in nanoseconds (Linux, Documentation/scheduler/sched-stats).
    """
    if not KNOWS_QUEUES:
        return None
    queued = {}
    # The process may end meanwhile, and so may any of its threads.
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/task") as threads:
        for thread in threads:
            with contextlib.suppress(OSError):
                queued[int(thread.name)] = _queued_s(f"{thread.path}/schedstat")
    return queued


def queued_by_this_thread() -> dict[int, float] | None:
    """Give the same of the thread that asks."""
    if not KNOWS_QUEUES:
        return None
    if not hasattr(_thread, "queue"):
        _thread.queue = _OwnFile("/proc/thread-self/schedstat")
    return {0: _second_field_s(os.pread(_thread.queue.descriptor, _LINE_BYTES, 0))}


class _OwnFile:
    """A file that a thread keeps open as long as it lives."""

    def __init__(self, file: str) -> None:
        self.descriptor = os.open(file, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.descriptor)


_thread = threading.local()
# Of a fork only the thread that forked goes on, under a number of its own.
os.register_at_fork(after_in_child=_thread.__dict__.clear)


class OwnQueues:
    """Reads how long the threads of this process queued, again and again.

    The files are kept open: to open one costs four times what reading it does, and at each of its three calls
    of the system another thread may take its turn. One thread asks.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def by_thread(self) -> dict[int, float] | None:
        """Give the seconds that each thread was ready to run and had no core; None: not known."""
        if not KNOWS_QUEUES:
            return None
        with os.scandir("/proc/self/task") as found:
            threads = {thread.name for thread in found}
        for ended in self._files.keys() - threads:
            os.close(self._files.pop(ended))
        queued = {}
        for thread in threads:
            # It may end meanwhile, and another one have its number at the next look.
            try:
                if thread not in self._files:
                    self._files[thread] = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
                queued[int(thread)] = _second_field_s(os.pread(self._files[thread], _LINE_BYTES, 0))
            except OSError:
                if thread in self._files:
                    os.close(self._files.pop(thread))
        return queued

    def close(self) -> None:
        """Close the files; they are opened again when they are needed."""
        while self._files:
            os.close(self._files.popitem()[1])


def _queued_s(file: str) -> float:
    return _second_field_s(_read(file))


def _second_field_s(told: bytes) -> float:
    return int(told.split()[1]) / 1e9
