"""Proof that a stage left what it promised, and that a run is complete.

After each stage every declared table is opened, held against its contract, counted and digested, and the
stage's sums are checked: records read = rows kept + rows rejected, awards in = awards out, in the same order.
At the end the certificate lists every required output with rows and digest, and the committed parts of the
matching that they come from, and says whether the run is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sbir_toolkit.enrichment import check_conserved
from sbir_toolkit.errors import ContractError, explain
from sbir_toolkit.pipeline.run import ENDED_WELL, RunFolder
from sbir_toolkit.pipeline.stages import Pipeline, Stage
from sbir_toolkit.storage import digest_file, read_json
from sbir_toolkit.tables import TABLES


def check_outputs(stage: Stage, run: RunFolder) -> dict[str, dict[str, Any]]:
    """Check every table and file that a stage declares.

    Returns
    -------
    dict
        Table name to rows, digest and bytes.

    Raises
    ------
    ContractError
        When a table or file is missing, unreadable or breaks its contract.
    """
    outputs = {}
    for name in stage.writes:
        path = run.table(name)
        if not path.exists():
            raise ContractError(
                explain(
                    f"the stage '{stage.name}' didn't write the table '{name}'",
                    where=path,
                    todo=f"see {stage.notebook}: each declared table must be written",
                )
            )
        rows = TABLES[name].check_file(path)
        outputs[name] = {"rows": rows, "digest": digest_file(path), "bytes": path.stat().st_size}
    for name in stage.files:
        path = run.path / "reports" / name
        if not path.exists():
            raise ContractError(
                explain(f"the stage '{stage.name}' didn't write the file '{name}'", where=path)
            )
    return outputs


def check_sums(stage: Stage, run: RunFolder, find: Callable[[str], Path]) -> list[str]:
    """Check what a stage must conserve; returns each sum in words.

    Parameters
    ----------
    stage, run
        What was run, and where it recorded its counts.
    find
        Where a table is that the stage read or wrote: not in the run's folder where a notebook was opened by
        itself, on results of another run.

    Raises
    ------
    ContractError
        Naming the sum that doesn't add up, with its numbers.
    """
    recorded = read_json(run.metrics(stage.name)) if run.metrics(stage.name).exists() else {}
    return [
        _check_order(rule, find) if "~" in rule else _check_sum(rule, stage, run, recorded, find)
        for rule in stage.conserves
    ]


def collect_parts(pipeline: Pipeline, run: RunFolder) -> list[dict[str, Any]]:
    """List the committed parts that stages recorded as what their tables come from, with their digests."""
    recorded = [
        (stage.name, read_json(run.metrics(stage.name)))
        for stage in pipeline.stages
        if run.metrics(stage.name).exists()
    ]
    return [{"stage": name, **part} for name, values in recorded for part in values.get("parts", ())]


def certify(
    pipeline: Pipeline, record: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Draw up a run's certificate from its record and the parts that its tables come from.

    Returns
    -------
    dict
        `is_complete`, `missing` (what isn't there, and why), `outputs`, one entry for each required table,
        `parts`, the committed chunks that the matches were put together from, with their digests,
        `overrides`, how many decisions of people were laid over the matches, by kind, and what a reader must
        know of the outputs: `degraded` (why they bear a mark), `quarantined` (the gates that set awards
        aside), and `overruled` (the gates that failed and were let pass, by whom and why).
    """
    outputs, missing = [], []
    for stage in pipeline.stages:
        facts = record["stages"][stage.name]
        if facts["status"] == "skipped" and facts.get("held_by"):
            continue  # its condition isn't met, so nothing is required of it
        if facts["status"] not in ENDED_WELL:
            missing += [
                {"table": table, "stage": stage.name, "why": f"{facts['status']}: {facts['reason']}"}
                for table in stage.writes
            ]
            continue
        outputs += [
            {"table": table, "stage": stage.name, "rows": made["rows"], "digest": made["digest"]}
            for table, made in facts["outputs"].items()
        ]
    decided = {
        name.removeprefix("overrides_"): int(count)
        for name, count in record["metrics"].items()
        if name.startswith("overrides_")
    }
    gates = record["gates"]
    return {
        "is_complete": not missing,
        "missing": missing,
        "outputs": outputs,
        "parts": list(parts),
        "overrides": decided,
        "degraded": list(record["marks"]),
        "quarantined": [gate["gate"] for gate in gates if gate["action"] == "quarantine"],
        "overruled": [
            {name: gate[name] for name in ("gate", "overruled", "value", "threshold", "reason")}
            for gate in gates
            if gate["overruled"]
        ],
    }


def _check_sum(
    rule: str, stage: Stage, run: RunFolder, recorded: Mapping[str, Any], find: Callable[[str], Path]
) -> str:
    left, _, right = (side.strip() for side in rule.partition("="))
    terms = [term.strip() for term in right.split("+")]
    total, *parts = (_count(term, stage, run, recorded, find) for term in (left, *terms))
    words = f"{left} {total:,} = " + " + ".join(
        f"{term} {part:,}" for term, part in zip(terms, parts, strict=True)
    )
    if total != sum(parts):
        raise ContractError(
            explain(
                f"rows were lost or doubled in the stage '{stage.name}'",
                where=run.path,
                expected=rule,
                got=words,
            )
        )
    return words


def _count(
    term: str, stage: Stage, run: RunFolder, recorded: Mapping[str, Any], find: Callable[[str], Path]
) -> int:
    if term in recorded:
        return int(recorded[term])
    if find(term).exists():
        return int(pq.read_metadata(find(term)).num_rows)
    raise ContractError(
        explain(
            f"the stage '{stage.name}' didn't record '{term}'",
            where=run.metrics(stage.name),
            todo=f"call stage.record({term}=...) in {stage.notebook}",
        )
    )


def _check_order(rule: str, find: Callable[[str], Path]) -> str:
    left, _, right = (side.strip() for side in rule.partition("~"))
    check_conserved(find(left), find(right), TABLES[right])
    rows = pq.read_metadata(find(right)).num_rows
    return f"{right} has every award of {left} once, in order ({rows:,})"
