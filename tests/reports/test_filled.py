"""Counting what is filled agrees with counting by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit import count_filled


def test_counts_are_those_of_the_table(tmp_path: Path) -> None:
    """Rows and filled cells by source, the largest source first; a missing source is 'not said'."""
    table = pa.table({"source": ["a", "b", "b", None], "uei": ["u", None, "v", None], "zip5": [None] * 4})
    pq.write_table(
        table.cast(pa.schema([(name, pa.string()) for name in table.column_names])), tmp_path / "t"
    )
    counted = count_filled(tmp_path / "t", by="source")
    expected = pd.DataFrame(
        {"source": ["b", "a", "not said"], "rows": [2, 1, 1], "uei": [1, 1, 0], "zip5": [0, 0, 0]}
    )
    pd.testing.assert_frame_equal(counted, expected, check_dtype=False)
    only = count_filled(tmp_path / "t", by="source", columns=["uei"])
    pd.testing.assert_frame_equal(only, expected.drop(columns="zip5"), check_dtype=False)


def test_no_rows_is_an_empty_count(tmp_path: Path) -> None:
    """A table without rows has the same columns and no lines."""
    pq.write_table(
        pa.table({"source": pa.array([], pa.string()), "uei": pa.array([], pa.string())}), tmp_path / "t"
    )
    counted = count_filled(tmp_path / "t", by="source")
    assert counted.columns.tolist() == ["source", "rows", "uei"]
    assert counted.empty
