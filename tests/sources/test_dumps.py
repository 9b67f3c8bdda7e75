"""Recipients out of database dumps: a small one of PostgreSQL's own `pg_dump`, and made-up ones."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbir_toolkit import write_synthetic
from sbir_toolkit.errors import InputError, ToolkitError
from sbir_toolkit.params import Limits, Source
from sbir_toolkit.sources import find_files, load_recipients, read_recipients
from sbir_toolkit.sources.dumps import read_contents

DUMP = Path(__file__).parent / "dump"  # written by pg_dump 15.18 -Fd
TABLE = Source(header=("legal_business_name", "city", "alternate_names"))
SCHEMA_COLUMNS = (
    *("recipient_id", "recipient_name", "uei", "duns", "parent_uei", "parent_name", "address1", "city"),
    *("state", "zip5", "country", "alternate_names", "source"),
)
Write = Callable[..., Path]


def pack(folder: Path, path: Path, inside: str = "pruned_data_store_api_dump/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, inside + file.name)
    return path


@pytest.mark.parametrize("form", ["folder", "contents", "zip", "file", "unpacked"])
def test_a_dump_of_postgresql_is_read(tmp_path: Path, form: str) -> None:
    """Whatever is named of a dump, its table comes out, with every escape and array undone."""
    folder = shutil.copytree(DUMP, tmp_path / "dump")
    if form == "unpacked":
        (folder / "3352.dat").write_bytes(gzip.decompress((folder / "3352.dat.gz").read_bytes()))
        (folder / "3352.dat.gz").unlink()
    path = {
        "folder": folder,
        "contents": folder / "toc.dat",
        "zip": tmp_path / "dump.zip",
        "file": folder / "3352.dat.gz",
        "unpacked": folder / "3352.dat",
    }[form]
    pack(folder, tmp_path / "dump.zip")
    frame, rejects = read_recipients(path)
    assert frame["recipient_name"].tolist() == ["AT&T CORP.", "LINE\nBREAK \\N LLC"]
    assert frame["parent_name"][0] == "TAB\tAND \\ SLASH"
    assert frame["address1"].tolist() == ["1 MAIN ST", "\\."]
    assert frame["city"].tolist() == ["DALLAS", "Zürich"]
    assert frame["alternate_names"][0] == 'AT&T, INC|A "QUOTED" NAME|BACK\\SLASH|PLAIN|NULL'
    assert rejects[["source_row", "source_line", "reason"]].to_numpy().tolist() == [[2, 2, "blank name"]]
    assert rejects["raw"][0].startswith("2\t1fafc7da")


def test_the_older_table_is_read_by_its_name(tmp_path: Path) -> None:
    """`recipients.table` chooses the table; it is found by its name, with or without its schema."""
    for name in ("duns", "int.duns"):
        frame, _ = read_recipients(DUMP, Source(table=name))
        assert frame[["recipient_name", "duns", "uei", "alternate_names"]].to_numpy().tolist() == [
            ["Acme Inc", "079179794", "N4YFFGL4CDX5", "Acme Lasers"]
        ]
    with pytest.raises(InputError, match=r"got: .*int\.duns, rpt\.empty_one, rpt\.recipient_lookup"):
        read_recipients(DUMP, Source(table="award_search"))


def test_what_is_read_from_a_dump_decides_its_digest() -> None:
    """Of a dump in a folder just the table's file and the table of contents matter; of a file, itself."""
    contents = DUMP / "toc.dat"
    assert find_files(DUMP, Source()) == [DUMP / "3352.dat.gz", contents]
    assert find_files(contents, Source(table="duns")) == [DUMP / "3353.dat.gz", contents]
    assert find_files(DUMP / "3353.dat.gz", Source()) == [DUMP / "3353.dat.gz", contents]
    assert find_files(Path(__file__), Source()) == [Path(__file__)]


def test_a_made_up_dump_holds_what_the_csv_file_holds(tmp_path: Path) -> None:
    """The dump, read part by part, gives the table that the CSV file of the same recipients gives."""
    plain = write_synthetic(tmp_path / "csv", awards=50, recipients=900, seed=3)
    dumped = write_synthetic(tmp_path / "dump", awards=50, recipients=900, seed=3, recipients_format="dump")
    expected, _ = read_recipients(plain.recipients)
    limits = Limits(read_rows=70)
    loaded = load_recipients(dumped.recipients, tmp_path / "out", limits)
    found = pd.read_parquet(loaded.paths["recipients"])
    columns = list(SCHEMA_COLUMNS)
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    assert set(found["business_types"]) == {"2X"}
    assert (loaded.rows, loaded.rejected, loaded.repaired) == (900, {}, {})


