"""Does the toolkit name the right cause of a slow-down? Causes are injected for real, and it is asked.

Each kind (`cause_kinds`) really changes the thing: a function in a copied checkout (committed there, so
digests and commits are true), a parameter, the input, a library, the machine. Runs without and with the
change alternate; each is the work of three stages in processes of their own, recorded and entered into a
history like a run of the pipeline (`cause_ground`). Then `explain_change` compares the two sides, and the
largest row of `cause_frame` must name the cause (its part and what it is laid to) and the stage.

*Nothing changed* and *harmless change* (a comment in each room, a parameter of another stage, a file in
another order) are the other way round: no cause may be named at all.

    make bench-causes
    python -m benchmarks.causes --kinds matching_slower disk_log --repeats 3
    python -m benchmarks.causes --recorded

Runs are kept in the folder. Stopped and asked again, the benchmark goes on with the kinds that the code at
work in these stages hasn't been run for yet, and judges all anew; `--recorded` only judges, whatever code the
runs are of. Let nothing else run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.cause_ground import Ground
from benchmarks.cause_kinds import KINDS, NULL, Kind
from benchmarks.measuring import PROJECT, describe_machine
from benchmarks.results import store
from sbir_toolkit.performance import Explanation, cause_frame
from sbir_toolkit.storage import digest_value, read_json, write_json
from sbir_toolkit.versions import code_digest

_NOT_NAMED = "not identifiable"
# What is at work in a run of these stages; how it is judged may change without a new one.
_AT_WORK = ("params", "storage", "meter", "sources", "matching", "enrichment")


def judge(name: str, kind: Kind, explained: list[Explanation]) -> dict[str, Any]:
    """Hold what was named against what was injected."""
    causes = cause_frame(explained)
    named = causes[~causes["cause"].str.contains(_NOT_NAMED)]
    row = causes.iloc[0].to_dict() if len(causes) else dict.fromkeys(causes.columns, "")
    if NULL in kind.parts:
        is_cause, is_stage = named.empty, named.empty
    else:
        is_cause = row["part"] in kind.parts and bool(re.search(kind.cause, str(row["cause"])))
        is_stage = row["stage"] in kind.stages
    return {
        "kind": name,
        "is_cause_right": bool(is_cause),
        "is_stage_right": bool(is_stage),
        "times": {told.stage: [told.before_s, told.after_s] for told in explained},
        "first": {key: str(value) for key, value in row.items()},
        "told": [repr(told) for told in explained],
    }


def _table(results: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for result in results:
        first = result["first"]
        slowest = max(result["times"].items(), key=lambda item: abs(item[1][1] - item[1][0]))
        rows.append(
            {
                "kind": result["kind"],
                "cause": "right" if result["is_cause_right"] else "WRONG",
                "stage": "right" if result["is_stage_right"] else "WRONG",
                "largest change": f"{slowest[0]} {slowest[1][0]:.2f} s -> {slowest[1][1]:.2f} s",
                "named first": "{part} in {where}: {cause} ({confidence})".format_map(first)
                if first["part"]
                else "nothing",
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Inject, ask, judge, and show what is known of all kinds."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "recorded.json"
    recorded: dict[str, dict[str, Any]] = read_json(kept) if kept.exists() else {}
    machine = describe_machine()
    ground = Ground(options.folder)
    results = []
    for name in options.kinds:
        kind = KINDS[name]
        of = digest_value([repr(kind), options.repeats, code_digest(*_AT_WORK)])
        if not options.recorded and recorded.get(name, {}).get("of") != of:
            began = time.monotonic()
            ground.run_sides(name, kind, options.repeats)
            recorded[name] = {"of": of, "repeats": options.repeats, "took_s": time.monotonic() - began}
            write_json(kept, recorded)
        if name in recorded:
            results.append(judge(name, kind, ground.explain(name, kind, recorded[name]["repeats"])))
            right = "right" if results[-1]["is_cause_right"] else "WRONG"
            print("\n".join([f"== {name}: {right}", *results[-1]["told"]]), flush=True)
    injected = [one for one in results if KINDS[one["kind"]].stages]
    unchanged = [one for one in results if not KINDS[one["kind"]].stages]
    notes = [
        f"cause first in {sum(one['is_cause_right'] for one in injected)} of {len(injected)} injected kinds, "
        f"stage right in {sum(one['is_stage_right'] for one in injected)}",
        f"no cause invented in {sum(one['is_cause_right'] for one in unchanged)} of {len(unchanged)} "
        "comparisons without a change that matters",
        f"the runs took {sum(recorded[one['kind']]['took_s'] for one in results) / 60:.0f} minutes",
    ]
    store("causes", options, machine, {"results": results}, {"Causes": _table(results)}, notes=notes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--repeats", type=int, default=3, help="runs on each side; default: %(default)s")
    parser.add_argument("--recorded", action="store_true", help="judge what was run, and run nothing")
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=PROJECT / "outputs" / "bench" / "causes",
        help="where everything goes; default: outputs/bench/causes",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
