"""Releasing: the awards that may go on, and beside them those that a failed gate set aside.

What comes after the gates reads `released_awards`, never the awards before them. A gate whose action is
`quarantine` takes its failing awards out, into `quarantined_awards`, each with the gate's name: kept and set
aside together are all awards, each once. A gate whose action is `degrade` takes nothing out but leaves its
mark in the metadata of what is released, where it travels on to all that is made of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Gate
from sbir_toolkit.quality.decisions import decide
from sbir_toolkit.quality.gates import GateReport
from sbir_toolkit.quality.rows import failing_rows
from sbir_toolkit.storage import atomic_path, mark_table, parquet_writer
from sbir_toolkit.tables import QUARANTINED_AWARDS, RELEASED_AWARDS

_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Released:
    """How many awards go on and how many were set aside, by gate."""

    awards: int
    released: int
    quarantined: Mapping[str, int]
    marks: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"{self.released:,} of {self.awards:,} awards go on"]
        lines += [f"  set aside by gate {gate}: {count:,}" for gate, count in self.quarantined.items()]
        lines += [f"  degraded: {mark}" for mark in self.marks]
        return "\n".join(lines)


def release_awards(awards: Path, report: GateReport, gates: Mapping[str, Gate], folder: Path) -> Released:
    """Write `released_awards.parquet` and `quarantined_awards.parquet`.

    Parameters
    ----------
    awards
        Parquet of the contract ENRICHED_AWARDS.
    report
        The verdicts on them.
    gates
        The gates as declared.
    folder
        Where the two tables go.

    Returns
    -------
    Released

    Raises
    ------
    ParameterError
        When a gate is to set rows aside and what it measures isn't a share of awards.
    """
    decision = decide(report)
    parts = {gate: report.failing[gate] for gate in decision.gates("quarantine")}
    released, quarantined = (
        folder / f"{table.name}.parquet" for table in (RELEASED_AWARDS, QUARANTINED_AWARDS)
    )
    rows = int(pq.read_metadata(awards).num_rows)
    with phase("release", rows=rows):
        if not parts and not decision.marks:
            _link(awards, released)
            with parquet_writer(quarantined, QUARANTINED_AWARDS.arrow_schema):
                return Released(rows, rows, {}, ())
        schemas = [
            mark_table(table.arrow_schema.empty_table(), decision.marks).schema
            for table in (RELEASED_AWARDS, QUARANTINED_AWARDS)
        ]
        counts = dict.fromkeys(parts, 0)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(pq.ParquetFile(awards))
            kept = stack.enter_context(parquet_writer(released, schemas[0]))
            aside = stack.enter_context(parquet_writer(quarantined, schemas[1]))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=RELEASED_AWARDS.names):
                by_gate = _name_gates(batch, parts, gates)
                for gate in counts:
                    counts[gate] += pc.sum(pc.equal(by_gate, gate)).as_py() or 0
                table = pa.Table.from_batches([batch])
                kept.write_table(table.filter(pc.is_null(by_gate)))
                aside.write_table(table.append_column("gate", by_gate).filter(pc.is_valid(by_gate)))
    return Released(rows, rows - sum(counts.values()), counts, decision.marks)


def _name_gates(
    batch: pa.RecordBatch, parts: Mapping[str, tuple[str, ...]], gates: Mapping[str, Gate]
) -> pa.Array:
    """Name for each award the first gate that sets it aside; null for those that go on."""
    named = pa.nulls(batch.num_rows, pa.string())
    for name, part in [(name, part) for name, slices in parts.items() for part in slices]:
        failing = failing_rows(batch, gates[name], part)
        if failing is None:
            raise ParameterError(
                explain(
                    f"the gate '{name}' can't set rows aside",
                    where=f"quality.gates.{name}.action",
                    expected="a metric that is a share of awards, by a column that awards have",
                    got=f"{gates[name].metric} of {part}",
                    todo="take another action: degrade, block or stop",
                )
            )
        named = pc.if_else(pc.and_(failing, pc.is_null(named)), name, named)
    return named


def _link(source: Path, target: Path) -> None:
    # Tables are only ever replaced, never written in place, so two names may share one file.
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
