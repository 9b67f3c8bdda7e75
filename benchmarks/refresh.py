"""What next month's file costs: 1 % of the awards changed, the recipients as they were.

The first file is matched with an empty store. Then one award in a hundred, drawn at random, gets another
company (another word in its name), and the file is matched again with the store of the first time:
the index is there, and so is what was found for every company that is the same. In the end the changed file
is matched with an empty store too, and the results are compared byte for byte.

Given are CPU seconds beside wall time, for the whole command and for its phase `match`, in which the
companies are matched; the share is that of the first time.

    make bench-refresh
    python -m benchmarks.refresh --awards 10000 --recipients 100000
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.measuring import TOOLKIT, Measured, describe_machine, make_files, make_parser, measure
from benchmarks.results import store
from sbir_toolkit.meter import EVENTS_VARIABLE
from sbir_toolkit.storage import digest_file, read_lines

_ALLOWED_SHARE = 0.25


def change_awards(source: Path, out: Path, share: float, seed: int) -> int:
    """Write the awards again, this share of them with another company; returns how many."""
    awards = pd.read_csv(source, dtype=str, keep_default_na=False)
    chance = random.Random(seed)
    changed = chance.sample(range(len(awards)), max(1, round(share * len(awards))))
    names = awards["Company"].tolist()
    for row in changed:
        words = names[row].split(" ")
        names[row] = " ".join([*words[:-1], chance.choice(("Group", "Labs", "Works")), words[-1]])
    awards["Company"] = names
    awards.to_csv(out, index=False)
    return len(changed)


def match(awards: Path, recipients: Path, outputs: Path) -> tuple[Measured, pd.Series, str]:
    """Match two files; gives what the command took, what its phase `match` took, and the result's digest."""
    events, out = outputs / f"{awards.stem}.events.ndjson", outputs / f"{awards.stem}.parquet"
    outputs.mkdir(parents=True, exist_ok=True)
    events.unlink(missing_ok=True)
    os.environ[EVENTS_VARIABLE] = str(events)
    took = measure([*TOOLKIT, "--outputs", outputs, "match", awards, recipients, "-o", out])
    phases = [event for event in read_lines(events) if event.get("phase") == "match"]
    chunks = [event for event in read_lines(events) if event["kind"] == "chunk"]
    figures = {
        "companies": sum(event["rows"] for event in phases),
        "known": sum(event["reused"] for event in chunks),
        "match s": sum(event["elapsed_s"] for event in phases),
        "match CPU s": sum(event["cpu_s"] for event in phases),
    }
    return took, pd.Series(figures), digest_file(out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and end with an error when a refreshed file costs more than a quarter of the first."""
    options = make_parser(__doc__, repeats=None).parse_args(arguments)
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    home = options.folder / "refresh"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    machine = describe_machine()
    refreshed = home / "refreshed.csv"
    changed = change_awards(files / "awards.csv", refreshed, 0.01, options.seed)
    rows, digests = [], []
    for name, awards, outputs in (
        ("first time", files / "awards.csv", home / "months"),
        ("1 % changed", refreshed, home / "months"),
        ("1 % changed, empty store", refreshed, home / "afresh"),
    ):
        took, figures, digest = match(awards, files / "recipients.csv", outputs)
        rows.append({"file": name, "wall s": took.wall_s, "CPU s": took.cpu_s, **figures})
        digests.append(digest)
    first, second, _ = rows
    share = second["wall s"] / first["wall s"]
    match_share = second["match CPU s"] / first["match CPU s"]
    is_same = digests[1] == digests[2]
    notes = [
        f"{changed:,} awards were changed; {second['known']:,.0f} of {second['companies']:,.0f} companies "
        "were known",
        f"the refreshed file costs {share:.0%} of the first one's time, {match_share:.0%} of its CPU time in "
        f"matching (allowed: {_ALLOWED_SHARE:.0%})",
        f"the result is {'the same as' if is_same else 'NOT THE SAME AS'} with an empty store, byte for byte",
    ]
    table = pd.DataFrame(rows).round(2)
    store("refresh", options, machine, {"runs": rows}, {"Matching a refreshed file": table}, notes=notes)
    raise SystemExit(not is_same or share > _ALLOWED_SHARE or match_share > _ALLOWED_SHARE)


if __name__ == "__main__":
    main()
