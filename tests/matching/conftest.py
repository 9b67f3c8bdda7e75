"""A handful of recipients and companies with a known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit.matching import RecipientIndex, build_index
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import COMPANIES, RECIPIENTS, Table

Make = Callable[[Sequence[dict[str, object]]], RecipientIndex]


def make_frame(table: Table, rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Fill what the rows leave out with nulls, and number them."""
    key = table.key[0]
    filled = [
        {name: row.get(name) for name in table.names} | {key: row.get(key, f"{key}-{at}")}
        for at, row in enumerate(rows)
    ]
    frame = pd.DataFrame(filled, columns=table.names)
    return frame.astype({column.name: "str" for column in table.columns if column.dtype == "string"})


def make_companies(*rows: dict[str, object]) -> pd.DataFrame:
    """Make a frame of companies."""
    return make_frame(COMPANIES, [{"awards": 1} | row for row in rows])


@pytest.fixture
def make_index(tmp_path: Path) -> Make:
    """Give a function that builds an index of recipients."""
    count = 0

    def make(rows: Sequence[dict[str, object]]) -> RecipientIndex:
        nonlocal count
        count += 1
        path = tmp_path / f"recipients-{count}.parquet"
        write_parquet(path, RECIPIENTS.arrow(make_frame(RECIPIENTS, rows)))
        return build_index(path, tmp_path / f"index-{count}", Matching())

    return make
