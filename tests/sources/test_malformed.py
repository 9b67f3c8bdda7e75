"""One table of everything that an input can be instead of what it should be.

Each line gives a file and what is said about it: an error in plain words, or what was kept, rejected and
mended.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sbir_toolkit.errors import InputError
from sbir_toolkit.params import Limits, Source
from sbir_toolkit.sources import find_files, load_awards, load_recipients

HEADER = b"Company,Agency,Award Year\n"
ROW = b"A,B,2016\n"
GOOD = HEADER + ROW
COPY = Source(header=("legal_business_name", "city"))
SAM = "PUBLIC V2 00000000 20260906 0000001 0000001\n"
AWARD = {"firm": "A", "agency": "B", "award_year": "2016"}
Outcome = tuple[int, dict[str, int], dict[str, int]]


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


def parquet(**columns: list[object]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def damaged(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


# What is wrong, the file's content, and what is said about it: an error, or rows kept, rejected and mended.
AWARDS: list[tuple[str, bytes, str | Outcome]] = [
    ("empty", b"", "the file is empty"),
    ("blank lines only", b"\n\r\n\n", "only blank lines"),
    ("header only", HEADER, "not a single record"),
    ("header without a line end", HEADER[:-1], "not a single record"),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD, (1, {}, {})),
    ("byte order mark twice", b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD, (1, {}, {})),
    ("UTF-16", GOOD.decode().encode("utf-16"), "UTF-16 text"),
    ("UTF-16 without mark", GOOD.decode().encode("utf-16-le"), "bytes that aren't text"),
    ("random bytes", bytes(range(1, 256)) * 9, "no file of SBIR awards|no readable header"),
    ("semicolons", GOOD.replace(b",", b";"), "separated by semicolons"),
    ("tabs", GOOD.replace(b",", b"\t"), "separated by tabs"),
    ("bars", GOOD.replace(b",", b"|"), "separated by bars"),
    ("no header", ROW * 3, "no column for company"),
    ("missing required column", b"Company,Agency\nA,B\n", "no column for award year"),
    ("required column twice", b"Company,Company,Agency,Award Year\nA,A,B,2016\n", "stands twice"),
    ("other column twice", b"Company,Agency,Award Year,X,X\nA,B,2016,1,2\n", (1, {}, {})),
    ("extra columns", b"X,Company,Y,Agency,Award Year\n1,A,2,B,2016\n", (1, {}, {})),
    ("shuffled columns", b"Award Year,Agency,Company\n2016,B,A\n", (1, {}, {})),
    ("too few fields", GOOD + b"A,B\n", (1, {"wrong number of fields": 1}, {})),
    ("too many fields", GOOD + b"A,B,2016,X\n", (1, {"wrong number of fields": 1}, {})),
    ("header again", GOOD + GOOD, (2, {"the record repeats the header": 1}, {})),
    ("quote never closed", GOOD + b'"A,B,2016\n' + ROW, (3, {}, {"stray_quote": 1})),
    ("quote over two records", GOOD + b'"A,B\n' + ROW, (2, {"a quote is not closed or not doubled": 1}, {})),
    ("quote in the header", b'"Company,Agency\nx,y\n', "a quote that is never closed"),
    ("stray quote", HEADER + b'A "x" A,B,2016\n', (1, {}, {"stray_quote": 1})),
    ("carriage returns only", GOOD.replace(b"\n", b"\r"), "carriage return only"),
    ("both line ends", HEADER + b"A,B,2016\r\n" + ROW, (2, {}, {})),
    ("NUL", HEADER + b"A\0,B,2016\n", (1, {}, {"nul_byte": 1})),
    ("NULs in the header", b"Com\0pany,Agency,Award Year\n" + ROW, "bytes that aren't text"),
    ("Latin-1", HEADER + b"Caf\xe9,B,2016\n", (1, {}, {"not_utf8": 1})),
    ("two encodings", HEADER + "Café,B,2016\n".encode() + b"Caf\xe9,B,2016\n", (2, {}, {"not_utf8": 1})),
    ("10 MB field", GOOD + b"A" * 10_000_000 + b",B,2016\n" + ROW,
     (2, {"the line is longer than a mebibyte": 1}, {})),
    ("10 MB name in the header", b"A" * 10_000_000 + GOOD, "no readable header"),
    ("comma amount, second date", b"Company,Agency,Award Year,Award Amount,Contract End Date\n"
     b'A,B,2016,"$1,5",07/31/2016\nA,B,2016,x,31/31/2016\n',
     (2, {}, {"amount_unreadable": 1, "date_unreadable": 1})),
    ("float DUNS", b"Company,Agency,Award Year,Duns\nA,B,2016.0,'79179794.0'\n", (1, {}, {})),
    ("truncated gzip", gzip.compress(HEADER + ROW * 99)[:-12], "cut off or damaged"),
    ("gzip of nothing", gzip.compress(b""), "only blank lines"),
    ("damaged gzip", damaged(gzip.compress(HEADER + ROW * 99), 30), "cut off or damaged"),
    ("zip", zipped(a_csv=GOOD), (1, {}, {})),
    ("zip of two", zipped(a_csv=GOOD, b_csv=GOOD), (2, {}, {})),
    ("truncated zip", zipped(a_csv=GOOD)[:-9], "cut off or damaged"),
    ("damaged zip", damaged(zipped(a_csv=HEADER + ROW * 99), 45), "cut off or damaged"),
    ("empty zip", zipped(), "holds no table that can be read"),
    ("wrong zip member", zipped(photo_jpg=b"x"), "photo.jpg"),
    ("one member is something else", zipped(a_csv=GOOD, b_csv=b"x,y\n1,2\n"), "b.csv in it"),
    ("Excel", zipped(**{"[Content_Types]_xml": b""}).replace(b"[Content.Types]", b"[Content_Types]"),
     "an Excel file"),
    ("old Excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "an old Excel file"),
    ("PDF", b"%PDF-1.7\n", "a PDF file"),
    ("web page", b"\n<!DOCTYPE html><html><body>403 Forbidden</body></html>", "a web page"),
    ("7z archive", b"7z\xbc\xaf\x27\x1c" + bytes(99), "a 7z archive"),
    ("truncated Parquet", parquet(Company=["A"], Agency=["B"])[:-6], "damaged"),
    ("Parquet without a column", parquet(Company=["A"], Agency=["B"]), "no column for award year"),
    ("Parquet in Latin-1",
     parquet(Company=["Cafe"], Agency=["B"], award_year=["2016"]).replace(b"Cafe", b"Caf\xe9"),
     (1, {}, {"not_utf8": 1})),
    ("JSON", json.dumps([AWARD]).encode(), (1, {}, {})),
    ("JSON cut off", json.dumps([AWARD, AWARD])[:-9].encode(), "the JSON is cut off"),
    ("recipients as awards", b"recipient_hash,legal_business_name,uei\nh,A,\n",
     "a file of federal recipients: give it as that"),
    ("an extract of SAM.gov as awards", f"BOF {SAM}EOF {SAM}".encode(), "SAM.gov's extract"),
    ("a dump's contents as awards", b"PGDMP\x01\x0e\x00\x04\x08\x03", "contents can't be read"),
    ("a dump in custom format", b"PGDMP\x01\x0e\x00\x04\x08\x01", "a dump in custom format"),
]  # fmt: skip
RECIPIENTS: list[tuple[str, bytes, str | Outcome]] = [
    ("lone backslash", b"A\\\tB\n\\.\n", (1, {}, {"lone_backslash": 1})),
    ("tab behind a backslash", b"A\\\tA\tB\n\\.\n", (1, {}, {"escaped_tab": 1})),
    ("rows behind the end", b"A\tB\n\\.\nC\tD\n", (1, {"the line stands after the end of the table": 1}, {})),
    ("no end", b"A\tB\nC\tD\n", (2, {}, {})),
    ("truncated dat", gzip.compress(b"A\tB\n" * 99)[:-9], "cut off or damaged"),
    ("only an end", b"\\.\n\n\n", "not a single record"),
    ("extract without its end", f"BOF {SAM}".encode(), "the extract is cut off"),
    ("extract of another layout", f"BOF {SAM}".replace(" V2", "").encode(), "of another kind"),
    ("awards as recipients", GOOD, "a file of SBIR awards: give it as that"),
    ("awards as JSON as recipients", json.dumps([AWARD]).encode(), "a file of SBIR awards: give it as that"),
    ("delta archive", b"correction_delete_ind,award_id_piid,federal_action_obligation,action_date,"
     b"recipient_name\nC,1,1,2023-01-01,A\n", "a delta archive"),
    ("award summaries", b"contract_award_unique_key,recipient_name\n1,A\n", "award summaries"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), [case[1:] for case in AWARDS], ids=[case[0] for case in AWARDS])
def test_awards_that_are_not_what_they_should_be(tmp_path: Path, content: bytes, said: str | Outcome) -> None:
    """Each gives the stated error, with the file and what to do, or the stated repair; nothing is lost."""
    _hold(tmp_path, content, said, lambda path, out: load_awards(path, out, Limits()))


@pytest.mark.parametrize(
    ("content", "said"), [case[1:] for case in RECIPIENTS], ids=[case[0] for case in RECIPIENTS]
)
def test_recipients_that_are_not_what_they_should_be(
    tmp_path: Path, content: bytes, said: str | Outcome
) -> None:
    """The same for the forms that only recipients have."""
    _hold(tmp_path, content, said, lambda path, out: load_recipients(path, out, Limits(), COPY))


def _hold(tmp_path: Path, content: bytes, said: str | Outcome, load: Callable) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    if isinstance(said, str):
        with pytest.raises(InputError, match=said) as caught:
            load(path, tmp_path / "out")
        assert "input" in str(caught.value)
        assert "to do:" in str(caught.value)
        assert not list((tmp_path / "out").glob("*"))
        return
    loaded = load(path, tmp_path / "out")
    assert (loaded.rows, loaded.rejected, loaded.repaired) == said
    assert loaded.records_read == loaded.rows + sum(loaded.rejected.values())
    stored = {name: pq.read_metadata(file).num_rows for name, file in loaded.paths.items()}
    assert [stored[loaded.table], stored[f"{loaded.table[:-1]}_rejects"]] == [
        loaded.rows,
        sum(loaded.rejected.values()),
    ]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "socket", "loop", "secret"])
def test_what_is_no_readable_file(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't there, isn't a file, or may not be read is told apart, and nothing hangs on a pipe."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it"
    said = {
        "missing": "doesn't exist",
        "folder": "this is a folder",
        "pipe": "no ordinary file",
        "socket": "no ordinary file",
        "loop": "can't be read",
        "secret": "may not be read",
    }[kind]
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("it")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "secret":
        path.write_bytes(GOOD)
        real = Path.open

        def refuse(self: Path, *arguments: object, **named: object) -> object:
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return real(self, *arguments, **named)

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=said) as caught:
        load_awards(path, tmp_path / "out", Limits())
    assert str(path) in str(caught.value)
    if said == "no ordinary file":
        with pytest.raises(InputError, match=said):
            find_files(path, Source())


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the tables can't be written the system's refusal comes out, and no half of a table is left."""
    path = tmp_path / "awards.csv"
    path.write_bytes(GOOD)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        load_awards(path, tmp_path / "out", Limits())
    assert not list((tmp_path / "out").glob("*"))
