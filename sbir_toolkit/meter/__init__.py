"""Measuring: spans of work and samples of a process tree, written as events.

A *span* says that one phase of one stage ran from here to there, on so many rows, what CPU time it took (the
program's and the system's on its behalf), how long its threads queued for a core, its page faults and the
bytes it read from and wrote to disks (`spans`). A *sample* says how much memory a whole process tree held at
one moment, with shared pages counted once (PSS), and how much CPU time it had used so far (`tree`). A *beat*
says, twice a second, what a process is at that takes longer, and how far it is: whoever waits for it sees
progress, and that it lives. All are lines of the run's `events.ndjson`; figures, progress and status are read
from there and kept nowhere else.

Library code only says `with phase("normalise", rows=n):`. Where the events go is decided by
whoever starts the process (`EVENTS_VARIABLE`, `STAGE_VARIABLE`); nowhere, unless somebody asked.
"""

from sbir_toolkit.meter.proc import usable_cores
from sbir_toolkit.meter.spans import (
    BEAT_S,
    EVENTS_VARIABLE,
    STAGE_VARIABLE,
    Span,
    emit,
    phase,
    progress,
)
from sbir_toolkit.meter.tree import TreeSampler, TreeUsage

__all__ = [
    "BEAT_S",
    "EVENTS_VARIABLE",
    "STAGE_VARIABLE",
    "Span",
    "TreeSampler",
    "TreeUsage",
    "emit",
    "phase",
    "progress",
    "usable_cores",
]
