"""The gate on the match rate's change, on 200 simulated histories for each length and scatter.

    python -m benchmarks.gate_histories

Prints how often a run that only scatters fails (or warns), and how often a fall by five points is found in
its first run.
"""

from __future__ import annotations

import sys

from tests.quality.histories import count_verdicts

HISTORIES = 200


def main() -> int:
    """Print the table; ends with 1 when the gate doesn't keep its promise at a scatter of half a point."""
    print("runs  scatter  false fail  false warn  5 points found (fail)  (fail or warn)")
    is_good = True
    for runs in (5, 8, 10, 12, 16, 24, 30):
        for scatter in (0.001, 0.003, 0.005, 0.01):
            still = count_verdicts(HISTORIES, runs, scatter=scatter, fall=0.0)
            fallen = count_verdicts(HISTORIES, runs, scatter=scatter, fall=0.05)
            fails, warns = still.get("fail", 0) / HISTORIES, still.get("warn", 0) / HISTORIES
            found = fallen.get("fail", 0) / HISTORIES
            told = found + fallen.get("warn", 0) / HISTORIES
            print(f"{runs:4}  {scatter:7.1%}  {fails:10.1%}  {warns:10.1%}  {found:21.1%}  {told:14.1%}")
            is_good &= scatter > 0.005 or (fails <= 0.01 and (runs < 10 or found >= 0.95))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
