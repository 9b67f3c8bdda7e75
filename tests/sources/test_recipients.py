"""Recipients read from small files whose contents are known."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sbir_toolkit import tables
from sbir_toolkit.errors import InputError
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import load_recipients, read_recipients, stream_recipients

HEADER = (
    "recipient_hash,legal_business_name,uei,duns,parent_uei,parent_legal_business_name,address_line_1,city,state,"
    "zip5,country_code,cage,alternate_names,naics_code,business_types,actions,sbir_actions,agencies,"
    "obligated_usd,obligated_usd_by_year,source\n"
)
Write = Callable[..., Path]


def test_recipient_keeps_its_contract(write_file: Write, tmp_path: Path) -> None:
    """A full row is read into the promised columns."""
    path = write_file(
        HEADER
        + "h1,ACME &amp; CO,N4YFFGL4CDX5,79179794,VN1AJFAD19J9,PARENT INC,1 MAIN ST,BOSTON,Massachusetts,"
        '2139,USA,3kht9,"{""A, B"",C}",541715,"{2X,MF}",3,0,2,12.5,2023=12.50,sam\n'
    )
    loaded = load_recipients(path, tmp_path / "out", Limits())
    stored = pq.read_table(loaded.paths["recipients"])
    assert stored.schema.equals(tables.RECIPIENTS.arrow_schema)
    assert list(stored.to_pylist()[0].values()) == [
        *("h1", "ACME & CO", "N4YFFGL4CDX5", "079179794", "3KHT9", "VN1AJFAD19J9", "PARENT INC", "1 MAIN ST"),
        *("BOSTON", "MA", "02139", "USA", "A, B|C", "541715", "2X|MF"),
        *(3, 0, 2, 12.5, "2023=12.50", "sam"),
    ]
    frame, rejects = read_recipients(path)
    tables.RECIPIENTS.check(frame)
    tables.RECIPIENT_REJECTS.check(rejects)
    assert tables.RECIPIENTS.arrow(frame).equals(stored)


def test_missing_hashes_follow_the_rule_of_usaspending(write_file: Write) -> None:
    """A missing hash is the MD5 of the upper-case UEI, else DUNS, else name, with its kind before it."""
    path = write_file("name,uei,duns\nA,C111ATT311C8,859244204\nB,,859244204\nc & d,bad,\n")
    frame, _ = read_recipients(path)
    keys = ["UEI-C111ATT311C8", "DUNS-859244204", "NAME-C & D"]
    digests = [hashlib.md5(key.encode()).hexdigest() for key in keys]
    assert frame["recipient_id"].tolist() == [str(uuid.UUID(digest)) for digest in digests]
    assert frame["recipient_id"][0] == "43a4cc43-3a3b-c033-35bf-48f3179c40a2"


def test_repeats_blanks_and_nobodies_are_rejected(write_file: Write, tmp_path: Path) -> None:
    """The first of each id is kept; rows without a name or without anybody behind it go to the rejects."""
    path = write_file(
        "recipient_hash,legal_business_name,uei\na,A,\nb,,\na,Again,\nc,Redacted due to PII,\n"
        "d,MULTIPLE RECIPIENTS,N4YFFGL4CDX5\n"
    )
    loaded = load_recipients(path, tmp_path / "out", Limits(read_rows=1))
    assert loaded.rejected == {
        "blank name": 1,
        "recipient_id repeats an earlier one": 1,
        "stands for nobody in particular and has no identifier": 1,
    }
    assert pq.read_table(loaded.paths["recipients"])["recipient_id"].to_pylist() == ["a", "d"]
    rejects = pq.read_table(loaded.paths["recipient_rejects"]).to_pylist()
    assert [(bad["source_row"], bad["source_line"], bad["raw"]) for bad in rejects] == [
        (2, 3, "b,,"),
        (3, 4, "a,Again,"),
        (4, 5, "c,Redacted due to PII,"),
    ]


def test_a_name_is_enough(write_file: Write) -> None:
    """A file of names alone is read, also with blank lines in it."""
    frame, _ = read_recipients(write_file("name\nA\n\nB\n"))
    assert frame["recipient_name"].tolist() == ["A", "B"]


def test_parquet_gives_what_csv_gives(write_file: Write, tmp_path: Path) -> None:
    """The same rows as Parquet, with numbers as numbers and lists as lists, give the same table."""
    csv_path = write_file("name,duns,zip5,alternate_names\nA,12345678,2139,X|Y\n,1,,\nB,,,\n")
    path = tmp_path / "recipients.parquet"
    columns = {
        "name": ["A", None, "B"],
        "duns": pa.array([12345678, 1, None], pa.int64()),
        "zip5": pa.array([2139.0, None, None], pa.float64()),
        "alternate_names": pa.array([["X", "Y"], None, None], pa.list_(pa.string())),
        "odd": pa.array([{"a": 1}, None, None]),
    }
    pq.write_table(pa.table(columns), path)
    frame, rejects = read_recipients(path)
    pd.testing.assert_frame_equal(frame, read_recipients(csv_path)[0])
    assert rejects[["source_row", "reason"]].to_numpy().tolist() == [[2, "blank name"]]


def test_damaged_parquet_is_an_input_error(write_file: Write, tmp_path: Path) -> None:
    """A Parquet file that is cut off, or whose name column is no text, is refused in plain words."""
    path = tmp_path / "recipients.parquet"
    pq.write_table(pa.table({"name": ["A"] * 100}), path)
    with pytest.raises(InputError, match="damaged"):
        read_recipients(write_file(path.read_bytes()[:-20], "cut.parquet"))
    pq.write_table(pa.table({"name": [{"a": 1}]}), path)
    with pytest.raises(InputError, match="can't be read as text"):
        read_recipients(path)
    pq.write_table(pa.table({"city": ["A"]}), path)
    with pytest.raises(InputError, match="no column for legal business name"):
        read_recipients(path)


def test_streaming_gives_what_loading_stores(write_file: Write, tmp_path: Path) -> None:
    """Read piece by piece the rows, the rejects and the counts are the same as when they are stored."""
    path = write_file("legal_business_name\nACME\n\nMULTIPLE RECIPIENTS\nBETA LLC\nACME\n")
    loaded = load_recipients(path, tmp_path / "loaded", Limits())
    reading = stream_recipients(path, tmp_path / "streamed", Limits())
    assert pa.concat_tables(reading).equals(pq.read_table(loaded.paths["recipients"]))
    streamed = reading.finish()
    assert repr(streamed) == repr(reading.finish()) == repr(loaded)
    rejects = [one.paths["recipient_rejects"].read_bytes() for one in (loaded, streamed)]
    assert rejects[0] == rejects[1]
