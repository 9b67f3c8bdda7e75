"""Recipients out of SAM.gov's extract, with everything that is wrong in the official file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbir_toolkit import write_synthetic
from sbir_toolkit.errors import InputError, ToolkitError
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import Loaded, load_recipients, read_awards, read_recipients
from sbir_toolkit.sources.synthetic import write_extract
from sbir_toolkit.sources.synthetic.recipients import SCHEMA

Write = Callable[..., Path]
VALUES = {
    1: "N4YFFGL4CDX5", 4: "3KHT9", 12: "ACME LASERS, INC.", 13: "ACME", 16: "1 MAIN ST", 18: "BOSTON",
    19: "MA", 20: "02139", 21: "1234", 22: "USA", 32: "2X~A2~XS", 33: "541715", 35: "541330Y~541715N~334413 ",
    47: "JANE", 49: "CONTACT", 142: "!end",
}  # fmt: skip


def record(**changes: str) -> str:
    """Write a record; `f13` is its 13th field."""
    fields = {**VALUES, **{int(name[1:]): value for name, value in changes.items()}}
    return "|".join(fields.get(number, "") for number in range(1, 143)) + "\n"


def extract(*records: str, count: int | None = None) -> bytes:
    note = f"PUBLIC V2 00000000 20260906 {len(records) if count is None else count:07} 0008331\n"
    return f"BOF {note}{''.join(records)}EOF {note}".encode()


def load(path: Path, tmp_path: Path) -> tuple[Loaded, pd.DataFrame]:
    loaded = load_recipients(path, tmp_path / "out", Limits(read_rows=2))
    return loaded, pd.read_parquet(loaded.paths["recipients"])


def test_a_registration_is_read_by_place(write_file: Write, tmp_path: Path) -> None:
    """Fields are found by their place; persons are left out; codes are taken out of their lists."""
    other = record(f1="VN1AJFAD19J9", f33="", f35="")
    loaded, frame = load(write_file(extract(record(), other), "sam.dat"), tmp_path)
    first = frame.iloc[0].dropna().to_dict()
    assert first.pop("recipient_id")
    assert first == {
        "recipient_name": "ACME LASERS, INC.",
        "uei": "N4YFFGL4CDX5",
        "cage": "3KHT9",
        "address1": "1 MAIN ST",
        "city": "BOSTON",
        "state": "MA",
        "zip5": "02139",
        "country": "USA",
        "alternate_names": "ACME",
        "naics": "541715|541330|334413",
        "business_types": "2X|A2|XS",
        "source": "sam",
    }
    assert pd.isna(frame["naics"][1])
    assert not frame.apply(lambda column: column.astype(str).str.contains("JANE|CONTACT").any()).any()
    assert len(loaded.assumptions) == 1


@pytest.mark.parametrize(
    ("text", "names", "counts"),
    [
        (extract(record(f13="\0SALES | ENGINEERING\0")), ["SALES | ENGINEERING"], {"bar_in_text": 1}),
        (extract(record(f13="SALES |\\| ENGINEERING")), ["SALES | ENGINEERING"], {"bar_in_text": 1}),
        (extract(record(f13="SALES\nENGINEERING")), ["SALES ENGINEERING"], {"line_break": 1}),
        (extract(record(f13="SA\nLES\r\nENG")), ["SA LES ENG"], {"line_break": 1}),
        (extract(record(f13="SA\0LES")), ["SALES"], {"nul_byte": 1}),
        (extract(record(f13="CAFE")).replace(b"CAFE", b"CAF\xe9"), ["CAFé"], {"not_utf8": 1}),
        (extract(record(), "\n", count=1), ["ACME"], {"blank_line": 1}),
        (b"\xef\xbb\xbf" + extract(record()).replace(b"\n", b"\r\n"), ["ACME"], {}),
    ],
)
def test_what_is_wrong_in_the_text_is_mended(
    write_file: Write, tmp_path: Path, text: bytes, names: list[str], counts: dict[str, int]
) -> None:
    """Bars, line breaks, NULs and foreign bytes in a text are undone and counted."""
    loaded, frame = load(write_file(text, "sam.dat"), tmp_path)
    assert frame["alternate_names"].tolist() == names
    assert (loaded.repaired, loaded.rejected) == (counts, {})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record(f13="SALES | ENGINEERING"), "wrong number of fields"),
        (record()[:80] + "\n", "the record has no end"),
        ("X|" + record(), "wrong number of fields"),
        ("|!end\n", "wrong number of fields"),
        (record(f12=""), "blank name"),
        (record(f13="A" * 1_100_000), "the line is longer than a mebibyte"),
    ],
    ids=str,
)
def test_what_cannot_be_mended_is_set_aside(write_file: Write, tmp_path: Path, bad: str, reason: str) -> None:
    """A record that can't be read in one way only is rejected, and the ones around it are kept."""
    good = record(f1="VN1AJFAD19J9")
    loaded, frame = load(write_file(extract(record(), bad, good), "sam.dat"), tmp_path)
    assert frame["uei"].tolist() == ["N4YFFGL4CDX5", "VN1AJFAD19J9"]
    assert (loaded.rejected, loaded.records_read) == ({reason: 1}, 3)
    assert pd.read_parquet(loaded.paths["recipient_rejects"])["source_line"].tolist() == [3]


