"""The sampler: what memory and CPU time a process tree uses, and how long it queues for a core."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

import psutil

from sbir_toolkit.meter.proc import (
    KNOWS_CHILDREN,
    KNOWS_QUEUES,
    busy_cpu_s,
    newest_process,
    own_bytes,
    queued_by_thread,
    with_descendants,
)

_GLANCE_S = 0.06
# Of the sampler's time, what walking through pages may take.
_WALK_SHARE = 0.004


@dataclass(frozen=True)
class TreeUsage:
    """What a process tree used up to one moment, and what all others have used since it is watched.

    `queued_s` is None where the system doesn't tell.
    """

    memory_bytes: int
    cpu_s: float
    processes: int
    read_bytes: int
    written_bytes: int
    queued_s: float | None = None
    others_cpu_s: float | None = None


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
        Largest memory of the whole tree seen in this lap, or so far where there are no laps (PSS; RSS where
        the system gives no PSS).
    last_ : TreeUsage
        The last sample. CPU time, I/O and the time queued for a core include processes and threads that
        have ended, as last seen.
    """

    def __init__(self, pid: int, interval_s: float) -> None:
        self._root = psutil.Process(pid)
        self._seen: dict[int, psutil.Process] = {pid: self._root}
        self._interval_s = interval_s
        self._cpu: dict[tuple[int, float], float] = {}
        self._io: dict[tuple[int, float], tuple[int, int]] = {}
        self._queued: dict[tuple[int, float], dict[int, float]] = {}
        self._busy: tuple[float, float] | None = None
        self._walked: dict[int, tuple[int, int]] = {}
        self._next_walk = 0.0
        self._known: tuple[int, set[int]] = 0, set()
        self._looking = threading.Lock()
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

    def lap(self) -> tuple[TreeUsage, int]:
        """Look once, now; give it with the peak since the last lap, and let a new one begin."""
        with self._looking:
            usage = self._sample()
            peak_bytes, self.peak_bytes_ = self.peak_bytes_, usage.memory_bytes
        return usage, peak_bytes

    def sample(self) -> TreeUsage:
        """Look once, now."""
        with self._looking:
            return self._sample()

    def _sample(self) -> TreeUsage:
        processes = []
        newest = newest_process()
        with contextlib.suppress(psutil.Error):
            for process in [self._root, *self._descendants()]:
                with contextlib.suppress(psutil.Error):
                    with process.oneshot():
                        key = (process.pid, process.create_time())
                        times = process.cpu_times()
                        self._cpu[key] = times.user + times.system
                        self._io[key] = _bytes_moved(process)
                        self._queued.setdefault(key, {}).update(queued_by_thread(process.pid) or {})
                    processes.append(process)
        if time.monotonic() >= self._next_walk:
            self._walk(processes)
        pids = {process.pid for process in processes}
        self._known = newest, pids
        moved, cpu_s = list(self._io.values()), sum(self._cpu.values())
        # Of the tree that is gone by now, the last look stands; so does it of all others.
        others_cpu_s = self._used_by_others(cpu_s) if processes else self.last_.others_cpu_s
        self.last_ = TreeUsage(
            self._held(pids),
            cpu_s,
            len(processes),
            sum(io[0] for io in moved),
            sum(io[1] for io in moved),
            sum(sum(threads.values()) for threads in self._queued.values()) if KNOWS_QUEUES else None,
            others_cpu_s,
        )
        self.peak_bytes_ = max(self.peak_bytes_, self.last_.memory_bytes)
        return self.last_

    def _used_by_others(self, cpu_s: float) -> float:
        busy_s = busy_cpu_s()
        self._busy = self._busy or (busy_s, cpu_s)
        return max(0.0, busy_s - self._busy[0] - (cpu_s - self._busy[1]))

    def _descendants(self) -> list[psutil.Process]:
        if not KNOWS_CHILDREN:
            return self._root.children(recursive=True)
        # To ask the system for a process's children is forty times cheaper than to look at all there are.
        pids = with_descendants({self._root.pid}) if self._root.is_running() else set()
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
                self._walked[process.pid] = _memory(process), own_bytes(process.pid)
        self._next_walk = time.monotonic() + (time.thread_time() - began) / _WALK_SHARE

    def _held(self, pids: set[int]) -> int:
        # A process that is new since the last walk counts with all memory of its own; one that is gone, with
        # what it shared. What was forked is shared too: it may give back more than it counted with.
        return sum(
            max(walked + own_bytes(pid) - own, 0)
            for pid in pids | set(self._walked)
            for walked, own in [self._walked.get(pid, (0, 0))]
        )

    def _glance(self) -> None:
        with self._looking:
            newest, (seen, pids) = newest_process(), self._known
            # Nine tenths of a glance would be asking for children that nobody has started since.
            if not newest or newest != seen:
                pids = with_descendants(pids)
                self._known = newest, pids
            self.peak_bytes_ = max(self.peak_bytes_, self._held(pids))

    def _watch(self) -> None:
        while not self._stop.is_set():
            usage = self.sample()
            if usage.processes == 0:
                return
            until = time.monotonic() + self._interval_s
            while time.monotonic() + _GLANCE_S < until and not self._stop.wait(_GLANCE_S):
                self._glance()
            self._stop.wait(max(0.0, until - time.monotonic()))


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)


def _bytes_moved(process: psutil.Process) -> tuple[int, int]:
    try:
        counters = process.io_counters()
    except (AttributeError, psutil.AccessDenied):
        return 0, 0
    return int(counters.read_bytes), int(counters.write_bytes)
