"""Small stored tables with known answers, for the tests of quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from sbir_toolkit.tables import METRICS, Table

AWARD = {
    "company": "ACME INC",
    "agency": "Department of Energy",
    "award_year": 2020,
    "award_usd": 100.0,
    "phase": "Phase I",
    "program": "SBIR",
    "state": "MA",
    "uei": None,
    "duns": None,
    "is_duplicate": False,
    "decision": "reject",
    "tier": None,
    "match_probability": None,
}
ACCEPTED = {"decision": "accept", "tier": "uei", "match_probability": 0.99}


def store(folder: Path, table: Table, rows: list[dict[str, Any]], row_group_size: int = 1_000) -> Path:
    """Store rows as a table of the contract; columns that aren't given are null."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in table.names}
    )
    path = folder / f"{table.name}.parquet"
    pq.write_table(table.arrow(frame), path, row_group_size=row_group_size)
    return path


def award(**values: Any) -> dict[str, Any]:
    """Give one enriched award's row."""
    return {**AWARD, **values}


def metric_rows(*rows: tuple[str, str, float, float, float]) -> pd.DataFrame:
    """Give a table of metrics from (metric, slice, value, numerator, denominator)."""
    columns = ["metric", "slice", "value", "numerator", "denominator"]
    frame = pd.DataFrame(rows, columns=columns).assign(low=float("nan"), high=float("nan"), unit="share")
    return frame[METRICS.names]
