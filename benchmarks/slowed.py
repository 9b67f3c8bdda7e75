"""The workload of a benchmark with one phase of one stage made slower, for `detection`.

At the end of each span of that phase, still inside it, the processor is kept busy for a share of the time
that the span took. The toolkit has no such option: the phase is replaced here, before anything that uses it
is imported.

    python -m benchmarks.slowed STAGE PHASE SHARE JOB.json
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from sbir_toolkit import meter


def slow_down(stage: str, phase: str, share: float) -> None:
    """From now on a phase of a stage takes so much longer."""
    measured = meter.phase

    @contextlib.contextmanager
    def slowed(name: str, rows: int | None = None) -> Iterator[meter.Span]:
        with measured(name, rows) as span:
            is_meant = name == phase and os.environ.get(meter.STAGE_VARIABLE) == stage
            began, used = time.perf_counter(), time.process_time()
            yield span
            if is_meant:
                # Time on the clock that others took from this process isn't the phase's own.
                own_s = min(time.perf_counter() - began, time.process_time() - used)
                _keep_busy(share * own_s)

    meter.phase = slowed


def _keep_busy(seconds: float) -> None:
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        sum(range(200))


if __name__ == "__main__":
    from sbir_toolkit.pipeline.workload import main

    slow_down(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    main(sys.argv[4])
