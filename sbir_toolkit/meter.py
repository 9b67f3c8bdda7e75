"""Measuring: spans of work and samples of a process tree, written as events.

A *span* says that one phase of one stage ran from here to there, on so many rows, what CPU time it took (the
program's and the system's on its behalf), its page faults and the bytes it read from and wrote to disks.
A *sample* says how much memory a whole process tree held at one moment, with shared pages counted once (PSS),
and how much CPU time it had used so far. A *beat* says, twice a second, what a process is at that takes
longer, and how far it is: whoever waits for it sees progress, and that it lives. All are lines of the run's
`events.ndjson`; figures, progress and status are read from there and kept nowhere else.

Library code only says `with phase("normalise", rows=n):`. Where the events go is decided by
whoever starts the process (`EVENTS_VARIABLE`, `STAGE_VARIABLE`); nowhere, unless somebody asked.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sbir_toolkit.storage import append_line

_DISK_BLOCK = 512
_PAGE = resource.getpagesize()
_GLANCE_S = 0.06
BEAT_S = 0.5
_KNOWS_CHILDREN = Path("/proc/thread-self/children").exists()
# Of the sampler's time, what walking through pages may take.
_WALK_SHARE = 0.004
EVENTS_VARIABLE = "SBIR_EVENTS"
STAGE_VARIABLE = "SBIR_STAGE"


@dataclass
class Span:
    """The figures of one phase while it runs; set `rows` when the count is only known at its end.

    Parameters
    ----------
    rows
        Rows worked on.
    details
        What else is worth keeping.
    done, total
        How far it is, and how far it will go; a beat tells both. `total` is None while it isn't known.
    unit
        What `done` and `total` count.
    """

    rows: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    done: int | None = None
    total: int | None = None
    unit: str = "rows"


def emit(kind: str, **values: Any) -> None:
    """Write one event, when somebody asked for events."""
    path = os.environ.get(EVENTS_VARIABLE)
    if path:
        record = {"at": time.time(), "kind": kind, "stage": os.environ.get(STAGE_VARIABLE, ""), **values}
        append_line(Path(path), record)


@contextlib.contextmanager
def phase(name: str, rows: int | None = None) -> Iterator[Span]:
    """Measure one phase of work.

    Parameters
    ----------
    name
        What is done: read, normalise, index, candidates, score, write, ...
    rows
        Rows worked on, when known before.

    Yields
    ------
    Span
        To set `rows` or `details` on.
    """
    span = Span(rows=rows)
    # The main thread's phases own what the process used; a worker thread's only its own, or it would count
    # twice.
    is_main = threading.current_thread() is threading.main_thread()
    whose = resource.RUSAGE_SELF if is_main else getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    cpu_clock = time.process_time if is_main else time.thread_time
    used, cpu = resource.getrusage(whose), cpu_clock()
    started, clock = time.time(), time.perf_counter()
    is_done = False
    try:
        with _beating(name, span):
            yield span
        is_done = True
    finally:
        elapsed_s, cpu_s, now = time.perf_counter() - clock, cpu_clock() - cpu, resource.getrusage(whose)
        emit(
            "phase",
            phase=name,
            started=started,
            elapsed_s=elapsed_s,
            cpu_s=cpu_s,
            user_s=round(now.ru_utime - used.ru_utime, 6),
            system_s=round(now.ru_stime - used.ru_stime, 6),
            minor_faults=now.ru_minflt - used.ru_minflt,
            major_faults=now.ru_majflt - used.ru_majflt,
            read_bytes=_DISK_BLOCK * (now.ru_inblock - used.ru_inblock),
            written_bytes=_DISK_BLOCK * (now.ru_oublock - used.ru_oublock),
            rows=span.rows,
            is_done=is_done,
            details=span.details,
        )


@contextlib.contextmanager
def progress(name: str, total: int | None, unit: str) -> Iterator[Span]:
    """Let beats tell how far a piece of work is that isn't measured as a phase; set `done` on what is given.

    Parameters
    ----------
    name
        What is done, and with what.
    total
        How far it will go, in `unit`: bytes, rows, ...; None where nobody knows.
    """
    span = Span(done=0, total=total, unit=unit)
    with _beating(name, span):
        yield span


@dataclass(frozen=True)
class _Open:
    """A span that is open, and since when."""

    name: str
    span: Span
    started: float


class _Heart:
    """Writes a beat twice a second while this process has spans open that last longer."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, opened: _Open) -> None:
        with self._lock:
            self._open[id(opened.span)] = opened
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
                self._thread.start()

    def remove(self, span: Span) -> None:
        with self._lock:
            self._open.pop(id(span), None)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            now = time.time()
            with self._lock:
                lasting = [one for one in self._open.values() if now - one.started >= BEAT_S]
            if lasting:
                doing = [
                    {
                        "what": one.name,
                        "started": one.started,
                        "done": one.span.done,
                        "total": one.span.total if one.span.total is not None else one.span.rows,
                        "unit": one.span.unit,
                    }
                    for one in lasting
                ]
                emit("beat", pid=os.getpid(), doing=doing)


_heart = _Heart()
# A forked child has its parent's open spans in its memory, but not the thread that tells of them.
os.register_at_fork(after_in_child=lambda: globals().update(_heart=_Heart()))


