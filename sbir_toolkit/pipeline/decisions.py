"""The decision log: what became of each stage, and which gate is answerable for it.

One entry for each stage, in the pipeline's order, in the run's record and on its page: ran, reused, skipped,
blocked or failed; where a gate held it up, which one, what it measured, against what, and since which run it
has been failing. An overruled gate has an entry of its own, with who let it pass and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sbir_toolkit.pipeline.past import failing_since

_OUTCOMES = {"done": "ran"}


def log_decisions(record: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Draw up the decision log of a run that has ended.

    Parameters
    ----------
    record
        Its record.
    earlier
        Records of earlier runs of the same parameters' name, the newest first.

    Returns
    -------
    list of dict
        Each with stage, outcome, why, gate, value, threshold, since, overruled; what doesn't apply is None.
    """
    gates = {
        row["gate"]: {**row, "since": _since(row, record, earlier)}
        for row in record["gates"]
        if row["verdict"] == "fail" or row["gate"] in _holding(record)
    }
    entries = []
    for name, facts in record["stages"].items():
        outcome = _OUTCOMES.get(facts["status"], facts["status"])
        held_by = facts.get("held_by") or [None]
        entries += [_entry(name, outcome, facts["reason"], gates.get(gate)) for gate in held_by]
    for row in gates.values():
        if row["overruled"]:
            entries.append(_entry(None, "let pass", f"gate {row['gate']} failed: {row['reason']}", row))
    return entries


def _holding(record: Mapping[str, Any]) -> set[str]:
    return {gate for facts in record["stages"].values() for gate in facts.get("held_by") or ()}


def _since(
    row: Mapping[str, Any], record: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]
) -> str | None:
    return failing_since(row["gate"], record, earlier) if row["verdict"] == "fail" else None


def _entry(stage: str | None, outcome: str, why: str, gate: Mapping[str, Any] | None) -> dict[str, Any]:
    figures = ("gate", "value", "threshold", "since", "overruled")
    return {
        "stage": stage,
        "outcome": outcome,
        "why": why,
        **{name: gate[name] if gate else None for name in figures},
    }
