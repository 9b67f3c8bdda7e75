"""Made-up award archives of USAspending: what recipients were paid, action by action.

An archive holds the contracts or the assistance of a fiscal year in parts of so many records, each with its
header, as a zip file. Of the 297 columns those that say something are filled; the others are there and empty.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from sbir_toolkit.storage import atomic_path

_OURS = {
    "recipient_uei": "uei",
    "recipient_duns": "duns",
    "recipient_name": "legal_business_name",
    "recipient_name_raw": "legal_business_name",
    "cage_code": "cage",
    "recipient_parent_uei": "parent_uei",
    "recipient_parent_name": "parent_legal_business_name",
    "recipient_country_code": "country_code",
    "recipient_address_line_1": "address_line_1",
    "recipient_city_name": "city",
    "recipient_state_code": "state",
    "recipient_zip_4_code": "zip5",
}
_CONTRACTS = (
    *("contract_transaction_unique_key", "award_id_piid", "modification_number", "federal_action_obligation"),
    *("action_date", "awarding_agency_code", "awarding_agency_name", *_OURS, "naics_code", "research_code"),
    "recipient_phone_number",
)
_ASSISTANCE = (
    *("assistance_transaction_unique_key", "award_id_fain", "modification_number"),
    *("federal_action_obligation", "action_date", "awarding_agency_code", "awarding_agency_name"),
    *(name for name in _OURS if name != "cage_code"),
)
_COLUMNS = 297
_RESEARCH = ("", "", "", "SR1", "SR2", "SR3", "ST1", "ST2")


def write_archive(
    path: Path,
    recipients: pa.Table,
    *,
    year: int,
    actions: int,
    part_rows: int = 1_000_000,
    grants: bool = False,
) -> None:
    """Write the award archive of a fiscal year.

    Parameters
    ----------
    path
        The zip file.
    recipients
        Who is paid, by `sbir_toolkit.sources.synthetic.recipients.SCHEMA`; an action goes to each in turn.
    year
        The fiscal year.
    actions
        How many actions there are.
    part_rows
        How many of them a member of the archive holds at most.
    grants
        Assistance instead of contracts.
    """
    named = _ASSISTANCE if grants else _CONTRACTS
    header = [*named, *(f"column_{at}" for at in range(len(named), _COLUMNS))]
    rows = recipients.to_pylist()
    kind = "Assistance" if grants else "Contracts"
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for part, first in enumerate(range(0, actions, part_rows), start=1):
            name = f"FY{year}_All_{kind}_Full_{year + 1}0106_{part}.csv"
            member = zipfile.ZipInfo(name, date_time=(year + 1, 1, 6, 0, 0, 0))
            with (
                archive.open(member, "w", force_zip64=True) as packed,
                io.TextIOWrapper(packed, "utf-8", newline="") as file,
            ):
                writer = csv.writer(file, lineterminator="\r\n")
                writer.writerow(header)
                for number in range(first, min(first + part_rows, actions)):
                    values = _action(rows[number % len(rows)], number, year)
                    writer.writerow([values.get(name, "") for name in header])


def _action(recipient: dict[str, str | None], number: int, year: int) -> dict[str, str]:
    day = np.datetime64(f"{year - 1}-10-01") + number % 365
    return {
        **{theirs: recipient[ours] or "" for theirs, ours in _OURS.items()},
        "contract_transaction_unique_key": f"{year}_{number}",
        "assistance_transaction_unique_key": f"{year}_{number}",
        "award_id_piid": f"W56KGU{year % 100:02}C{number // 3:05}",
        "award_id_fain": f"R43GM{number // 3:06}",
        "modification_number": f"P{number % 3:05}" if number % 3 else "0",
        "federal_action_obligation": f"{(number % 1_000) * 125 - 10_000}.50",
        "action_date": str(day),
        "awarding_agency_code": f"{number % 7:03}",
        "naics_code": "541715" if number % 4 else "541330",
        "research_code": _RESEARCH[number % len(_RESEARCH)],
    }
