"""Awards read from small files whose contents are known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sbir_toolkit import tables
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import load_awards, read_awards
from tests.sources.conftest import AWARD_HEADER, WriteAwards


def test_award_keeps_its_contract(write_awards: WriteAwards, tmp_path: Path) -> None:
    """What is written has the promised columns, types, bounds and key."""
    path = write_awards({}, {"Award Amount": "$1,000.50"}, {"Company": "Other LLC"}, {})
    loaded = load_awards(path, tmp_path / "out", Limits())
    stored = pq.read_table(loaded.paths["awards"])
    assert stored.schema.equals(tables.AWARDS.arrow_schema)
    tables.AWARDS.check(stored.to_pandas())
    frame, rejects = read_awards(path)
    tables.AWARDS.check(frame)
    tables.AWARD_REJECTS.check(rejects)
    assert tables.AWARDS.arrow(frame).equals(stored)


def test_values_are_read_into_types(write_awards: WriteAwards) -> None:
    """Each column of one full award is read as it should be."""
    path = write_awards(
        {
            "Company": " Smith &amp; Sons,  Inc. ",
            "Award Title": "FTL&#039;s laser",
            "Phase": "Phase I",
            "Proposal Award Date": "07-31-2017",
            "Contract End Date": "July 31, 2018",
            "Solicitation Close Date": "02/30/2017",
            "Solicitation Year": "2016.0",
            "Award Amount": "'139,882'",
            "UEI": "n4yffgl4cdx5",
            "Duns": "'79179794'",
            "HUBZone Owned": "Y",
            "Woman Owned": "N",
            "Socially and Economically Disadvantaged": "Unavailable",
            "Number Employees": "34.0",
            "State": "Puerto Rico",
            "Zip": "00901-1234",
            "Branch": "N/A",
            "Abstract": 'One\nTwo, "quoted"',
            "PI Name": "Somebody",
        }
    )
    frame, rejects = read_awards(path)
    award = frame.iloc[0]
    assert award["company"] == "Smith & Sons,  Inc."
    assert award["title"] == "FTL's laser"
    assert award["award_date"] == pd.Timestamp(2017, 7, 31)
    assert award["contract_end_date"] == pd.Timestamp(2018, 7, 31)
    assert pd.isna(award["solicitation_close_date"])
    assert (award["solicitation_year"], award["award_year"]) == (2016, 2016)
    assert (award["award_usd"], award["employees"]) == (139_882.0, 34.0)
    assert (award["uei"], award["duns"]) == ("N4YFFGL4CDX5", "079179794")
    assert (award["is_hubzone"], award["is_woman_owned"]) == (True, False)
    assert pd.isna(award["is_disadvantaged"])
    assert (award["state"], award["zip5"]) == ("PR", "00901")
    assert pd.isna(award["branch"])
    assert award["abstract"] == 'One\nTwo, "quoted"'
    assert "Somebody" not in frame.to_string()
    assert len(rejects) == 0


def test_what_cannot_be_read_is_counted(write_awards: WriteAwards, tmp_path: Path) -> None:
    """An unreadable value becomes null, and its kind is counted."""
    path = write_awards(
        {"Award Amount": "about 5", "Proposal Award Date": "31/12/2017", "UEI": "N4YFFGL4CDX6"},
        {"Duns": "123456789", "Number Employees": "-3", "Woman Owned": "perhaps", "Solicitation Year": "17"},
        {"Zip": "K1A 0B1", "Company": "A &amp; B"},
    )
    assert load_awards(path, tmp_path / "out", Limits()).repaired == {
        "amount_unreadable": 1,
        "date_unreadable": 1,
        "duns_invalid": 1,
        "employees_unreadable": 1,
        "flag_unreadable": 1,
        "html_entity": 1,
        "uei_invalid": 1,
        "year_unreadable": 1,
        "zip_unreadable": 1,
    }


def test_rejects_say_where_and_why(write_awards: WriteAwards, tmp_path: Path) -> None:
    """A record that can't be used is kept raw with its place, the value at fault and the reason."""
    path = write_awards(
        {"Abstract": "three\nlines\nlong"},
        {"Company": " N/A "},
        {"Award Year": "soon"},
        {"Award Year": ""},
        {"Agency": "-"},
    )
    with path.open("a", encoding="utf-8") as file:
        file.write("too,few,fields\n" + ",".join(["x"] * 43) + "\n")
    loaded = load_awards(path, tmp_path / "out", Limits())
    assert loaded.records_read == 7
    assert loaded.rows == 1
    rejects = pq.read_table(loaded.paths["award_rejects"]).to_pylist()
    assert [
        (bad["source_row"], bad["source_line"], bad["column"], bad["value"], bad["reason"]) for bad in rejects
    ] == [
        (2, 5, "company", " N/A ", "blank company"),
        (3, 6, "award_year", "soon", "unreadable award year"),
        (4, 7, "award_year", "", "blank award year"),
        (5, 8, "agency", "-", "blank agency"),
        (6, 9, None, "3 fields", "wrong number of fields"),
        (7, 10, None, "43 fields", "wrong number of fields"),
    ]
    assert rejects[4]["raw"] == "too,few,fields"
    assert rejects[0]["raw"].startswith(" N/A ,A laser,Department of Energy,")
    assert sum(loaded.rejected.values()) == 6