@pytest.mark.parametrize(
    ("text", "names", "counts"),
    [
        (b"A\tB\t{}\n\\.\n\n\n", ["A"], ({}, {})),
        (b"\xef\xbb\xbfA\tB\t{}\n\\.\n", ["A"], ({}, {})),
        (b"A\tB\t{}\r\nC\tD\t{}\r\n\\.\r\n", ["A", "C"], ({}, {})),
        (b"A\\\tB\t{}\n\\.\n", ["A\\"], ({"lone_backslash": 1}, {})),
        (b"A\\\tX\tB\t{}\n\\.\n", ["A\tX"], ({"escaped_tab": 1}, {})),
        (b"A\rX\tB\t{}\n\\.\n", ["A\rX"], ({"carriage_return": 1}, {})),
        (b"A\0\tB\t{}\n\\.\n", ["A"], ({"nul_byte": 1}, {})),
        (b"Caf\xe9\tB\t{}\n\\.\n", ["Café"], ({"not_utf8": 1}, {})),
        (b"A\tB\t{}\n\nC\tD\t{}\n\\.\n", ["A", "C"], ({"blank_line": 1}, {})),
        (b"\\103\\x61f\\303\\251\\q\\8\tB\t{}\n\\.\n", ["Caféq8"], ({}, {})),
        (b"A\tB\nC\tD\t{}\n\\.\n", ["C"], ({}, {"wrong number of fields": 1})),
        (b"A\tB\t{}\tE\nC\tD\t{}\n\\.\n", ["C"], ({}, {"wrong number of fields": 1})),
        (b"A\tB\t{}\n\\.\nC\tD\t{}\n", ["A"], ({}, {"the line stands after the end of the table": 1})),
        (b"\\N\tB\t{}\n\\.\n", [], ({}, {"blank name": 1})),
    ],
)
def test_what_postgresql_does_not_write_is_mended_or_set_aside(
    write_file: Write,
    tmp_path: Path,
    text: bytes,
    names: list[str],
    counts: tuple[dict[str, int], dict[str, int]],
) -> None:
    """Each line of COPY text is kept, mended and counted, or rejected with its reason."""
    path = write_file(text, "5412.dat")
    loaded = load_recipients(path, tmp_path / "out", Limits(), TABLE)
    assert pd.read_parquet(loaded.paths["recipients"])["recipient_name"].tolist() == names
    assert (loaded.repaired, loaded.rejected) == counts
    assert loaded.records_read == len(names) + sum(loaded.rejected.values())


@pytest.mark.parametrize("size", [3_000_000, 60_000_000])
def test_a_line_that_never_ends_is_set_aside(write_file: Write, tmp_path: Path, size: int) -> None:
    """A line longer than a mebibyte, even than what is read at once, is one reject, and reading goes on."""
    path = write_file(b"A" * size + b"\nC\tD\t{}\n\\.\n", "5412.dat")
    loaded = load_recipients(path, tmp_path / "out", Limits(), TABLE)
    assert (loaded.rows, loaded.rejected) == (1, {"the line is longer than a mebibyte": 1})
    assert pd.read_parquet(loaded.paths["recipient_rejects"])["raw"].str.len().tolist() == [2_000]


def test_a_table_without_rows_is_refused(write_file: Write) -> None:
    """A dumped table that has only its end mark gives no recipients; that is said at once."""
    with pytest.raises(InputError, match="not a single record"):
        read_recipients(write_file(b"\\.\n\n\n", "5412.dat"), TABLE)


def test_a_file_without_its_end_is_no_dump(tmp_path: Path) -> None:
    """In a dump a missing end mark is an error; in other COPY text, where it may be missing, it is stated."""
    folder = shutil.copytree(DUMP, tmp_path / "dump")
    text = gzip.decompress((folder / "3353.dat.gz").read_bytes())
    (folder / "3353.dat.gz").write_bytes(gzip.compress(text[:60]))
    with pytest.raises(InputError, match="the table is cut off"):
        read_recipients(folder, Source(table="duns"))
    (folder / "3353.dat.gz").write_bytes(gzip.compress(text)[:-12])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_recipients(folder, Source(table="duns"))
    path = tmp_path / "copied.txt"
    path.write_bytes(b"A\tB\t{}\nC\tD\t{}\n")
    loaded = load_recipients(path, tmp_path / "out", Limits(), TABLE)
    assert loaded.rows == 2
    assert "the file has no end mark" in loaded.assumptions[-1]


