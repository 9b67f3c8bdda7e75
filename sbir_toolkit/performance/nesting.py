"""Which phase is a part of which, and how phases that go on at once share the clock.

A worker's thread measures its own phases while the main thread is in one that lasts as long as all the
work: the former are parts of the latter. What a thread does can't be a part of what another worker does,
however the two lie in time. A phase is a part of another only if that is so each time; where it is a part of
several, as scoring is in matching and again among companies of one name, it counts in each by itself.

A moment belongs to what is done in it: to the phases without an open part, in equal shares. So the shares of
all phases add up to the time in which any was open, however many workers there are.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd


def nest(spans: pd.DataFrame) -> pd.DataFrame:
    """Say of each span what it is a part of, and which share of the clock is its own.

    Parameters
    ----------
    spans
        Of one stage: phase, started, elapsed_s, pid, thread (zero: the main one; missing in older events,
        which counts as that).

    Returns
    -------
    pandas.DataFrame
        In the order of their starts, with `inside` and `own_s`. A phase that is a part of several keeps its
        name in the first; in others it is named with them.

    Examples
    --------
    >>> spans = pd.DataFrame({"phase": ["match", "score"], "started": [1.0, 2.0], "elapsed_s": [4.0, 1.0],
    ...                       "pid": 7, "thread": [0, 9]})
    >>> nest(spans)[["phase", "inside", "own_s"]].values.tolist()
    [['match', None, 3.0], ['score', 'match', 1.0]]
    """
    # What others are a part of comes before them, also where the clock can't tell their starts apart.
    order = np.lexsort((spans["phase"], -spans["elapsed_s"], spans["started"]))
    spans = spans.iloc[order].reset_index(drop=True)
    parents = _parents(spans)
    names: list[str] = []
    homes: dict[str, str] = {}
    for phase, parent in zip(spans["phase"], parents, strict=True):
        home = names[parent] if parent >= 0 else ""
        names.append(phase if homes.setdefault(phase, home) == home else f"{phase} ({home})")
    inside = pd.Series([names[parent] if parent >= 0 else None for parent in parents], dtype="object")
    return spans.assign(phase=names, inside=inside, own_s=_share_clock(spans, parents))


def _parents(spans: pd.DataFrame) -> list[int]:
    """Give the position of the span that each is a part of; -1 for none."""
    starts = spans["started"].to_numpy()
    ends = starts + spans["elapsed_s"].to_numpy()
    phases = spans["phase"].to_numpy()
    who = list(zip(spans["pid"].fillna(0), spans["thread"].fillna(0), strict=True))
    root = (who[0][0], 0)
    of_thread: dict[tuple[float, float], list[int]] = defaultdict(list)
    found = []
    for at in range(len(spans)):
        # What is open in one thread lies in one another, so few are looked at.
        candidates = of_thread[who[at]] if who[at] == root else [*of_thread[root], *of_thread[who[at]]]
        around = [
            other
            for other in candidates
            if ends[other] >= ends[at]
            and ends[other] - starts[other] > ends[at] - starts[at]
            and phases[other] != phases[at]
        ]
        found.append(min(around, key=lambda other: ends[other] - starts[other], default=-1))
        for thread in {who[at], root}:
            of_thread[thread] = [other for other in of_thread[thread] if ends[other] > starts[at]]
        of_thread[who[at]].append(at)
    free = {phase for phase, parent in zip(phases, found, strict=True) if parent < 0}
    return [-1 if phase in free else parent for phase, parent in zip(phases, found, strict=True)]


def _share_clock(spans: pd.DataFrame, parents: list[int]) -> list[float]:
    """Give each span its share of the moments in which it has no open part."""
    starts = spans["started"].to_numpy()
    ends = starts + spans["elapsed_s"].to_numpy()
    lasting = np.flatnonzero(ends > starts).tolist()
    edges = [(moment[at], is_start, at) for at in lasting for moment, is_start in ((starts, 1), (ends, 0))]
    own = [0.0] * len(spans)
    parts = [0] * len(spans)
    active: set[int] = set()
    before = 0.0
    for moment, is_start, at in sorted(edges):
        doing = [one for one in active if not parts[one]]
        for one in doing:
            own[one] += (moment - before) / len(doing)
        before = moment
        if is_start:
            active.add(at)
        else:
            active.discard(at)
        if parents[at] >= 0:
            parts[parents[at]] += 1 if is_start else -1
    return own
