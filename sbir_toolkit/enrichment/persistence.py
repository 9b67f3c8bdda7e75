"""Persistence: what may go well the next time is tried again, and nothing else.

A file server that doesn't answer or a connection that breaks is over after a while. An error of the program
or of the data is the same each time, and a full disk isn't emptied by asking: those are raised at once.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

_ATTEMPTS = 4
_WAIT_S = 0.5
_TRANSIENT = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.EREMOTEIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
Task = TypeVar("Task")
Result = TypeVar("Result")


def is_transient(wrong: OSError) -> bool:
    """Tell whether an error may be gone the next time."""
    return isinstance(wrong, ConnectionError | TimeoutError) or wrong.errno in _TRANSIENT


def persist(
    work: Callable[[Task], Result], task: Task, *, pause: Callable[[float], None] = time.sleep
) -> Result:
    """Do some work, and do it again after a while when what went wrong may be gone by then.

    Parameters
    ----------
    work, task
        What to do, with what; it must not matter when it is done twice.
    pause
        Waits some seconds; twice as long each time.

    Raises
    ------
    OSError
        What went wrong the last of four times, or at once when it won't go away.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return work(task)
        except OSError as wrong:
            if not is_transient(wrong):
                raise
        pause(_WAIT_S * 2**attempt)
    return work(task)
