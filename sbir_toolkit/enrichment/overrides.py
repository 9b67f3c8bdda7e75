"""What people decided: the review list as it comes back, filled in.

The file is the review list itself, or many months of it in one: a CSV or Excel file with the columns that
`review_candidates` has and three more that a person fills in. `decision` is *same* (the firm is the proposed
recipient), *different* (it isn't), or the id, UEI or DUNS of the recipient that it is instead; `who` decided
and `why` must be said. Rows without a decision aren't decided yet and say nothing.

Files are refreshed each month, and what was decided should outlive that. So a row names its firm by the ids
of its companies (digests of all they filed) with name and state beside each, and its recipient by id, UEI
and DUNS. `settle` finds both in a run's tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.sheets import read_sheet

DECIDED = ("decision", "who", "why")
"""The columns that a person fills in."""
SPELLED = ("company", "address1", "city", "state", "zip5", "uei", "duns")
"""What stands on a line of `spellings`, parted by bars, before the company's id."""

_ID = re.compile(r"[0-9a-f]{16}")
# Of the rows that are unfinished so many are named.
_MOST_TOLD = 8
_NAMED_BY = ("spellings", "company")
_RECIPIENT = ("recipient_id", "recipient_uei", "recipient_duns")


@dataclass(frozen=True)
class Spelling:
    """One way a firm was filed; without an id where somebody typed it in."""

    company: str
    state: str
    company_id: str | None


@dataclass(frozen=True)
class Override:
    """What a person decided about one firm.

    Parameters
    ----------
    row
        Row in the file, the header being row 1.
    decision
        same, different or other.
    company
        The firm's name, to be shown.
    spellings
        The ways it was filed.
    recipient
        What the recipient may be found by: id, UEI and DUNS, in that order; for `other` all are what was
        typed in.
    who, why
        Who decided, and why.
    """

    row: int
    decision: str
    company: str
    spellings: tuple[Spelling, ...]
    recipient: tuple[str, str, str]
    who: str
    why: str

    @property
    def lacking(self) -> list[str]:
        """The cells without which it can't be used, and that are blank."""
        needed = {
            "who": self.who,
            "why": self.why,
            "company": self.spellings,
            "recipient_id": any(self.recipient),
        }
        return [name for name, given in needed.items() if not given]

    @property
    def shown_recipient(self) -> str:
        """The recipient, by the first thing that names it."""
        return next(name for name in self.recipient if name)


def read_overrides(path: Path) -> list[Override]:
    """Read the decided rows of a review list.

    Parameters
    ----------
    path
        CSV (UTF-8) or Excel (.xlsx), in the layout of the review list; only `decision`, `who`, `why`, a firm
        (`spellings`, or `company` and `state`) and a recipient (`recipient_id`, `recipient_uei` or
        `recipient_duns`) are needed.

    Returns
    -------
    list of Override
        In the order of the file.

    Raises
    ------
    InputError
        When the file can't be read, lacks a column, or decided rows don't say who, why or about whom; the
        first of them are named, all are in its `rows`.
    """
    table = read_sheet(path, "overrides")
    _require_columns(table, path)
    rows = [
        (number, {str(name): str(value) for name, value in row.items()})
        for number, row in enumerate(table.to_dict("records"), start=2)
        if row["decision"]
    ]
    read = [_read_row(row, number) for number, row in rows]
    _refuse_unfinished(read, [row for _, row in rows], path)
    return read


def _refuse_unfinished(read: list[Override], rows: list[dict[str, str]], path: Path) -> None:
    wrong = [(one, row) for one, row in zip(read, rows, strict=True) if one.lacking]
    if not wrong:
        return
    told = [
        f"row {one.row} ({one.company or 'no company'}: {row['decision']}) lacks {' and '.join(one.lacking)}"
        for one, row in wrong[:_MOST_TOLD]
    ]
    told += [f"{len(wrong) - _MOST_TOLD:,} more"] if len(wrong) > _MOST_TOLD else []
    raise InputError(
        explain(
            f"{len(wrong):,} decided row(s) of the overrides are unfinished",
            where=path,
            expected="who decided and why, about which firm and which recipient",
            got="; ".join(told),
            todo="fill in the blank cells, or empty the decision",
        ),
        rows=pd.DataFrame([row for _, row in wrong]),
    )


def _require_columns(table: pd.DataFrame, path: Path) -> None:
    missing = [name for name in DECIDED if name not in table]
    missing += [] if set(_NAMED_BY) & set(table) else [" or ".join(_NAMED_BY)]
    if "decision" in table and table["decision"].isin(["same", "different"]).any():
        missing += [] if set(_RECIPIENT) & set(table) else [" or ".join(_RECIPIENT)]
    if missing:
        raise InputError(
            explain(
                "the overrides lack columns",
                where=path,
                expected=", ".join(missing),
                got=", ".join(table.columns[:8]),
                todo="fill in the review list that a run writes (review.xlsx), and leave its header as it is",
            )
        )


def _read_row(row: dict[str, str], number: int) -> Override:
    word = row["decision"].lower()
    decision = word if word in ("same", "different") else "other"
    spellings = _read_spellings(row)
    recipient = (
        row.get("recipient_id", ""),
        row.get("recipient_uei", ""),
        _duns(row.get("recipient_duns", "")),
    )
    if decision == "other":
        recipient = (row["decision"], row["decision"], _duns(row["decision"]))
    shown = row.get("company") or (spellings[0].company if spellings else "")
    return Override(number, decision, shown, spellings, recipient, row["who"], row["why"])


def _read_spellings(row: dict[str, str]) -> tuple[Spelling, ...]:
    found = []
    for line in row.get("spellings", "").splitlines():
        parts = [part.strip() for part in line.split("|")]
        known = _ID.search(parts[-1])
        if known and len(parts) == len(SPELLED) + 1:
            fields = dict(zip(SPELLED, parts, strict=False))
            found.append(Spelling(fields["company"], fields["state"], known.group()))
    if not found and row.get("company"):
        return (Spelling(row["company"], row.get("state", ""), None),)
    return tuple(found)


def _duns(text: str) -> str:
    # Spreadsheets take a DUNS for a number and drop the zeros it begins with.
    return text.zfill(9) if text.isdecimal() else text
