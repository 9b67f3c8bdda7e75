"""Writing small input files in the official form."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

AWARD_HEADER = [
    *("Company", "Award Title", "Agency", "Branch", "Phase", "Program", "Agency Tracking Number", "Contract"),
    *("Proposal Award Date", "Contract End Date", "Solicitation Number", "Solicitation Year"),
    *("Solicitation Close Date", "Proposal Receipt Date", "Date of Notification", "Topic Code", "Award Year"),
    *(
        "Award Amount",
        "UEI",
        "Duns",
        "HUBZone Owned",
        "Socially and Economically Disadvantaged",
        "Woman Owned",
    ),
    *("Number Employees", "Company Website", "Address1", "Address2", "City", "State", "Zip", "Abstract"),
    *("Contact Name", "Contact Title", "Contact Phone", "Contact Email", "PI Name", "PI Title", "PI Phone"),
    *("PI Email", "RI Name", "RI POC Name", "RI POC Phone"),
]
AWARD = {
    "Company": "Acme Inc.",
    "Agency": "Department of Energy",
    "Award Year": "2016",
    "Award Title": "A laser",
}

WriteAwards = Callable[..., Path]


@pytest.fixture
def write_awards(tmp_path: Path) -> WriteAwards:
    """Give a function that writes awards, each a change of `AWARD`, into a CSV file."""

    def write(*changes: dict[str, str], header: list[str] = AWARD_HEADER, line_end: str = "\n") -> Path:
        path = tmp_path / "award_data.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator=line_end)
            writer.writerow(header)
            for change in changes:
                award = {**AWARD, **change}
                writer.writerow([award.get(column, "") for column in header])
        return path

    return write


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[bytes | str], Path]:
    """Give a function that writes bytes or text into a file."""

    def write(content: bytes | str, name: str = "input.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