def test_lines_are_physical_and_rows_are_records(write_awards: WriteAwards) -> None:
    """A record's line counts the line breaks inside the records before it; its row doesn't."""
    frame, _ = read_awards(
        write_awards({"Abstract": "a\nb\nc"}, {}, {"Abstract": "d\r\ne"}, {}, line_end="\r\n")
    )
    assert frame["source_row"].tolist() == [1, 2, 3, 4]
    assert frame["source_line"].tolist() == [2, 5, 6, 8]


def test_ids_are_stable_and_numbered(write_awards: WriteAwards) -> None:
    """An id depends on the award alone, not on its place, abstract or edition; repeats are numbered."""
    changes = [{}, {"Company": "Other"}, {"Abstract": "new"}, {}]
    ids = read_awards(write_awards(*changes))[0]["award_id"].tolist()
    assert ids == ["9cc41d5158d1475a", ids[1], "9cc41d5158d1475a-2", "9cc41d5158d1475a-3"]
    assert len(set(ids)) == 4
    short = [name for name in AWARD_HEADER if name not in {"Abstract", "UEI"}][::-1]
    assert read_awards(write_awards(*changes[:2], header=short))[0]["award_id"].tolist() == ids[:2]


def test_only_whole_repeats_are_duplicates(write_awards: WriteAwards) -> None:
    """A record is a duplicate when every field repeats an earlier record, also those that aren't kept."""
    frame, _ = read_awards(write_awards({}, {"Abstract": "x"}, {"PI Phone": "5"}, {}, {"PI Phone": "5"}))
    assert frame["is_duplicate"].tolist() == [False, False, False, True, True]


def test_editions_and_spellings_of_the_header(write_awards: WriteAwards) -> None:
    """Columns are found by name in any order, spelling and edition; a byte order mark doesn't matter."""
    legacy = [name.replace("Woman Owned", "Women Owned") for name in AWARD_HEADER if name != "UEI"]
    path = write_awards({"Women Owned": "Y"}, header=legacy)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    frame, _ = read_awards(path)
    assert frame["is_woman_owned"].tolist() == [True]
    assert frame["company"].tolist() == ["Acme Inc."]
    snake = ["agency", "award_year", "firm", "award_amount", "surprise"]
    path = write_awards(
        {"agency": "NASA", "award_year": "2020", "firm": "B", "award_amount": "5"}, header=snake
    )
    frame, _ = read_awards(path)
    nasa = "National Aeronautics and Space Administration"
    assert frame.loc[0, ["company", "agency", "award_usd"]].tolist() == ["B", nasa, 5.0]


def test_what_is_ignored_is_stated(write_awards: WriteAwards, tmp_path: Path) -> None:
    """Unknown, absent and personal columns are named in the assumptions."""
    path = write_awards({}, header=["Company", "Agency", "Award Year", "PI Name", "Surprise"])
    absent, personal, extra = load_awards(path, tmp_path / "out", Limits()).assumptions
    assert "abstract" in absent
    assert personal == "columns about persons, left out: PI Name"
    assert extra == "columns not known, ignored: Surprise"


def test_unwanted_columns_are_not_read(write_awards: WriteAwards, tmp_path: Path) -> None:
    """Who wants some columns gets these, and the same rejects; of the others nothing is parsed or counted."""
    path = write_awards(
        {"Award Amount": "much", "Company": "A &amp; B"}, {"Award Year": "soon"}, {"Abstract": "B &amp; C"}
    )
    whole = load_awards(path, tmp_path / "whole", Limits())
    wanted = ["award_id", "company", "award_year"]
    some = load_awards(path, tmp_path / "some", Limits(), columns=wanted)
    assert pq.read_table(some.paths["awards"]).equals(pq.read_table(whole.paths["awards"], columns=wanted))
    rejects = [pq.read_table(one.paths["award_rejects"]) for one in (some, whole)]
    assert rejects[0].equals(rejects[1])
    assert len(rejects[0]) == 1
    assert some.repaired == {"html_entity": 1}
    assert whole.repaired == {"html_entity": 2, "amount_unreadable": 1}
    assert some.assumptions == whole.assumptions


@pytest.mark.parametrize("limits", [Limits(read_rows=1), Limits(read_rows=7), Limits(memory_mb=256)])
def test_bytes_do_not_depend_on_the_blocks(write_awards: WriteAwards, tmp_path: Path, limits: Limits) -> None:
    """The tables' bytes are the same whatever is read at once, also with damaged records among them."""
    changes = [
        {"Award Title": f"Title {i % 40}", "Company": "" if i % 9 == 0 else f"C{i % 5}"} for i in range(100)
    ]
    path = write_awards(*changes)
    content = path.read_bytes().replace(b"Title 7,", b'Ti"tle 7,').replace(b"Title 8,", b"Caf\xe9,")
    path.write_bytes(content)
    whole = load_awards(path, tmp_path / "whole", Limits())
    parts = load_awards(path, tmp_path / "parts", limits)
    assert whole.records_read == 100
    assert (whole.rejected, whole.repaired) == (parts.rejected, parts.repaired)
    for name in ("awards", "award_rejects"):
        digests = {hashlib.sha256(loaded.paths[name].read_bytes()).hexdigest() for loaded in (whole, parts)}
        assert len(digests) == 1
