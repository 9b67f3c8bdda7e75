"""What next month's file costs: 1 % of the awards changed, the recipients as they were.

The first file is matched with an empty store. Then one award in a hundred, drawn at random, gets another
company (another word in its name), and the file is matched again with the store of the first time:
the index is there, and so is what was found for every company that is the same. In the end the changed file
is matched with an empty store too, and the results are compared byte for byte.

What is compared is what a month costs: the first time the recipients are read and indexed and every company
is matched; the second time both files are as large as before, and only what has changed is matched. That is
fair because both do all that the command does for anybody: they start Python, digest the recipients (whether
they are the same is told by what is in them, not by their name or date), read all the awards, work out their
companies, compare all companies of one name with each other (one that is new may tell something of old ones),
and write a match for each award. Nothing is left in the store by hand, and nothing is asked of the user.

The same is done with the stage `match_recipients` of a run, without its notebook, on tables that are loaded
beforehand. It writes the enriched awards and the questions to people as well, for all awards each time.

Given are CPU seconds beside wall time, and of the command those of its phase `match` too, in which companies
are matched one by one. Judged are the CPU seconds of the whole command, as other work on the machine delays
one run more than another.

    make bench-refresh
    python -m benchmarks.refresh --awards 10000 --recipients 100000
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measuring import TOOLKIT, Measured, describe_machine, make_files, make_parser, measure
from benchmarks.results import store
from sbir_toolkit.meter import EVENTS_VARIABLE
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.stage_work import Job, measure_work
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
    plans = [event for event in read_lines(events) if event["kind"] == "chunks"]
    figures = {
        "companies": sum(event["rows"] for event in phases),
        "known": sum(event["committed_rows"] for event in plans),
        "match s": sum(event["elapsed_s"] for event in phases),
        "match CPU s": sum(event["cpu_s"] for event in phases),
    }
    return took, pd.Series(figures), digest_file(out)


def match_in_stage(awards: Sequence[Path], recipients: Path, home: Path) -> list[dict[str, Any]]:
    """Match each file by the stage of a run, with one store; gives what it took and gave."""

    def do(stage: str, tables: Path, folder: Path, **inputs: list[str]) -> dict[str, float]:
        took = measure_work(Job(stage, Params(), inputs, tables, folder, home / "store"), home / "events")
        return {"wall s": took["elapsed_s"], "CPU s": took["cpu_s"]}

    loaded = home / "loaded"
    do("load_recipients", loaded, loaded, recipients=[str(recipients)])
    rows = []
    for source in awards:
        do("load_awards", loaded, loaded, awards=[str(source)])
        found = home / source.stem
        took = do("match_recipients", loaded, found)
        rows.append({"file": source.stem, **took, "digest": digest_file(found / "matches.parquet")})
    return rows


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
    shutil.rmtree(home / "months" / "store")
    shutil.rmtree(home / "afresh" / "store")
    stages = match_in_stage([files / "awards.csv", refreshed], files / "recipients.csv", home / "stage")
    first, second, _ = rows
    share, match_share = (second[name] / first[name] for name in ("CPU s", "match CPU s"))
    before, *after = digests
    is_same = [stage.pop("digest") for stage in stages] == [before, after[0]] and after[0] == after[1]
    notes = [
        f"{changed:,} awards were changed; {second['known']:,.0f} of {second['companies']:,.0f} companies "
        "were known",
        f"the refreshed file costs {share:.0%} of the first one's CPU time (allowed: {_ALLOWED_SHARE:.0%}), "
        f"{second['wall s'] / first['wall s']:.0%} of its wall time, and {match_share:.0%} of the CPU "
        "time of its phase match",
        f"in the stage of a run it costs {stages[1]['CPU s'] / stages[0]['CPU s']:.0%} of the CPU time",
        f"the result is {'the same as' if is_same else 'NOT THE SAME AS'} with an empty store, byte for byte",
    ]
    tables = {"Matching a refreshed file": rows, "The stage match_recipients, without its notebook": stages}
    shown = {title: pd.DataFrame(lines).round(2) for title, lines in tables.items()}
    store("refresh", options, machine, {"runs": rows, "stages": stages}, shown, notes=notes)
    raise SystemExit(not is_same or share > _ALLOWED_SHARE)


if __name__ == "__main__":
    main()
