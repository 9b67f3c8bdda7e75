"""The matcher beside other tools: the same files, the same identifiers, the same judge, in one run.

In turn and several times over: `match` with an empty store, then each peer of `peers/`. Each row of the
table is wall and CPU time, peak memory of the process tree, and how right the links are on the awards that
identifiers leave open. Accuracy is of the last turn; all tools are seeded or deterministic. A peer whose
environment could not be made is left out, and named.

A peer that tries only a slice of the companies (brute force) is judged on that slice; the part of its time
that grows with the companies is scaled up to all of them, and the row says so.

    make bench-peers
    python -m benchmarks.compare_peers --repeats 3 --peers floor,sql,trigrams
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from typing import Any

import pandas as pd

from benchmarks.judge import Judgement, judge, read_links, read_truth
from benchmarks.measuring import (
    TOOLKIT,
    Measured,
    describe_machine,
    make_files,
    make_parser,
    measure,
    spread,
)
from benchmarks.peers import PEERS, has_environment, peer_command, peer_versions
from benchmarks.results import accuracy_table, store

OURS = "sbir_toolkit"


def main() -> None:
    """Make the files, measure in turn, judge, and store."""
    options = _options()
    present = [peer for peer in options.peers if has_environment(peer)]
    missing = [
        f"not measured: {peer}; 'make peer-{peer}' makes its environment"
        for peer in options.peers
        if peer not in present
    ]
    print(*missing, sep="\n", end="\n" if missing else "")
    peer_command("floor")  # every judgement needs the floor's links; stop before hours are spent
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    machine = describe_machine()
    inputs = [files / "awards.csv", files / "recipients.csv"]
    tools = [OURS, *present]
    outs = {tool: options.folder / f"peer-{tool}.parquet" for tool in tools}
    measured: dict[str, list[Measured]] = {tool: [] for tool in tools}
    for turn in range(options.repeats):
        for tool in tools:
            if tool == OURS:
                outputs = options.folder / "peer-outputs"
                shutil.rmtree(outputs, ignore_errors=True)
                command = [*TOOLKIT, "--outputs", outputs, "match", *inputs, "-o", outs[tool]]
            else:
                command = [*peer_command(tool), *inputs, outs[tool]]
            measured[tool].append(measure(command))
            last = measured[tool][-1]
            print(f"turn {turn + 1} {tool:<14} {last.wall_s:8.2f} s {last.peak_mb:8.0f} MB", flush=True)

    truth = read_truth(files)
    floor = read_links(outs["floor"], truth)
    judgements = {tool: judge(read_links(out, truth), floor, truth) for tool, out in outs.items()}
    slices = {
        tool: details for tool, runs in measured.items() if (details := [_details(run) for run in runs])[0]
    }
    store(
        "compare_peers",
        options,
        {**machine, "peers": {peer: peer_versions(peer) for peer in present}},
        {tool: [run.record() for run in runs] for tool, runs in measured.items()} | {"slices": slices},
        {
            f"{options.awards:,} awards, {options.recipients:,} recipients": _summary(
                measured, judgements, slices
            ),
            "Accuracy with intervals": accuracy_table(judgements),
        },
        notes=[
            "precision, recall, F1: of awards left to names, recall without renamed firms; "
            "'without counterpart linked': distinct companies that have none",
            "calibration error: over proposals with a probability of 0.4 or more; '-': gives none",
            *(f"{tool}: {what}" for tool, what in PEERS.items() if tool in present),
            *missing,
            *_slice_notes(measured, slices),
        ],
    )


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument(
        "--peers",
        type=lambda text: _known_peers(text.split(",")),
        default=list(PEERS),
        help=f"some of {','.join(PEERS)}; the floor must be there; default: all",
    )
    return parser.parse_args()


def _known_peers(peers: list[str]) -> list[str]:
    if not {"floor"} <= set(peers) <= set(PEERS):
        raise argparse.ArgumentTypeError(
            f"expected floor and some of {','.join(PEERS)}; got {','.join(peers)}"
        )
    return [peer for peer in PEERS if peer in peers]


def _summary(
    measured: dict[str, list[Measured]],
    judgements: dict[str, Judgement],
    slices: dict[str, list[dict[str, float]]],
) -> pd.DataFrame:
    rows = []
    for tool, runs in measured.items():
        judgement = judgements[tool]
        rows.append(
            {
                "tool": tool + (" (slice)" if tool in slices else ""),
                "wall s": spread([run.wall_s for run in runs]),
                "CPU s": spread([run.cpu_s for run in runs]),
                "peak MB": spread([run.peak_mb for run in runs], 0),
                "precision": _shown(judgement.value("precision by name", "award")),
                "recall": _shown(judgement.value("recall by name", "award")),
                "F1": _shown(judgement.value("F1 by name", "award")),
                "without counterpart linked": _shown(
                    judgement.value("linked without counterpart", "company")
                ),
                "calibration error": _shown(judgement.value("calibration error", "company")),
            }
        )
    return pd.DataFrame(rows)


def _slice_notes(measured: dict[str, list[Measured]], slices: dict[str, list[dict[str, float]]]) -> list[str]:
    notes = []
    for tool, details in slices.items():
        scaled = [
            run.wall_s + part["comparing_s"] * (part["companies"] / part["companies_tried"] - 1)
            for run, part in zip(measured[tool], details, strict=True)
        ]
        tried, companies = details[0]["companies_tried"], details[0]["companies"]
        notes.append(
            f"{tool}: tried {tried:,} of {companies:,} companies and is judged on these; comparing took "
            f"{spread([part['comparing_s'] for part in details])} s of its wall time; scaled to all of "
            f"them it would take {spread(scaled, 0)} s (reckoned, not measured)"
        )
    return notes


def _details(run: Measured) -> dict[str, Any]:
    """A peer that tries a slice ends with one line of JSON; others print nothing that begins like it."""
    lines = run.printed.strip().splitlines()
    return dict(json.loads(lines[-1])) if lines and lines[-1].startswith('{"companies"') else {}


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


if __name__ == "__main__":
    main()
