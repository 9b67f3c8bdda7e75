"""The workload of a benchmark with nothing measured inside it, for `overhead`.

Phases are no spans and write no events, no beats tell how far they are, and nobody samples the process tree.
The toolkit has no such option: the meter is replaced here, before anything that uses it is imported.

    python -m benchmarks.unmetered JOB.json
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from sbir_toolkit import meter


class NoSampler:
    """Stands where the sampler of the process tree was, and looks at nothing."""

    peak_bytes_ = 0

    def __init__(self, pid: int, interval_s: float) -> None:
        self.last_ = meter.TreeUsage(0, 0.0, 0, 0, 0)

    def start(self) -> NoSampler:
        """Do nothing."""
        return self

    def stop(self) -> None:
        """Do nothing."""

    def lap(self) -> tuple[meter.TreeUsage, int]:
        """Give nothing."""
        return self.last_, 0


def take_meter_out() -> None:
    """From now on nothing is measured."""

    @contextlib.contextmanager
    def no_phase(name: str, rows: int | None = None) -> Iterator[meter.Span]:
        yield meter.Span(rows=rows)

    @contextlib.contextmanager
    def no_progress(name: str, total: int | None, unit: str) -> Iterator[meter.Span]:
        yield meter.Span(done=0, total=total, unit=unit)

    def no_event(kind: str, **values: Any) -> None:
        pass

    meter.phase, meter.progress = no_phase, no_progress
    meter.emit, meter.TreeSampler = no_event, NoSampler


if __name__ == "__main__":
    take_meter_out()
    from sbir_toolkit.pipeline.workload import main

    main(sys.argv[1])
