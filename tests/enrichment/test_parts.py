"""What parts hold of companies is found and put together, however it is spread over them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.enrichment.journal import Commit, Journal
from sbir_toolkit.enrichment.parts import KEY, Piece, find_known, gather
from sbir_toolkit.errors import ContractError
from sbir_toolkit.storage import digest_file, write_parquet

COLUMNS = ["company_id", "said"]


def commit(journal: Journal, name: str, ids: list[str], plan: str = "p", **rejected: str) -> None:
    """Commit a part that says of each company by which part it is told."""
    said = [f"{one} by {name}" for one in ids]
    keys = [f"{one} key" for one in ids]
    write_parquet(journal.part(name), pa.table({"company_id": ids, "said": said, KEY: keys}))
    digest = digest_file(journal.part(name))
    journal.commit(Commit(name, len(ids), digest, 0.0, 0.0, "w", plan=plan, rejected=rejected))


def find(journal: Journal, ids: list[str], plan: str = "p") -> list[Piece]:
    return find_known(journal, pa.array([f"{one} key" for one in ids], pa.string()), plan)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True, min_size=1), max_size=5),
    st.lists(st.sampled_from("abcdefghij"), unique=True),
    st.integers(1, 4),
)
def test_each_company_is_taken_from_the_first_part_that_holds_it(
    held: list[list[str]], asked: list[str], at_once: int
) -> None:
    """In the order asked for, whatever else the parts hold, and however much is read at once."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        for number, ids in enumerate(held):
            commit(journal, str(number), ids)
        pieces = find(journal, asked)
        first = {one: number for number, ids in reversed([*enumerate(held)]) for one in ids}
        places = np.concatenate([np.zeros(0, np.int64), *(piece.places for piece in pieces)])
        assert sorted(asked[at] for at in places) == sorted(one for one in asked if one in first)
        known = [one for one in asked if one in first]
        found = list(gather(find(journal, known), pa.array(known, pa.string()), COLUMNS, at_once))
        told = [text for table in found for text in table["said"].to_pylist()]
        assert told == [f"{one} by {first[one]}" for one in known]
        assert all(table.num_rows <= at_once for table in found)


def test_a_company_lost_or_doubled_is_noticed(tmp_path: Path) -> None:
    """Pieces that leave one out, or hold one twice, aren't put together."""
    journal = Journal(tmp_path)
    commit(journal, "x", ["a", "b", "c"])
    (piece,) = find(journal, ["a", "b", "c"])
    ids = pa.array(["a", "b", "c"])
    rows = np.array([0, 2])
    for pieces in (
        [Piece(piece.part, "", rows, rows, {})],
        [piece, Piece(piece.part, "", rows, rows, {})],
        [],
    ):
        with pytest.raises(ContractError, match="lost or doubled"):
            list(gather(pieces, ids, COLUMNS, 10))


def test_who_was_rejected_is_tried_again_under_another_plan(tmp_path: Path) -> None:
    """Going on with a plan they stay rejected; another file, or chunks of another size, gives a chance."""
    journal = Journal(tmp_path)
    commit(journal, "x", ["a", "b", "c"], plan="p", b="kills")
    (same,) = find(journal, ["a", "b", "c"], plan="p")
    assert same.places.tolist() == [0, 1, 2]
    assert same.rejected == {"b": "kills"}
    (other,) = find(journal, ["a", "b", "c"], plan="q")
    assert other.places.tolist() == [0, 2]
    assert other.rejected == {}
    commit(journal, "y", ["b"], plan="q")
    assert [piece.rejected for piece in find(journal, ["a", "b", "c"], plan="q")] == [{}, {}]
    assert pq.read_table(find(journal, ["b"], plan="q")[0].part)["said"].to_pylist() == ["b by y"]