@contextlib.contextmanager
def _beating(name: str, span: Span) -> Iterator[None]:
    if not os.environ.get(EVENTS_VARIABLE):
        yield
        return
    _heart.add(_Open(name, span, time.time()))
    try:
        yield
    finally:
        _heart.remove(span)


@dataclass(frozen=True)
class TreeUsage:
    """What a process tree used up to one moment."""

    memory_bytes: int
    cpu_s: float
    processes: int
    read_bytes: int
    written_bytes: int


class TreeSampler:
    """Samples the memory and CPU time of a process and all its descendants, in a thread of its own.

    To count shared pages once the system walks through all pages of each process, which is dear: it is done
    so seldom that it takes a fraction of a percent of the time. In between the sampler adds how much each
    process's own memory has grown, and glances at that often, so that a spike of a few dozen milliseconds
    counts towards the peak, also that of a child which is soon gone.

    Parameters
    ----------
    pid
        The root of the tree.
    interval_s
        Time between two samples.

    Attributes
    ----------
    peak_bytes_ : int
        Largest memory of the whole tree seen so far (PSS; RSS where the system gives no PSS).
    last_ : TreeUsage
        The last sample. CPU time and I/O include processes of the tree that have ended, as last seen.
    """

    def __init__(self, pid: int, interval_s: float) -> None:
        self._root = psutil.Process(pid)
        self._seen: dict[int, psutil.Process] = {pid: self._root}
        self._interval_s = interval_s
        self._cpu: dict[tuple[int, float], float] = {}
        self._io: dict[tuple[int, float], tuple[int, int]] = {}
        self._walked: dict[int, tuple[int, int]] = {}
        self._next_walk = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"sampler-{pid}", daemon=True)
        self.peak_bytes_ = 0
        self.last_ = TreeUsage(0, 0.0, 0, 0, 0)

    def start(self) -> TreeSampler:
        """Begin to sample."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop sampling; the figures stay."""
        self._stop.set()
        self._thread.join()

    def sample(self) -> TreeUsage:
        """Look once, now."""
        processes = []
        with contextlib.suppress(psutil.Error):
            for process in [self._root, *self._descendants()]:
                with contextlib.suppress(psutil.Error):
                    with process.oneshot():
                        key = (process.pid, process.create_time())
                        times = process.cpu_times()
                        self._cpu[key] = times.user + times.system
                        self._io[key] = _bytes_moved(process)
                    processes.append(process)
        if time.monotonic() >= self._next_walk:
            self._walk(processes)
        moved = list(self._io.values())
        self.last_ = TreeUsage(
            self._held({process.pid for process in processes}),
            sum(self._cpu.values()),
            len(processes),
            sum(io[0] for io in moved),
            sum(io[1] for io in moved),
        )
        self.peak_bytes_ = max(self.peak_bytes_, self.last_.memory_bytes)
        return self.last_

    def _descendants(self) -> list[psutil.Process]:
        if not _KNOWS_CHILDREN:
            return self._root.children(recursive=True)
        # To ask the system for a process's children is forty times cheaper than to look at all there are.
        pids = _with_descendants({self._root.pid}) if self._root.is_running() else set()
        known, self._seen = self._seen, {self._root.pid: self._root}
        for pid in pids - {self._root.pid}:
            with contextlib.suppress(psutil.NoSuchProcess):
                # A number may have gone to another process since.
                same = pid in known and known[pid].is_running()
                self._seen[pid] = known[pid] if same else psutil.Process(pid)
        return [process for pid, process in self._seen.items() if pid != self._root.pid]

    def _walk(self, processes: list[psutil.Process]) -> None:
        began = time.thread_time()
        self._walked = {}
        for process in processes:
            with contextlib.suppress(psutil.Error):
                self._walked[process.pid] = _memory(process), _own_bytes(process.pid)
        self._next_walk = time.monotonic() + (time.thread_time() - began) / _WALK_SHARE

    def _held(self, pids: set[int]) -> int:
        # A process that is new since the last walk counts with all memory of its own; one that is gone, with
        # what it shared. What was forked is shared too: it may give back more than it counted with.
        return sum(
            max(walked + _own_bytes(pid) - own, 0)
            for pid in pids | set(self._walked)
            for walked, own in [self._walked.get(pid, (0, 0))]
        )

    def _glance(self) -> None:
        self.peak_bytes_ = max(self.peak_bytes_, self._held(_with_descendants(set(self._walked))))

    def _watch(self) -> None:
        while not self._stop.is_set():
            usage = self.sample()
            if usage.processes == 0:
                return
            until = time.monotonic() + self._interval_s
            while time.monotonic() + _GLANCE_S < until and not self._stop.wait(_GLANCE_S):
                self._glance()
            self._stop.wait(max(0.0, until - time.monotonic()))


def usable_cores() -> int:
    """Count the cores that this process may use; where the system doesn't say, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)


def _own_bytes(pid: int) -> int:
    """Give the memory that a process shares with no file: what grows when it allocates."""
    try:
        resident, shared = _read(f"/proc/{pid}/statm").split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE


def _with_descendants(pids: set[int]) -> set[int]:
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


def _bytes_moved(process: psutil.Process) -> tuple[int, int]:
    try:
        counters = process.io_counters()
    except (AttributeError, psutil.AccessDenied):
        return 0, 0
    return int(counters.read_bytes), int(counters.write_bytes)
