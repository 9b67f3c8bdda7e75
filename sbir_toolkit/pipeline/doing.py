"""What a run is doing just now, read from its events: how far, how fast, how much longer.

There is one source, `events.ndjson` in the run's folder: beats (what takes longer, and how far it is), chunks
(which companies are matched), samples (that somebody watches, and the memory held). From it come the bar in a
terminal, the plain lines in a log, the line under a notebook's cell and `status`, so they can't disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Beats come twice a second; a process that is busy in one long call may miss some.
SILENT_S = 10.0
_FRESH_S = 3.0
_BAR = 24


class Events:
    """The events of a file that is still being written, read a bit at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.seen: list[dict[str, Any]] = []

    def follow(self) -> list[dict[str, Any]]:
        """Read what has come since the last time; give all there is. Half a line waits for its other half."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            whole, _, rest = new.rpartition(b"\n")
            self._read += len(new) - len(rest)
            self.seen += [event for line in whole.split(b"\n") if (event := _parse(line)) is not None]
        return self.seen


@dataclass(frozen=True)
class Doing:
    """One piece of work under way.

    Parameters
    ----------
    what
        In a few words.
    done, total
        How far it is, and how far it goes, in `unit`; None where that isn't known.
    elapsed_s
        Since it began.
    """

    what: str
    done: int | None
    total: int | None
    unit: str
    elapsed_s: float

    @property
    def share(self) -> float | None:
        """How much of it is done; None where that isn't known."""
        if self.done is None or not self.total:
            return None
        return min(self.done / self.total, 1.0)

    @property
    def rate(self) -> float | None:
        """How much is done in a second."""
        return self.done / self.elapsed_s if self.done and self.elapsed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """How much longer it takes if it goes on like this."""
        if self.rate is None or self.done is None or self.total is None:
            return None
        return max(self.total - self.done, 0) / self.rate

    def __str__(self) -> str:
        """Say it in one line, with a bar where it is known how far it is."""
        return " ".join([self.what, *self._bar(), self.facts])

    @property
    def facts(self) -> str:
        """Amount, rate, elapsed, time left; what isn't known is left out."""
        parts = [duration(self.elapsed_s)]
        if self.rate is not None:
            parts.insert(0, f"{self._amount(self.rate)}/s")
        if self.total is not None:
            done = "" if self.done is None else f"{self._amount(self.done, with_unit=False)} of "
            parts.insert(0, done + self._amount(self.total))
        if self.left_s is not None:
            parts.append(f"about {duration(self.left_s)} left")
        return ", ".join(parts)

    def _bar(self) -> list[str]:
        if self.share is None:
            return []
        full = round(self.share * _BAR)
        return [f"[{'#' * full}{'.' * (_BAR - full)}]", f"{self.share:4.0%}"]

    def _amount(self, value: float, *, with_unit: bool = True) -> str:
        number, unit = (value / 1e6, "MB") if self.unit == "bytes" else (value, self.unit)
        return f"{number:,.0f} {unit}" if with_unit else f"{number:,.0f}"


def find_doing(events: Iterable[dict[str, Any]], stage: str, since: float, now: float) -> Doing | None:
    """Find what a stage is at.

    Parameters
    ----------
    events
        Of the run.
    stage
        Its name; "" outside of a pipeline.
    since
        When it began; what an earlier attempt wrote doesn't count.
    now
        The time, in seconds since the epoch.

    Returns
    -------
    Doing or None
        What says how far it is, or else what has been going on longest; None when nothing takes long.
    """
    own = [event for event in events if event.get("stage") == stage and event["at"] >= since]
    beats = [event for event in own if event["kind"] == "beat" and now - event["at"] <= _FRESH_S]
    latest = {event["pid"]: event for event in beats}
    # What has begun and not ended; the others' last word may be a moment old.
    open_now = [(one, now - one["started"]) for event in latest.values() for one in event["doing"]]
    if any(one["what"] == "match" for one, _ in open_now):
        matching = _matching(own, now)
        if matching is not None:
            return matching
    found = [
        Doing(one["what"].replace("_", " "), one["done"], one["total"], one["unit"], elapsed_s)
        for one, elapsed_s in open_now
    ]
    found.sort(key=lambda doing: (doing.share is None, -doing.elapsed_s))
    return found[0] if found else None


def _matching(own: list[dict[str, Any]], now: float) -> Doing | None:
    plans = [event for event in own if event["kind"] == "chunks"]
    if not plans:
        return None
    plan = plans[-1]
    rows = sum(event["rows"] for event in own if event["kind"] == "chunk" and event["at"] >= plan["at"])
    # Chunks that were committed before cost nothing now, so they count neither as work nor as done.
    before = plan.get("committed_rows", 0)
    return Doing("match", rows, plan["rows"] - before, "companies", now - plan["at"])


def last_sign(events: Iterable[dict[str, Any]]) -> float | None:
    """Say when there was the last sign of life."""
    return max((float(event["at"]) for event in events if "at" in event), default=None)


def duration(seconds: float) -> str:
    """Say how long something takes.

    Examples
    --------
    >>> duration(4.21), duration(250), duration(9000)
    ('4.2 s', '4 min 10 s', '2 h 30 min')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "kind" in event and "at" in event else None