def test_copy_text_alone_says_what_it_lacks(write_file: Write) -> None:
    """Nothing in COPY text names its columns, so without a table of contents they are asked for."""
    with pytest.raises(InputError, match=r"nothing says what its columns are") as caught:
        read_recipients(write_file(b"1\tA\tB\n\\.\n", "5412.dat"))
    assert "5412.dat" in str(caught.value)
    assert "recipients.header" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-30], "cut off or damaged"),
        (
            lambda data: b"PGDMX" + data[5:],
            "holds no table|isn't of pg_dump|no file of federal|no readable header",
        ),
        (lambda data: data[:6] + b"\x09" + data[7:], "archive version 1.9"),
        (lambda data: data[:10] + b"\x01" + data[11:], "a dump in custom format"),
    ],
)
def test_a_damaged_table_of_contents_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    """A table of contents that can't be read to its end is refused in plain words."""
    folder = shutil.copytree(DUMP, tmp_path / "dump")
    contents = folder / "toc.dat"
    contents.write_bytes(change(contents.read_bytes()))
    with pytest.raises(InputError, match=message):
        read_recipients(contents)


def test_archives_without_the_wanted_table_are_refused(tmp_path: Path) -> None:
    """Two dumps in one archive, a dump without its file, and archives of something else are told apart."""
    folder = shutil.copytree(DUMP, tmp_path / "dump")
    path = pack(folder, tmp_path / "two.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(folder / "toc.dat", "other/toc.dat")
    with pytest.raises(InputError, match="more than one dump"):
        read_recipients(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="a whole zip archive"):
        read_recipients(path)
    (folder / "3352.dat.gz").rename(folder / "3352.dat.lz4")
    with pytest.raises(InputError, match=r"lacks the file of its table rpt\.recipient_lookup"):
        read_recipients(folder)
    for name, got in (("[Content_Types].xml", "an Excel file"), ("photo.jpg", "photo.jpg")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "x")
        with pytest.raises(InputError, match=got.replace("[", r"\[")):
            read_recipients(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=40), st.integers(0, 4600))
def test_any_change_of_a_table_of_contents_is_read_or_refused(tmp_path: Path, bytes_: bytes, at: int) -> None:
    """Whatever stands in a table of contents, it is read or refused; nothing else comes out."""
    data = (DUMP / "toc.dat").read_bytes()
    try:
        read_contents(data[:at] + bytes_ + data[at + len(bytes_) :], "toc.dat")
    except ToolkitError as refused:
        assert "to do:" in str(refused)


PIECES = st.sampled_from(
    [b"A", b"\t", b"\n", b"\\", b"\\N", b"\\.", b"\r", b"\0", b"\xff", b"A\tB\t{}\n", b'{"', b"\\\t", b","]
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES).map(b"".join), st.integers(1, 4))
def test_any_copy_text_gives_rows_or_a_plain_error(tmp_path: Path, text: bytes, rows: int) -> None:
    """Every line is kept or rejected, whatever it holds, and the batches' size doesn't matter."""
    path = tmp_path / "fuzz.dat"
    path.write_bytes(b"A\tB\t{}\n" + text)
    loaded = load_recipients(path, tmp_path / "out", Limits(read_rows=rows), TABLE)
    whole = load_recipients(path, tmp_path / "whole", Limits(), TABLE)
    assert loaded.records_read == loaded.rows + sum(loaded.rejected.values())
    assert (loaded.records_read, loaded.rejected, loaded.repaired) == (
        whole.records_read,
        whole.rejected,
        whole.repaired,
    )
    for table, file in loaded.paths.items():
        assert file.read_bytes() == whole.paths[table].read_bytes()
    lines = (b"A\tB\t{}\n" + text).split(b"\n")
    blank = sum(line.rstrip(b"\r") in (b"", b"\\.") for line in lines)
    assert loaded.records_read >= len(lines) - blank
