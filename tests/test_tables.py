"""Contracts catch what breaks them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.errors import ContractError
from sbir_toolkit.tables import RECOMMENDATIONS, TABLES
from sbir_toolkit.tables.uniqueness import are_distinct, mix_texts


@pytest.fixture
def good() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rank": [1, 2],
            "change": ["a", "b"],
            "where": ["x", "y"],
            "saved_s": [2.0, 1.0],
            "saved_share": [0.2, 0.1],
            "evidence": ["e", "f"],
            "confidence": ["high", "low"],
        }
    )


def store(frame: pd.DataFrame, path: Path) -> Path:
    pq.write_table(RECOMMENDATIONS.arrow(frame), path)
    return path


def test_good_frame_passes_and_counts(good: pd.DataFrame, tmp_path: Path) -> None:
    """A frame that keeps its contract comes back, and its file has as many rows."""
    assert RECOMMENDATIONS.check(good) is good
    assert RECOMMENDATIONS.check_file(store(good, tmp_path / "t.parquet")) == 2


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("saved_share", 1.5, "saved_share"),
        ("confidence", "sure", "confidence"),
        ("change", None, "change"),
        ("rank", 2, "isn't unique"),
    ],
)
def test_broken_values_are_named_with_their_rows(
    good: pd.DataFrame, tmp_path: Path, column: str, value: object, said: str
) -> None:
    """Out of range, an unknown code, missing, a repeated key: each is refused, in memory and stored."""
    bad = good.astype(object)
    bad.loc[0, column] = value
    bad = bad.astype({"rank": "int64", "saved_s": "float64", "saved_share": "float64"})
    with pytest.raises(ContractError, match=said) as caught:
        RECOMMENDATIONS.check(bad)
    assert caught.value.rows is not None and len(caught.value.rows) >= 1
    with pytest.raises(ContractError, match=said):
        RECOMMENDATIONS.check_file(store(bad, tmp_path / "t.parquet"))


def test_wrong_columns_and_types_are_refused(good: pd.DataFrame, tmp_path: Path) -> None:
    """A missing column, a type that doesn't fit, a file with another schema or no table at all."""
    with pytest.raises(ContractError, match="wrong columns"):
        RECOMMENDATIONS.check(good.drop(columns="where"))
    with pytest.raises(ContractError, match="wrong type"):
        RECOMMENDATIONS.check(good.assign(saved_s="much"))
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"rank": [1]}), path)
    with pytest.raises(ContractError, match="wrong schema"):
        RECOMMENDATIONS.check_file(path)
    path.write_bytes(b"not a table")
    with pytest.raises(ContractError, match="can't be read"):
        RECOMMENDATIONS.check_file(path)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_an_empty_table_keeps_every_contract(name: str, tmp_path: Path) -> None:
    """No rows is a legal table of each kind."""
    path = tmp_path / f"{name}.parquet"
    pq.write_table(TABLES[name].arrow_schema.empty_table(), path)
    assert TABLES[name].check_file(path) == 0


@given(st.lists(st.lists(st.text("ab\u00e9", min_size=1, max_size=3), max_size=6), min_size=1, max_size=4))
def test_mixes_tell_texts_apart_exactly(texts: list[list[str]]) -> None:
    """Whatever the chunks and slices, distinct mixes mean distinct texts, and repeated texts are seen."""
    chunks = [pa.array(["cut off", *part], pa.string()).slice(1) for part in texts]
    whole = [text for part in texts for text in part]
    parts = [mix_texts(pa.chunked_array([chunk], pa.string())) for chunk in chunks if len(chunk)]
    same_length = all(len({len(text.encode()) for text in part}) == 1 for part in texts if part)
    assert all(part is not None for part in parts) == same_length
    assert are_distinct(parts) == (same_length and len(set(whole)) == len(whole))
