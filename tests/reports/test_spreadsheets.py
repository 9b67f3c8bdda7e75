"""A review list opens in a spreadsheet as what it is: text as text, no formula, nothing lost."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from openpyxl import load_workbook

from sbir_toolkit import write_review
from sbir_toolkit.enrichment.overrides import read_overrides
from sbir_toolkit.tables import REVIEW_CANDIDATES

ID = "0123456789abcdef"


def question(**values: object) -> dict[str, object]:
    known: dict[str, object] = {
        "company_id": ID,
        "company": "Quantum Harbor",
        "awards": 3,
        "awards_usd": 1500.5,
        "recipient_id": "000123",
        "recipient_name": "QUANTUM HARBOR INC",
        "recipient_duns": "012345678",
        "match_probability": 0.5,
        "spellings": f"Quantum Harbor | 1 Main St | Boise | ID | 83702 |  |  | {ID}",
    }
    return dict.fromkeys(REVIEW_CANDIDATES.names) | known | values


def questions(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=REVIEW_CANDIDATES.names)


@pytest.mark.parametrize("name", ["=CMD|' /C calc'!A0", "+1 Labs", "-X-", "@Home", "'Ohana Inc", "plain"])
def test_names_never_become_formulas(tmp_path: Path, name: str) -> None:
    """In the workbook such a name is a text cell, in the CSV file an apostrophe stands before it."""
    files = write_review(questions(question(company=name)), tmp_path)
    page = load_workbook(files.xlsx)["review"]
    cells = {head.value: cell for head, cell in zip(page[1], page[2], strict=True)}
    assert (cells["company"].value, cells["company"].data_type) == (name, "s")
    with files.csv.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["company"] == (name if name == "plain" else f"'{name}")
    assert row["recipient_duns"] == "012345678"


def test_the_workbook_is_ready_to_fill_in(tmp_path: Path) -> None:
    """Header and firm stay in sight, decisions can be chosen, a DUNS keeps its zeros, numbers are numbers."""
    files = write_review(questions(question(), question()), tmp_path)
    page = load_workbook(files.xlsx)["review"]
    assert [cell.value for cell in page[1]][:4] == ["decision", "who", "why", "company"]
    assert page.freeze_panes == "E2"
    (choice,) = page.data_validations.dataValidation
    assert (choice.formula1, str(choice.sqref)) == ('"same,different"', "A2:A3")
    cells = {head.value: cell for head, cell in zip(page[1], page[2], strict=True)}
    assert (cells["recipient_duns"].value, cells["recipient_duns"].number_format) == ("012345678", "@")
    assert (cells["awards"].value, cells["awards_usd"].value) == (3, 1500.5)
    assert all(page.column_dimensions[letter].width > 10 for letter in "ABCDE")
    assert "2 question(s)" in repr(files) and 'href="review.xlsx"' in files._repr_html_()


def test_the_same_questions_give_the_same_bytes(tmp_path: Path) -> None:
    """Neither file says when it was made."""
    one, other = (write_review(questions(question()), tmp_path / name) for name in "ab")
    assert one.xlsx.read_bytes() == other.xlsx.read_bytes()
    assert one.csv.read_bytes() == other.csv.read_bytes()


def test_control_characters_are_left_out(tmp_path: Path) -> None:
    """A name with one, which no workbook can hold, is written all the same."""
    files = write_review(questions(question(company="Old\x0bCo")), tmp_path)
    assert load_workbook(files.xlsx)["review"]["D2"].value == "Old Co"


def test_no_questions_make_a_list_too(tmp_path: Path) -> None:
    """An empty list has its header and can be read back."""
    files = write_review(questions(), tmp_path)
    assert read_overrides(files.xlsx) == read_overrides(files.csv) == []


names = some.text(some.characters(min_codepoint=32, max_codepoint=0x24F), min_size=1).filter(str.strip)


@settings(max_examples=30)
@given(name=names, why=names)
def test_what_is_written_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, name: str, why: str
) -> None:
    """A firm's fields, its ids and the person's words come back, but for blanks and apostrophes in front."""
    files = write_review(questions(question(company=name)), tmp_path_factory.mktemp("sheet"))
    table = pd.read_csv(files.csv, dtype=str, keep_default_na=False)
    table.loc[0, ["decision", "who", "why"]] = ["Same", "Ann", f"so: {why}"]
    table.to_csv(files.csv, index=False)
    (one,) = read_overrides(files.csv)
    assert (one.decision, one.who, one.why) == ("same", "Ann", f"so: {why}".strip())
    assert one.recipient == ("000123", "", "012345678")
    assert (one.spellings[0].company_id, one.spellings[0].state) == (ID, "ID")
    assert one.company.strip("' ") == name.strip().strip("' ")