def test_second_registrations_are_counted_with_the_first(write_file: Write, tmp_path: Path) -> None:
    """A firm that registered for each of its accounts is one recipient, and nothing is rejected."""
    loaded, frame = load(
        write_file(extract(record(), record(f3="0001"), record(f3="0002")), "s.dat"), tmp_path
    )
    assert len(frame) == 1
    assert loaded.merged == {"another registration of the same recipient": 2}
    assert (loaded.records_read, loaded.own_records, loaded.rejected) == (3, 1, {})
    assert "merged: another registration" in repr(loaded)


def test_counts_that_differ_are_stated(write_file: Write, tmp_path: Path) -> None:
    """An extract that says it has more records than there are says so in the report."""
    loaded, _ = load(write_file(extract(record(), count=7), "sam.dat"), tmp_path)
    assert loaded.assumptions[-1] == "it says that it has 7 records and has 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (extract(record())[:-60], "the extract is cut off"),
        (extract(record()).replace(b"PUBLIC V2", b"PUBLIC"), "of another kind"),
        (extract(record()).replace(b"PUBLIC V2", b"FOUO V2"), "of another kind"),
    ],
)
def test_other_extracts_are_refused(write_file: Write, text: bytes, message: str) -> None:
    """An extract that is cut off or of another layout is refused in plain words."""
    with pytest.raises(InputError, match=message):
        read_recipients(write_file(text, "sam.dat"))


def test_an_extract_is_no_file_of_awards(write_file: Write) -> None:
    """Given as the awards, it is recognised."""
    with pytest.raises(InputError, match=r"SAM\.gov's extract.*"):
        read_awards(write_file(extract(record()), "sam.dat"))


def test_a_made_up_extract_holds_the_registered_recipients(tmp_path: Path) -> None:
    """Out of its zip archive, with every defect in it, come the recipients with a UEI, each once."""
    plain = write_synthetic(tmp_path / "csv", awards=20, recipients=400, seed=3)
    expected, _ = read_recipients(plain.recipients)
    expected = expected[expected["uei"].notna()].reset_index(drop=True)
    path = tmp_path / "sam.zip"
    table = pa.Table.from_pandas(pd.read_csv(plain.recipients, dtype="str")).cast(SCHEMA)
    write_extract(path, lambda: iter([table]), bars_every=7, breaks_every=11, repeats_every=13)
    loaded, found = load(path, tmp_path)
    columns = ["recipient_name", "uei", "cage", "city", "state", "zip5"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    rows = len(expected)
    bars, breaks = rows // 7 + rows // (7 * 13), rows // 11 + rows // (11 * 13)
    assert loaded.repaired == {"bar_in_text": bars, "line_break": breaks}
    assert loaded.merged == {"another registration of the same recipient": rows // 13}
    assert loaded.rejected == {}


def test_an_archive_with_something_else_in_it(tmp_path: Path) -> None:
    """An archive of which one member is no extract and no table of recipients is refused by name."""
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
        archive.writestr("a.dat", extract(record()))
        archive.writestr("b.csv", "x,y\n1,2\n")
    with pytest.raises(InputError, match=r"mixed\.zip, b\.csv in it"):
        read_recipients(tmp_path / "mixed.zip")


PIECES = st.sampled_from(
    [
        record().encode(),
        b"|",
        b"\n",
        b"|!end\n",
        b"\0",
        b"\xff",
        b"\r",
        b"N4YFFGL4CDX5",
        b"EOF ",
        b"|\\|",
        b"A",
    ]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_any_extract_gives_rows_or_a_plain_error(tmp_path: Path, text: bytes) -> None:
    """Whatever stands between the first and the last line: each record is kept, merged or rejected."""
    path = tmp_path / "fuzz.dat"
    content = extract(record())
    at = content.index(b"EOF ")
    path.write_bytes(content[:at] + text + b"\n" * (not text.endswith(b"\n")) + content[at:])
    try:
        loaded = load_recipients(path, tmp_path / "out", Limits(read_rows=1))
    except ToolkitError:
        return
    assert loaded.records_read == loaded.rows + sum(loaded.rejected.values()) + sum(loaded.merged.values())
    assert loaded.records_read >= 1 + text.count(record().encode())
