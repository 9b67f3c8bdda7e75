"""Which awards a metric counts: one definition for counting, for setting aside and for showing.

A share of awards is a question that each award answers with yes or no. Asked of every award it gives the
metric; asked of one slice, the slice's; and the awards whose answer speaks against a gate are the *failing
rows*, which a gate may set aside and a report shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.params import Gate

REQUIRED = ("company", "agency", "award_year", "award_usd", "phase", "program")
BLANK = "(blank)"

Answer = Callable[[pa.RecordBatch], pa.Array]


def is_filled(values: pa.Array) -> pa.Array:
    """Tell which values aren't blank."""
    if pa.types.is_string(values.type):
        return pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values), ""), False)
    return pc.is_valid(values)


def _equals(column: str, value: str) -> Answer:
    return lambda batch: pc.fill_null(pc.equal(batch[column], value), False)


def _is_complete(batch: pa.RecordBatch) -> pa.Array:
    complete = pa.array(np.ones(batch.num_rows, dtype=bool))
    for column in REQUIRED:
        complete = pc.and_(complete, is_filled(batch[column]))
    return complete


# Each metric that is a share of awards, with what it asks of an award and the columns that it looks at.
QUESTIONS: Mapping[str, tuple[Answer, tuple[str, ...]]] = {
    "match_rate": (_equals("decision", "accept"), ("decision",)),
    "review_share": (_equals("decision", "review"), ("decision",)),
    "reject_share": (_equals("decision", "reject"), ("decision",)),
    "required_complete_share": (_is_complete, REQUIRED),
    "duplicate_share": (lambda batch: pc.fill_null(batch["is_duplicate"], False), ("is_duplicate",)),
    "identifier_coverage": (
        lambda batch: pc.or_(pc.is_valid(batch["uei"]), pc.is_valid(batch["duns"])),
        ("uei", "duns"),
    ),
}


def failing_rows(batch: pa.RecordBatch, gate: Gate, part: str) -> pa.Array | None:
    """Tell which awards speak against a gate in the slice that failed.

    Parameters
    ----------
    batch
        Enriched awards, with all their columns.
    gate
        The gate; where it asks for a high share these are the awards that don't count for it.
    part
        The failing slice: 'all', or 'column=value' with a column of the awards.

    Returns
    -------
    pyarrow.BooleanArray or None
        None when the metric isn't a share of awards, or the slice isn't one by a column of theirs.
    """
    if gate.metric not in QUESTIONS:
        return None
    answer, _ = QUESTIONS[gate.metric]
    column, _, value = part.partition("=")
    if part == "all":
        chosen = pa.array(np.ones(batch.num_rows, dtype=bool))
    elif gate.metric == "required_complete_share" and column == "column" and value in batch.schema.names:
        return pc.invert(is_filled(batch[value]))
    elif gate.metric == "identifier_coverage" and column == "identifier":
        return pc.is_null(batch[value])
    elif column in batch.schema.names:
        values = batch[column].cast(pa.string())
        chosen = pc.is_null(values) if value == BLANK else pc.fill_null(pc.equal(values, value), False)
    else:
        return None
    counted = answer(batch)
    return pc.and_(chosen, counted if _asks_for_little(gate) else pc.invert(counted))


def _asks_for_little(gate: Gate) -> bool:
    if gate.fail_below is not None or gate.fail_above is not None:
        return gate.fail_below is None
    return gate.history is not None and gate.history.direction == "rise"
