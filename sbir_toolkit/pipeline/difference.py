"""What became of each award between two runs: another recipient, another decision, another probability.

Awards are told by their id. Each that differs is of one kind, the gravest first; beside it stands what in the
evidence changed most. What differs between the runs themselves (inputs, parameters, code, libraries) is said
once, above.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.performance import StagePath
from sbir_toolkit.performance.differences import find_changes
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, read_run, run_params
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.reports.units import format_probability
from sbir_toolkit.storage import atomic_path

# The kinds of change, the gravest first.
KINDS = {
    "another recipient": "accepted in both, but another recipient",
    "no longer accepted": "accepted before, not now",
    "newly accepted": "accepted now, not before",
    "another decision": "not accepted in either, but review and reject changed places",
    "another candidate": "for review in both, but another recipient",
    "another probability": "the same recipient, the probability moved by more than a hundredth",
    "only before": "the award is only in the first run",
    "only now": "the award is only in the second run",
}
_READ = ("award_id", "company", "recipient_id", "recipient_name", "decision", "match_probability", "evidence")
_LEAST_MOVE = 0.01
_EXAMPLES = 3
_EXPORTS = (".parquet", ".csv")


@dataclass(frozen=True)
class Difference:
    """What became of each award between two runs.

    Attributes
    ----------
    before, after : str
        The runs.
    awards : int
        Awards that are in both.
    changes : list of str
        What differs between the runs and may matter to matching.
    table : pandas.DataFrame
        One row for each award that differs: kind, award_id, company, then for both runs recipient, decision,
        probability, and why.
    """

    before: str
    after: str
    awards: int
    changes: list[str]
    table: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many awards there are of each kind."""
        found = self.table["kind"].value_counts()
        return {kind: int(found.get(kind, 0)) for kind in KINDS}

    def __repr__(self) -> str:
        counts = self.counts
        alone = {kind: counts[kind] for kind in ("only before", "only now")}
        lines = [
            f"{self.before} -> {self.after}: {self.awards:,} awards in both, of which "
            f"{len(self.table) - sum(alone.values()):,} differ; "
            + ", ".join(f"{count:,} {kind}" for kind, count in alone.items())
        ]
        lines.append(f"  changed in between: {'; '.join(self.changes) or 'nothing that is recorded'}")
        for kind, count in counts.items():
            if count:
                lines.append(f"{kind}: {count:,} ({KINDS[kind]})")
                examples = self.table[self.table["kind"] == kind].head(_EXAMPLES)
                lines += [f"  {_write(row)}" for row in examples.to_dict("records")]
        return "\n".join(lines)

    def export(self, file: Path) -> str:
        """Write all awards that differ to a Parquet or CSV file; give a sentence about it.

        Raises
        ------
        InputError
            When the file's name ends otherwise.
        """
        if file.suffix not in _EXPORTS:
            expected = " or ".join(_EXPORTS)
            raise InputError(explain("the table is written as Parquet or CSV", where=file, expected=expected))
        with atomic_path(file) as temporary:
            if file.suffix == ".csv":
                self.table.to_csv(temporary, index=False)
            else:
                self.table.to_parquet(temporary, index=False)
        return f"{file}: {len(self.table):,} rows, one for each award that differs"


def diff_runs(project: Project, before: RunFolder, after: RunFolder) -> Difference:
    """Compare the matches of two runs, award by award.

    Raises
    ------
    InputError
        When a run has no matches.
    """
    sides = [_read(run) for run in (before, after)]
    both = sides[0].merge(
        sides[1], on="award_id", how="outer", suffixes=("_before", "_after"), indicator="in"
    )
    kind = _kinds(both)
    changed = both[kind != ""].assign(kind=kind[kind != ""])
    why = [
        _why(*pair) if place == "both" else ""
        for place, *pair in zip(
            changed["in"], changed["evidence_before"], changed["evidence_after"], strict=True
        )
    ]
    table = pd.DataFrame(
        {
            "kind": changed["kind"],
            "award_id": changed["award_id"],
            "company": changed["company_after"].fillna(changed["company_before"]),
            **{
                f"{name}_{side}": changed[f"{column}_{side}"]
                for side in ("before", "after")
                for name, column in (
                    ("recipient_id", "recipient_id"),
                    ("recipient", "recipient_name"),
                    ("decision", "decision"),
                    ("probability", "match_probability"),
                )
            },
            "why": pd.Series(why, index=changed.index, dtype="str"),
        }
    )
    order = {name: place for place, name in enumerate(KINDS)}
    table = table.sort_values(
        ["kind", "award_id"], key=lambda one: one.map(order) if one.name == "kind" else one
    )
    return Difference(
        before.run_id,
        after.run_id,
        int((both["in"] == "both").sum()),
        _changes(project, before, after),
        table.reset_index(drop=True),
    )


