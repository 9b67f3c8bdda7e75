"""Finding columns by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbir_toolkit import tables
from sbir_toolkit.errors import InputError, ParameterError
from sbir_toolkit.params import Source
from sbir_toolkit.sources import read_awards
from sbir_toolkit.sources.formats import AWARD_FORMAT, RECIPIENT_FORMAT, find_columns, plain_name
from tests.sources.conftest import AWARD_HEADER

PATH = Path("file.csv")


@pytest.mark.parametrize("form", [AWARD_FORMAT, RECIPIENT_FORMAT])
def test_aliases_are_plain_and_mean_one_column(form) -> None:
    """Every alias is in plain spelling, and none stands for two columns."""
    names = [name for aliases in form.aliases.values() for name in aliases]
    assert names == [plain_name(name) for name in names]
    assert len(names) == len(set(names))
    contract = tables.AWARDS if form is AWARD_FORMAT else tables.RECIPIENTS
    assert set(form.aliases) <= set(contract.names)


@pytest.mark.parametrize("form", [AWARD_FORMAT, RECIPIENT_FORMAT])
def test_our_own_tables_can_be_read_again(form) -> None:
    """The names of the stored columns are known too."""
    assert set(find_columns(list(form.aliases), form, PATH).positions) == set(form.aliases)


def test_official_header_is_found_whole() -> None:
    """Of the 42 columns all but the personal ones are used."""
    layout = find_columns(AWARD_HEADER, AWARD_FORMAT, PATH)
    assert len(layout.positions) == 32
    (left_out,) = layout.assumptions
    assert left_out.startswith("columns about persons")


def test_the_preferred_name_wins() -> None:
    """Where a file has two columns for one of ours, the first known name is used and the other one named."""
    layout = find_columns(["name", "zip", "zip5"], RECIPIENT_FORMAT, PATH)
    assert layout.positions["zip5"] == 2
    assert layout.assumptions[-1] == "columns not known, ignored: zip"


def test_unused_columns_may_repeat() -> None:
    """Only a column that is used must not stand there twice."""
    header = ["Company", "Agency", "Award Year", "Note", "Note"]
    assert set(find_columns(header, AWARD_FORMAT, PATH).positions) == {"company", "agency", "award_year"}
    with pytest.raises(InputError, match="column 2 and 4"):
        find_columns([*header[:3], "AGENCY"], AWARD_FORMAT, PATH)


def test_the_parameters_can_name_the_columns(tmp_path: Path) -> None:
    """A name in the parameters goes before the known ones; several are tried; a wrong one is refused."""
    (tmp_path / "a.csv").write_text("Firma,Behörde,Jahr,agency\nA,NSF,2020,NASA\n", "utf-8")
    columns = {"company": "Firma", "agency": ["Amt", "Behörde"], "award_year": "JAHR"}
    frame, _ = read_awards(tmp_path / "a.csv", Source(columns=columns))
    found = frame[["company", "agency", "award_year"]].to_numpy().tolist()
    assert found == [["A", "National Science Foundation", 2020]]
    with pytest.raises(InputError, match="no column that the parameters name for city"):
        read_awards(tmp_path / "a.csv", Source(columns={**columns, "city": "Ort"}))
    told = r"-p 'awards\.columns=\{company: NAME, award_year: NAME\}', with names of Firma, Behörde, Jahr "
    with pytest.raises(InputError, match=told):
        read_awards(tmp_path / "a.csv", Source())
    with pytest.raises(ParameterError, match="SBIR awards have no column 'winner'"):
        read_awards(tmp_path / "a.csv", Source(columns={"winner": "Firma"}))
