"""Columns that grow piece by piece are the files that writing the whole would have given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.columns import Columns, read_column


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("columns")


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=20), min_size=1, max_size=6))
def test_pieces_give_the_file_of_the_whole(folder: Path, pieces: list[list[int]]) -> None:
    """However it is cut, a column has the bytes of `numpy.save`, and reads as the whole."""
    whole = np.concatenate([np.array(piece, np.uint32) for piece in pieces])
    with Columns(folder) as columns:
        for piece in pieces:
            columns.add(cut=np.array(piece, np.uint32))
    np.save(folder / "whole.npy", whole)
    assert (folder / "cut.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    assert read_column(folder / "cut.npy").tolist() == whole.tolist()


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=5))
def test_starts_say_where_each_run_begins_and_the_last_ends(folder: Path, pieces: list[list[int]]) -> None:
    """Counts that come in pieces give the starts of the whole."""
    with Columns(folder) as columns:
        columns.add_starts("starts", np.zeros(0, np.int64), np.uint32)
        for piece in pieces:
            columns.add_starts("starts", np.array(piece, np.int64), np.uint32)
    counts = [count for piece in pieces for count in piece]
    assert read_column(folder / "starts.npy").tolist() == [0, *np.cumsum(counts).tolist()]
