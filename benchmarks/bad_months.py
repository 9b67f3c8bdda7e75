"""Bad months: whether the default gates catch them and name the right metric and slice.

    python -m benchmarks.bad_months [AWARDS.csv RECIPIENTS.csv]

Without files it takes a made-up sample. The good file is the one accepted month that is known; each fault is
then done to it and the result goes through reading, matching, measuring and judging.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sbir_toolkit import Params, write_synthetic
from sbir_toolkit.quality import GateReport
from tests.quality.bad_months import FAULTS, as_history, judge_month, read_text, write_text


def main() -> int:
    """Print a line for each fault; ends with 1 when one wasn't caught."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if len(sys.argv) == 3:
            awards, recipients = map(Path, sys.argv[1:])
        else:
            write_synthetic(work, awards=10_000, recipients=50_000, seed=3)
            awards, recipients = work / "awards.csv", work / "recipients.csv"
        good = read_text(awards)
        params = Params()
        first, report = judge_month(awards, recipients, work, params, None)
        history, recipients = as_history(first), work / "recipients.parquet"
        _tell("the good month, first run", report)
        again = judge_month(awards, recipients, work, params, history)[1]
        _tell("the good month again", again)
        missed = []
        for number, (fault, (spoil, verdict, metric, part)) in enumerate(FAULTS.items()):
            month = write_text(spoil(good), work / f"month{number}.csv")
            report = judge_month(month, recipients, work, params, history)[1]
            _tell(fault, report)
            found = report.table[
                (report.table["verdict"] == verdict)
                & (report.table["metric"] == metric)
                & report.table["slice"].str.startswith(part)
            ]
            if found.empty:
                missed.append(fault)
        print(f"caught {len(FAULTS) - len(missed)} of {len(FAULTS)}; missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def _tell(what: str, report: GateReport) -> None:
    print(f"\n{what}")
    rows = report.table[report.table["verdict"].isin(["fail", "warn"])]
    for row in rows.to_dict("records"):
        print(f"  {row['verdict']:<5} {row['gate']} [{row['slice']}]: {row['reason']}")


if __name__ == "__main__":
    sys.exit(main())
