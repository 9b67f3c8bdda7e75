"""Working ahead: what comes next is made while what came before is still being used."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def run_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Give what an iterator gives, in its order, while a thread of its own already makes the next one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(list, itertools.islice(items, 1))
        while made := coming.result():
            coming = thread.submit(list, itertools.islice(items, 1))
            yield made.pop()
