"""What a file is, told from what is in it.

A name says little: a download is called `award_data.csv` and holds the web page that said it failed, and the
same table comes as CSV, in a zip archive or as a member of a database dump. So a file is recognised by its
first bytes, decompressed where they are gzip, and a file of a kind that can't be read is refused in words
that say what it looks like.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.dumps import MAGIC
from sbir_toolkit.sources.files import Part, check_file, open_stream
from sbir_toolkit.sources.formats import AWARD_FORMAT, RECIPIENT_FORMAT, plain_name
from sbir_toolkit.sources.json_text import is_json
from sbir_toolkit.sources.sam import is_extract

Look = Literal["csv", "parquet", "zip", "dump", "copy text", "sam", "actions", "json"]

CONTENTS = "toc.dat"

_HEAD_BYTES = 1 << 16
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"%PDF": "a PDF file: download the CSV file",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"BZh": "a bzip2 file: unpack it",
    b"\xfd7zXZ": "an xz file: unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it",
    b"SQLite format 3": "a SQLite database: export the table as CSV",
}
_ACTION_COLUMNS = {"federal action obligation", "action date"}
_SUMMARY_COLUMNS = {"contract award unique key", "assistance award unique key"}
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml|error)", re.I)


def recognise(path: Path, *, is_header_told: bool = False) -> Look:
    """Tell what a file is.

    Parameters
    ----------
    path
        A file, or the folder of a PostgreSQL dump.
    is_header_told
        As for `recognise_text`.

    Raises
    ------
    InputError
        When it can't be used at all, or is of a kind that isn't read.
    """
    if (path / CONTENTS).is_file():
        return "dump"
    check_file(path)
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(b"PAR1"):
        return "parquet"
    if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if magic.startswith(MAGIC):
        return "dump"
    return recognise_text(Part(path), is_header_told=is_header_told)


def recognise_text(part: Part, *, is_header_told: bool = False) -> Look:
    """Tell what a file or a member of an archive is that isn't made of others.

    Parameters
    ----------
    part
        Which one.
    is_header_told
        Whether its columns are known from elsewhere, so that nothing speaks against its having no header.
    """
    with open_stream(part) as stream:
        head = stream.read(_HEAD_BYTES)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise _foreign(part, what)
    if _WEB_PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise _foreign(part, "a web page: the download failed, look at it in a browser")
    if is_extract(head):
        return "sam"
    if is_json(head):
        return "json"
    if _is_copy_text(head, is_header_told):
        return "copy text"
    header = {plain_name(name) for name in _first_line(head).split(",")}
    if header >= _ACTION_COLUMNS:
        return "actions"
    if header & _SUMMARY_COLUMNS:
        todo = "download the transactions, or the award data archive"
        raise _foreign(part, f"USAspending's award summaries, which leave out the single actions: {todo}")
    return "csv"


def _is_copy_text(head: bytes, is_header_told: bool) -> bool:
    """Tell COPY text, which has no header, from a table with one."""
    first = _first_line(head)
    tabs, commas = first.count("\t"), first.count(",")
    if first == "\\.":
        return True
    if is_header_told:
        return tabs > 0 or commas == 0
    names = {plain_name(name) for name in first.split("\t")}
    is_header = any(
        names.intersection(form.aliases[column])
        for form in (AWARD_FORMAT, RECIPIENT_FORMAT)
        for column in form.required
    )
    return tabs >= 2 and tabs > commas and not is_header


def _first_line(head: bytes) -> str:
    return head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace")


def _foreign(part: Part, what: str) -> InputError:
    kind, _, todo = what.partition(": ")
    return InputError(
        explain(
            "the file holds no table that can be read",
            where=part,
            expected="CSV, JSON, Parquet, an extract of SAM.gov, a zip archive of them, or a PostgreSQL dump",
            got=kind,
            todo=todo,
        )
    )
