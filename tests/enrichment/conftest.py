"""Small awards and recipients with a known truth."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sbir_toolkit.params import Params
from sbir_toolkit.tables import AWARDS, RECIPIENTS, Table

WORDS = (
    "ALPHA",
    "BOREALIS",
    "CENTAURI",
    "DYNAMO",
    "ECLIPSE",
    "FALCON",
    "GRANITE",
    "HELIX",
    "IONWORKS",
    "JUNIPER",
)


def make_table(contract: Table, rows: list[dict[str, object]]) -> pd.DataFrame:
    """Fill a contract's columns with the given values and null elsewhere."""
    frame = pd.DataFrame(rows, dtype=object)
    return frame.reindex(columns=contract.names)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Awards and recipients as stored by the readers; company i is recipient i."""
    folder = tmp_path_factory.mktemp("stored")
    names = [f"{first} {second} RESEARCH" for first in WORDS for second in WORDS if first != second]
    recipients = [
        {
            "recipient_id": f"r{i:03d}",
            "recipient_name": f"{name}, INC.",
            "duns": f"{i + 100_000_001:09d}",
            "address1": f"{i} MAIN ST",
            "city": "AUSTIN",
            "state": "TX",
            "zip5": f"787{i:02d}",
            "country": "USA",
            "source": "test",
        }
        for i, name in enumerate(names)
    ]
    awards = [
        {
            "award_id": f"a{number:04d}",
            "source_row": number + 1,
            "source_line": number + 2,
            "company": f"{names[i].title()} Inc",
            "title": f"Project {number}",
            "agency": "Department of Energy",
            "award_year": 2000 + number % 20,
            "award_usd": 1000.0 * number,
            "duns": f"{i + 100_000_001:09d}" if i % 3 == 0 else None,
            "address1": f"{i} Main St",
            "city": "Austin",
            "state": "TX",
            "zip5": f"787{i:02d}",
            "is_duplicate": False,
        }
        for number, i in enumerate((number * 7) % len(names) for number in range(400))
    ]
    for contract, rows in ((AWARDS, awards), (RECIPIENTS, recipients)):
        pq.write_table(contract.arrow(make_table(contract, rows)), folder / f"{contract.name}.parquet")
    return folder / "awards.parquet", folder / "recipients.parquet"


@pytest.fixture
def params() -> Params:
    return Params.model_validate(
        {"compute": {"chunk_companies": 10, "workers": 2}, "limits": {"read_rows": 64}}
    )
