"""Spans: what one phase of one stage took, and beats while it lasts."""

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

from sbir_toolkit.meter.proc import OwnQueues, queued_by_this_thread
from sbir_toolkit.storage import append_line

_DISK_BLOCK = 512
BEAT_S = 0.5
EVENTS_VARIABLE = "SBIR_EVENTS"
STAGE_VARIABLE = "SBIR_STAGE"

_own_queues = OwnQueues()
# A forked child has its parent's open files, which tell of its parent's threads.
os.register_at_fork(after_in_child=_own_queues.close)


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
    queued = _queued(is_main=is_main)
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
            pid=os.getpid(),
            thread=0 if is_main else threading.get_native_id(),
            started=started,
            elapsed_s=elapsed_s,
            cpu_s=cpu_s,
            queued_s=_grown(queued, _queued(is_main=is_main)),
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


def _queued(*, is_main: bool) -> dict[int, float] | None:
    if not os.environ.get(EVENTS_VARIABLE):
        return None
    return _own_queues.by_thread() if is_main else queued_by_this_thread()


def _grown(before: dict[int, float] | None, after: dict[int, float] | None) -> float | None:
    """Add up what each thread queued since; what those that have ended since did is lost."""
    if before is None or after is None:
        return None
    return round(sum(queued_s - before.get(thread, 0.0) for thread, queued_s in after.items()), 6)


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
