"""What a notebook opened by hand shows while a cell works: a bar below it, and one line in the end.

The bar is an output of the cell that is replaced twice a second, so it needs no extension and no second
language, and a saved notebook holds plain text: what was done, and what it took. It is read from the events
of the folder that the notebook works in, like everything else about progress. Cells that are done in a moment
show nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from contextvars import copy_context
from html import escape
from pathlib import Path
from typing import Any

from sbir_toolkit.meter import BEAT_S
from sbir_toolkit.pipeline.doing import Doing, Events, duration, find_doing

_SHOW_AFTER_S = 1.0
_PHASES_NAMED = 3
_WATCHER = "sbir_toolkit_cell_progress"


class CellProgress:
    """Watches the cells of one notebook; made by `watch_cells`."""

    def __init__(self, events: Path, stage: str) -> None:
        self._events = Events(events)
        self._stage = stage
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, _: Any = None) -> None:
        """Start to watch: a cell begins."""
        self._is_over = threading.Event()
        # What the thread displays must belong to the cell, so it takes over the cell's context.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._follow, time.time(), self._is_over), daemon=True
        )
        self._thread.start()

    def end(self, _: Any = None) -> None:
        """Stop to watch, and leave one line if there was something to see: the cell has ended."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _follow(self, started: float, is_over: threading.Event) -> None:
        from IPython.display import display

        handle = None
        while not is_over.wait(BEAT_S):
            if time.time() - started < _SHOW_AFTER_S:
                continue
            doing = find_doing(self._events.follow(), self._stage, started, time.time())
            if doing is None:
                continue
            if handle is None:
                handle = display(_Shown(doing), display_id=True)
            else:
                handle.update(_Shown(doing))
        if handle is not None:
            handle.update(_Ended(summarise(self._events.follow(), started, time.time() - started)))


class _Shown:
    """A piece of work under way, as a notebook shows it."""

    def __init__(self, doing: Doing) -> None:
        self._doing = doing

    def __repr__(self) -> str:
        return str(self._doing)

    def _repr_html_(self) -> str:
        doing = self._doing
        value = "" if doing.share is None else f' value="{doing.share:.3f}"'
        bar = f'<progress max="1"{value} style="width:16em"></progress>'
        percent = "" if doing.share is None else f"{doing.share:.0%}, "
        return f"<small>{escape(doing.what)} {bar} {percent}{escape(doing.facts)}</small>"


class _Ended:
    """What is left when a cell has ended: one line of text."""

    def __init__(self, line: str) -> None:
        self._line = line

    def __repr__(self) -> str:
        return self._line

    def _repr_html_(self) -> str:
        return f"<small>{escape(self._line)}</small>"


def summarise(events: list[dict[str, Any]], since: float, elapsed_s: float) -> str:
    """Say in one line what was done since a moment: the phases that took longest, in their order.

    Parameters
    ----------
    events
        As written.
    since
        Seconds since the epoch.
    elapsed_s
        What all took together.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["kind"] == "phase" and event["started"] >= since:
            by_name.setdefault(event["phase"], []).append(event)
    took = {
        name: sum(one["elapsed_s"] for one in phases)
        for name, phases in by_name.items()
        if not any(_are_inside(phases, other) for key, other in by_name.items() if key != name)
    }
    longest = sorted(took, key=lambda name: -took[name])[:_PHASES_NAMED]
    parts = []
    for name in (name for name in took if name in longest):
        rows = sum(one["rows"] or 0 for one in by_name[name])
        parts.append(
            f"{name.replace('_', ' ')} {duration(took[name])}" + (f" ({rows:,} rows)" if rows else "")
        )
    return f"took {duration(elapsed_s)}" + (f": {', '.join(parts)}" if parts else "")


def _are_inside(inner: list[dict[str, Any]], outer: list[dict[str, Any]]) -> bool:
    """Tell whether phases are all parts of other ones, and not just beside them by chance."""
    return all(
        any(
            one["started"] < part["started"]
            and part["started"] + part["elapsed_s"] <= one["started"] + one["elapsed_s"]
            for one in outer
        )
        for part in inner
    )


def in_notebook() -> bool:
    """Tell whether this process is a notebook's kernel."""
    # A process that hasn't loaded IPython isn't one.
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def watch_cells(events: Path, stage: str) -> None:
    """Show what the cells of this notebook are doing.

    Parameters
    ----------
    events
        Where this process writes its events.
    stage
        The stage that the notebook is.
    """
    from IPython import get_ipython

    shell = get_ipython()
    before = getattr(shell, _WATCHER, None)
    if before is not None:
        before.end()
        shell.events.unregister("pre_run_cell", before.begin)
        shell.events.unregister("post_run_cell", before.end)
    watcher = CellProgress(events, stage)
    shell.events.register("pre_run_cell", watcher.begin)
    shell.events.register("post_run_cell", watcher.end)
    setattr(shell, _WATCHER, watcher)