def _read(run: RunFolder) -> pd.DataFrame:
    path = run.table("matches")
    if not path.exists():
        todo = f"let it be made: sbir-toolkit resume {run.run_id}"
        raise InputError(
            explain("this run has no matches", where=path, expected="the table matches", todo=todo)
        )
    frame: pd.DataFrame = pq.read_table(path, columns=list(_READ)).to_pandas()
    return frame


def _kinds(both: pd.DataFrame) -> pd.Series[str]:
    was, now = both["decision_before"], both["decision_after"]
    is_same = both["recipient_id_before"].fillna("") == both["recipient_id_after"].fillna("")
    moved = (both["match_probability_after"] - both["match_probability_before"]).abs()
    tests = {
        "only before": both["in"] == "left_only",
        "only now": both["in"] == "right_only",
        "another recipient": (was == "accept") & (now == "accept") & ~is_same,
        "no longer accepted": (was == "accept") & (now != "accept"),
        "newly accepted": (was != "accept") & (now == "accept"),
        "another decision": was != now,
        "another candidate": (was == "review") & ~is_same,
        "another probability": is_same & (moved > _LEAST_MOVE),
    }
    found = np.select([test.fillna(value=False).to_numpy(bool) for test in tests.values()], list(tests), "")
    return pd.Series(found, index=both.index, dtype="str")


def _why(before: Any, after: Any) -> str:
    """Say who decided it, or which piece of the evidence changed most, in bits."""
    said, now = ({} if pd.isna(text) else json.loads(text) for text in (before, after))
    decided, decided_now = _decided(said), _decided(now)
    if decided != decided_now:
        return decided_now or f"no longer {decided}"
    old, new = _weights(said), _weights(now)
    moved = {piece: new.get(piece, 0.0) - old.get(piece, 0.0) for piece in dict.fromkeys([*old, *new])}
    pieces = sorted((piece for piece in moved if moved[piece]), key=lambda piece: -abs(moved[piece]))[:2]
    told = [f"{piece} {old.get(piece, 0.0):+.1f} -> {new.get(piece, 0.0):+.1f} bits" for piece in pieces]
    return ", ".join(told) or "the evidence is the same: a rival or a threshold"


def _decided(evidence: Mapping[str, Any]) -> str:
    return f"decided by {evidence['who']}: {evidence['why']}" if "override" in evidence else ""


def _weights(evidence: Mapping[str, Any]) -> dict[str, float]:
    return {piece: float(bits) for piece, bits in evidence.items() if isinstance(bits, int | float)}


def _changes(project: Project, before: RunFolder, after: RunFolder) -> list[str]:
    pipeline = load_pipeline(project.declaration, run_params(after))
    path = (
        pipeline.path(pipeline["match_recipients"]) if "match_recipients" in pipeline.names else StagePath()
    )
    facts = [_facts(read_run(run)) for run in (before, after)]
    found = find_changes(facts[0], facts[1], project.root, path)
    return list(
        dict.fromkeys(words for kind, several in found.items() if kind != "resources" for words in several)
    )


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    code = record.get("code") or {}
    return {
        "params": json.dumps(record.get("params") or {}),
        "inputs": json.dumps(record.get("inputs") or {}),
        "libraries": json.dumps((record.get("environment") or {}).get("libraries") or {}),
        "code_rooms": json.dumps(code.get("rooms") or {}),
        "code_digest": code.get("digest"),
        "code_commit": code.get("commit"),
        "code_is_dirty": code.get("is_dirty"),
    }


def _write(row: Mapping[Any, Any]) -> str:
    def side(name: str) -> str:
        if pd.isna(row[f"decision_{name}"]):
            return "not there"
        probability = row[f"probability_{name}"]
        sure = "" if pd.isna(probability) else f" {format_probability(probability)}"
        recipient = "" if pd.isna(row[f"recipient_{name}"]) else f" {row[f'recipient_{name}']}"
        return f"{row[f'decision_{name}']}{sure}{recipient}"

    told = f"{row['award_id']} {row['company']}: {side('before')} -> {side('after')}"
    return f"{told}; {row['why']}" if row["why"] else told
