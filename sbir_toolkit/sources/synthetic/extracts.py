"""A made-up extract of SAM.gov: the recipients that are registered, in layout V2 of the public file.

Everybody with a UEI is registered. Of what the official file has wrong, some of each can be made: bars in
names, wrapped in NUL bytes as SAM does it, records broken over two lines, and second registrations of the
same firm.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.storage import atomic_path

_NAME = "SAM_PUBLIC_UTF-8_MONTHLY_V2_20260906"
_FIELDS = 142
_PLACES = {
    0: "uei",
    3: "cage",
    11: "legal_business_name",
    12: "alternate_names",
    15: "address_line_1",
    17: "city",
    18: "state",
    19: "zip5",
    21: "country_code",
}
_CONSTANTS = {
    5: "A",
    6: "Z2",
    30: "0002",
    31: "2X~MF",
    32: "541715",
    33: "0002",
    34: "541330Y~541715Y",
    46: "ANNA",
    48: "CONTACT",
    141: "!end",
}


def write_extract(
    path: Path,
    make_blocks: Callable[[], Iterator[pa.Table]],
    *,
    bars_every: int = 0,
    breaks_every: int = 0,
    repeats_every: int = 0,
) -> None:
    """Write the registered recipients as SAM.gov does, in a zip archive.

    Parameters
    ----------
    path
        The archive.
    make_blocks
        Makes the recipients, by `sbir_toolkit.sources.synthetic.recipients.SCHEMA`.
    bars_every, breaks_every, repeats_every
        Each how many records there is one with a bar in a name, one broken over two lines, one that stands
        there twice; 0: never.
    """
    records = sum(_registered(block).num_rows for block in make_blocks())
    repeats = records // repeats_every if repeats_every else 0
    note = f"PUBLIC V2 00000000 20260906 {records + repeats:07} 0008331\n"
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(
            zipfile.ZipInfo(f"{_NAME}.dat", date_time=(2026, 9, 6, 7, 0, 0)), "w", force_zip64=True
        ) as file,
    ):
        file.write(f"BOF {note}".encode())
        number = 0
        for block in make_blocks():
            for line in _lines(_registered(block)):
                number += 1
                fields = line.split("|")
                if _is_due(number, bars_every):
                    fields[12] = "\0SALES | ENGINEERING\0"
                if _is_due(number, breaks_every):
                    fields[15] += "\nSUITE 4"
                copies = [fields]
                if _is_due(number, repeats_every):
                    copies.append([*fields[:2], "0001", *fields[3:]])
                file.write("".join("|".join(copy) + "\n" for copy in copies).encode())
        file.write(f"EOF {note}".encode())


def _is_due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _registered(block: pa.Table) -> pa.Table:
    return block.filter(pc.is_valid(block["uei"]))


def _lines(rows: pa.Table) -> list[str]:
    fields = []
    for at in range(_FIELDS):
        if at in _PLACES:
            column = pc.fill_null(rows[_PLACES[at]].combine_chunks(), "")
            fields.append(pc.replace_substring(column, "|", " ") if at == 12 else column)
        else:
            fields.append(pa.array([_CONSTANTS.get(at, "")] * rows.num_rows, pa.string()))
    lines: list[str] = pc.binary_join_element_wise(*fields, "|").to_pylist() if rows.num_rows else []
    return lines
