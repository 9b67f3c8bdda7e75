"""The calibration task: fixed work that measures the machine itself.

Half of it is plain Python, half of it moves and sorts numbers, as the stages do. It is done at the start and
at the end of each run; what it takes tells a slower machine from slower code.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

_REPEATS = 3
_LOOPS = 200_000
_NUMBERS = 400_000


def calibrate() -> float:
    """Do the task three times; give the seconds of wall time of the median one.

    Examples
    --------
    >>> 0.001 < calibrate() < 10
    True
    """
    return statistics.median(_once() for _ in range(_REPEATS))


def _once() -> float:
    numbers = np.random.default_rng(1).random(_NUMBERS)
    clock = time.perf_counter()
    total = 0
    for number in range(_LOOPS):
        total += number % 7
    np.sort(numbers).copy()
    return time.perf_counter() - clock
