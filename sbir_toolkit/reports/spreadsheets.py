"""Review lists and label samples as spreadsheets: what a person opens, fills in and sends back.

One row is one question: is this firm that recipient? The first three columns are the person's: `decision`,
`who`, `why`, or `same`, `who`, `note`. The workbook keeps header and firm in sight, offers the answers to
choose from, and holds
text as text, so that a DUNS keeps the zeros it begins with. A name such as `=CMD()` never becomes a formula:
in the workbook it is a text cell, in the CSV file an apostrophe stands before it. The same questions give the
same bytes.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from sbir_toolkit.reports.units import format_count
from sbir_toolkit.storage import atomic_path, write_text

_SHOWN_FIRST = (
    *("company", "city", "state", "company_city", "company_state"),
    *("recipient_name", "recipient_city", "recipient_state"),
)
# What only names a row stands last.
_NAMES = ("key",)
_WIDTHS = {
    "decision": 16,
    "why": 28,
    "note": 28,
    "company": 34,
    "recipient_name": 34,
    "runner_up_name": 30,
    "website": 22,
    "evidence": 46,
    "spellings": 60,
    "recipient_id": 22,
}
_FORMATS = {
    "awards_usd": "#,##0",
    "awards": "#,##0",
    "match_probability": "0.000",
    "runner_up_probability": "0.000",
}
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TIMES = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


@dataclass(frozen=True)
class _Form:
    """What a person is asked to fill in: the columns, the answers offered for the first, and what to know."""

    title: str
    to_fill_in: tuple[str, ...]
    answers: tuple[str, ...]
    help: tuple[str, ...]


_REVIEW = _Form(
    "review",
    ("decision", "who", "why"),
    ("same", "different"),
    (
        "One row is one question: is the firm (company, city, state) the recipient proposed beside it?",
        "decision: same, different, or the recipient_id, UEI or DUNS of the recipient that it is instead.",
        "who and why: who decided, and by what evidence; both are needed.",
        "Rows left blank stay questions. Leave the other columns as they are: they say what it is about.",
        "To apply: sbir-toolkit run PARAMS -p matching.overrides=THIS_FILE; one file may hold many months.",
    ),
)
_LABELS = _Form(
    "labels",
    ("same", "who", "note"),
    ("yes", "no", "unsure"),
    (
        "One row is one question: are the company and the recipient beside it the same firm?",
        "same: yes, no or unsure. What the matcher thinks isn't shown, and the order says nothing.",
        "who and note: who says so, and why where it isn't plain.",
        "Rows left blank aren't counted. Leave the other columns as they are: key names the pair.",
        "To count them: sbir-toolkit run PARAMS -p accuracy.labels=THIS_FILE",
    ),
)


@dataclass(frozen=True)
class ReviewFiles:
    """The files of a review list or a label sample."""

    csv: Path
    xlsx: Path
    questions: int

    def __repr__(self) -> str:
        return (
            f"{format_count(self.questions)} question(s) to fill in: {self.xlsx}\nthe same as CSV: {self.csv}"
        )

    def _repr_html_(self) -> str:
        links = [f'<a href="{quote(path.name)}">{escape(path.name)}</a>' for path in (self.xlsx, self.csv)]
        return f"<p>{format_count(self.questions)} question(s) to fill in: {' or '.join(links)}</p>"


def write_review(questions: pd.DataFrame, folder: Path, name: str = "review") -> ReviewFiles:
    """Write a review list for a person to fill in, as a workbook and as CSV.

    Parameters
    ----------
    questions : pandas.DataFrame
        As the contract `review_candidates` says.
    folder
        Where `<name>.xlsx` and `<name>.csv` go.
    name
        What the files are called.

    Returns
    -------
    ReviewFiles
        Shows where they are; filled in, either is what the parameter `matching.overrides` takes.
    """
    return _write(_lay_out(questions, _REVIEW), _REVIEW, folder, name)


def write_label_sample(sample: pd.DataFrame, folder: Path, name: str = "label_sample") -> ReviewFiles:
    """Write a sample of pairs for a person to label, as a workbook and as CSV.

    Parameters
    ----------
    sample : pandas.DataFrame
        As the contract `label_sample` says.
    folder
        Where `<name>.xlsx` and `<name>.csv` go.
    name
        What the files are called.

    Returns
    -------
    ReviewFiles
        Shows where they are; filled in, either is what the parameter `accuracy.labels` takes.
    """
    return _write(_lay_out(sample, _LABELS), _LABELS, folder, name)


def _write(sheet: pd.DataFrame, form: _Form, folder: Path, name: str) -> ReviewFiles:
    files = ReviewFiles(folder / f"{name}.csv", folder / f"{name}.xlsx", len(sheet))
    plain = sheet.map(lambda value: f"'{value}" if _is_dangerous(value) else value)
    # With its mark at the beginning Excel reads the file as UTF-8.
    write_text(files.csv, "\ufeff" + plain.to_csv(index=False, lineterminator="\n"))
    with atomic_path(files.xlsx) as temporary:
        temporary.write_bytes(_without_times(_make_workbook(sheet, form)))
    return files


def _lay_out(questions: pd.DataFrame, form: _Form) -> pd.DataFrame:
    first = [name for name in _SHOWN_FIRST if name in questions]
    order = [*first, *(name for name in questions.columns if name not in (*first, *_NAMES)), *_NAMES]
    blank = pd.DataFrame(
        {name: pd.Series("", index=questions.index, dtype="str") for name in form.to_fill_in}
    )
    told = questions[[name for name in order if name in questions]].drop(
        columns="company_id", errors="ignore"
    )
    # Control characters can't be in a workbook.
    told = told.map(lambda value: _CONTROL.sub(" ", value) if isinstance(value, str) else value)
    return pd.concat([blank, told], axis=1)


def _is_dangerous(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_DANGEROUS)


def _make_workbook(sheet: pd.DataFrame, form: _Form) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    page = book.active
    page.title = form.title
    for column, name in enumerate(map(str, sheet), start=1):
        head = page.cell(1, column, name)
        head.font = Font(bold=True)
        head.fill = PatternFill("solid", fgColor="FFF2CC" if name in form.to_fill_in else "E4E8ED")
        page.column_dimensions[get_column_letter(column)].width = _WIDTHS.get(name, 14)
        layout = Alignment(vertical="top", wrap_text=name in _WIDTHS)
        styled: dict[str, Any] = {}
        for row, value in enumerate(sheet[name].tolist(), start=2):
            if pd.isna(value):
                continue
            cell = page.cell(row, column, value)
            number_format = "@" if isinstance(value, str) else _FORMATS.get(name, "0")
            if isinstance(value, str) and value:
                cell.data_type = "s"
            if number_format not in styled:
                cell.alignment, cell.number_format = layout, number_format
                styled[number_format] = cell
            else:
                # Looking a style up for each cell would take most of the time.
                cell._style = styled[number_format]._style
    page.freeze_panes = page.cell(2, len(form.to_fill_in) + 2)
    page.auto_filter.ref = page.dimensions
    answers = f'"{",".join(form.answers)}"'
    choice = DataValidation("list", formula1=answers, allow_blank=True, showErrorMessage=False)
    choice.promptTitle, choice.prompt, choice.showInputMessage = form.to_fill_in[0], form.help[1], True
    choice.add(f"A2:A{max(2, len(sheet) + 1)}")
    page.add_data_validation(choice)
    told = book.create_sheet("how to")
    told.column_dimensions["A"].width = 110
    for line in form.help:
        told.append([line])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _without_times(workbook: bytes) -> bytes:
    """Give a workbook without the moment at which it was made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as before, zipfile.ZipFile(buffer, "w") as after:
        for name in before.namelist():
            content = _TIMES.sub(rb"\g<1>1980-01-01T00:00:00Z", before.read(name))
            after.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
