"""Lists that people filled in, as they come back: from a spreadsheet, as a workbook or as CSV."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from sbir_toolkit.errors import InputError, explain


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
        with warnings.catch_warnings():
            # Excel's newer decorations, which openpyxl warns of, say nothing about the cells.
            warnings.simplefilter("ignore", UserWarning)
            table = (
                pd.read_excel(path, dtype=str, keep_default_na=False)
                if path.suffix.lower() == ".xlsx"
                else pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            )
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as wrong:
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
