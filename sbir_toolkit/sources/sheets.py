"""Lists that people filled in, as they come back: from a spreadsheet, as a workbook or as CSV."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from pathlib import Path

import pandas as pd

from sbir_toolkit.errors import InputError, explain

_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, SyntaxError, pd.errors.ParserError),
)
"""What pandas, openpyxl and zipfile raise on files that aren't what their names say."""


def read_sheet(path: Path, what: str) -> pd.DataFrame:
    """Read a list that a person filled in.

    Parameters
    ----------
    path
        CSV (UTF-8) or Excel (.xlsx).
    what
        What it holds, for messages.

    Returns
    -------
    pandas.DataFrame
        All columns as text without blanks around it; a blank cell is an empty text.

    Raises
    ------
    InputError
        When the file can't be read.
    """
    try:
        table = _read_workbook(path) if path.suffix.lower() == ".xlsx" else _read_csv(path)
    except _UNREADABLE as wrong:
        raise InputError(
            explain(
                f"the {what} can't be read",
                where=path,
                expected="a CSV file in UTF-8, or an Excel file that ends in .xlsx",
                got=wrong,
                todo="save it from the spreadsheet as .xlsx or as 'CSV UTF-8', parted by commas",
            )
        ) from wrong
    # A leading apostrophe is how the CSV keeps a name such as =X from being taken for a formula.
    stripped: pd.DataFrame = table.rename(columns=str).apply(
        lambda column: column.str.strip().str.removeprefix("'").str.strip()
    )
    return stripped


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def _read_workbook(path: Path) -> pd.DataFrame:
    # A workbook is a zip archive; openpyxl falls over a damaged one in any of its parts.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its part {damaged} is damaged")
    with warnings.catch_warnings():
        # Excel's newer decorations, which openpyxl warns of, say nothing about the cells.
        warnings.simplefilter("ignore", UserWarning)
        return pd.read_excel(path, dtype=str, keep_default_na=False)
