"""Keeping little memory: what was freed goes back to the system.

Allocators keep what a program frees, for that it may soon want it again. That is quick, and costs up to half
a gigabyte that nobody uses. Where the limit is low it is given back at once: large arrays live in mappings of
their own, glibc keeps two arenas and Arrow allocates through it. Page by page the system then clears memory
anew, which takes up to a third more CPU time.

Only glibc is told; elsewhere the allocators stay as they are.
"""

from __future__ import annotations

import ctypes
import os
import sys

THRIFTY_BELOW_MB = 1_500
"""Below this limit memory is given back at once."""

_LARGE_BYTES = 1 << 20
_ARENAS = 2
# The numbers that glibc's mallopt knows its parameters by.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_VARIABLES = {
    "MALLOC_ARENA_MAX": str(_ARENAS),
    "MALLOC_MMAP_THRESHOLD_": str(_LARGE_BYTES),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "1",
}


def allocator_settings(memory_mb: int) -> dict[str, str]:
    """Give the environment of processes that together may use so much memory; empty where it is plenty."""
    return dict(_VARIABLES) if memory_mb < THRIFTY_BELOW_MB else {}


def economise(memory_mb: int) -> None:
    """Make this process, and those it starts, keep little where little is allowed.

    What the environment says of the allocators already stays. Arrow chooses its allocator when it is loaded:
    this comes before.

    Parameters
    ----------
    memory_mb : int
        The limit of the whole process tree.
    """
    settings = allocator_settings(memory_mb)
    # glibc reads the environment when a process starts, so this one is told by a call.
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if settings and set_option is not None and not any(name in os.environ for name in settings):
        set_option(_ARENA_MAX, _ARENAS)
        set_option(_MMAP_THRESHOLD, _LARGE_BYTES)
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def release() -> None:
    """Give back to the system what was freed and is still kept."""
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
