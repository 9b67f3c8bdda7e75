"""Made-up award archives of USAspending: what recipients were paid, action by action.

An archive holds the contracts or the assistance of a fiscal year in parts of so many records, each with its
header, as a zip file. Of the 297 columns those that say something are filled; the others are there and empty.

What is paid may be anything (`write_archive`), or the awards of a made-up award file (`award_actions`): then
the archives tell who got which contract, in the form in which an agency reports its number and not in that of
SBIR.gov. As in the real ones not every award is there, and a few numbers are those of two recipients.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.columns import join, write_numbers
from sbir_toolkit.sources.synthetic.draws import Draws, Integers
from sbir_toolkit.sources.synthetic.lines import PLAIN_QUOTING, csv_lines, header_line
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
    *("contract_transaction_unique_key", "award_id_piid", "modification_number", "parent_award_id_piid"),
    *("federal_action_obligation", "action_date", "awarding_agency_code", "awarding_agency_name", *_OURS),
    *("naics_code", "research_code", "recipient_phone_number"),
)
_ASSISTANCE = (
    *("assistance_transaction_unique_key", "award_id_fain", "modification_number"),
    *("federal_action_obligation", "action_date", "awarding_agency_code", "awarding_agency_name"),
    *(name for name in _OURS if name != "cage_code"),
)
_COLUMNS = 297
_BLOCK_ROWS = 50_000
_RESEARCH = ("", "", "", "SR1", "SR2", "SR3", "ST1", "ST2")
# Each with the Treasury's code; those that give grants first.
_AGENCIES = {
    "Department of Agriculture": "012",
    "Department of Commerce": "013",
    "Department of Energy": "089",
    "Department of Health and Human Services": "075",
    "National Science Foundation": "049",
    "Department of Defense": "097",
    "National Aeronautics and Space Administration": "080",
    "Environmental Protection Agency": "068",
    "Department of Education": "091",
    "Department of Transportation": "069",
    "Department of Homeland Security": "070",
    "Nuclear Regulatory Commission": "031",
    "Department of the Interior": "014",
}
_CODES = list(_AGENCIES.values())
_GRANTING = list(_AGENCIES)[:5]
_FOUND_SHARE, _SHARED_SHARE = 0.9, 0.01


def write_archive(
    path: Path,
    recipients: pa.Table,
    *,
    year: int,
    actions: int,
    part_rows: int = 1_000_000,
    grants: bool = False,
) -> None:
    """Write an award archive of actions that say little but who was paid.

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
    firsts = range(0, actions, _BLOCK_ROWS)
    blocks = (np.arange(first, min(first + _BLOCK_ROWS, actions)) for first in firsts)
    tables = (_make_actions(recipients, numbers, year) for numbers in blocks)
    write_actions(path, tables, year=year, part_rows=part_rows, grants=grants)


def write_actions(
    path: Path, actions: Iterable[pa.Table], *, year: int, part_rows: int = 1_000_000, grants: bool = False
) -> None:
    """Write actions as an award archive.

    Parameters
    ----------
    path
        The zip file.
    actions
        In pieces, with the archive's names of columns, all text; a column that isn't there is empty.
    year, part_rows, grants
        As for `write_archive`.
    """
    named = _ASSISTANCE if grants else _CONTRACTS
    header = [*named, *(f"column_{at}" for at in range(len(named), _COLUMNS))]
    end = "," * (_COLUMNS - len(named)) + "\r\n"
    kind = "Assistance" if grants else "Contracts"
    pieces = _cut(actions, part_rows)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for part, tables in itertools.groupby(pieces, key=lambda piece: piece[0]):
            name = f"FY{year}_All_{kind}_Full_{year + 1}0106_{part + 1}.csv"
            member = zipfile.ZipInfo(name, date_time=(year + 1, 1, 6, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as packed:
                packed.write(header_line(header, PLAIN_QUOTING).replace(b"\n", b"\r\n"))
                for _, table in tables:
                    columns = {
                        name: table[name] if name in table.column_names else _blank(table) for name in named
                    }
                    packed.write(csv_lines(pa.table(columns), PLAIN_QUOTING, end=end))


def award_actions(
    awards: pa.Table, recipients: pa.Table, strangers: pa.Table, numbers: Integers, draws: Draws
) -> tuple[pa.Table, pa.Table]:
    """Make the actions by which awards were paid.

    Parameters
    ----------
    awards : pyarrow.Table of shape (n, columns)
        Rows of the award file, by `awards.COLUMNS`.
    recipients : pyarrow.Table of shape (n, columns)
        The recipient of each, by `recipients.SCHEMA`; without a name where it has none.
    strangers : pyarrow.Table of shape (n, columns)
        Another recipient for each, who shares a few numbers.
    numbers : int64 array of shape (n,)
        The awards' numbers, for the draws.
    draws
        The draws of the seed.

    Returns
    -------
    contracts, grants : pyarrow.Table
        Contracts and assistance, as `write_actions` takes them.
    """
    is_paid = pc.and_(pc.is_valid(recipients["legal_business_name"]), pc.is_valid(awards["Contract"]))
    is_paid = pc.and_(is_paid, pa.array(draws.chance("archived", numbers, _FOUND_SHARE)))
    is_shared = pc.and_(is_paid, pa.array(draws.chance("shared contract", numbers, _SHARED_SHARE)))
    paid, shared = (np.flatnonzero(flag.to_numpy(zero_copy_only=False)) for flag in (is_paid, is_shared))
    parts = [_pay(awards, recipients).take(pa.array(paid)), _pay(awards, strangers).take(pa.array(shared))]
    order = np.argsort(np.concatenate([paid, shared]), kind="stable")
    actions = pa.concat_tables(parts).take(pa.array(order))
    is_grant = pc.is_in(actions["awarding_agency_name"], value_set=pa.array(_GRANTING))
    grants = actions.filter(is_grant)
    # The NIH's archive has neither the type before the activity nor the year behind the serial number.
    fain = pc.replace_substring_regex(grants["award_id_fain"], r"^[12](R4[34][A-Z]{2}[0-9]{6})01$", r"\1")
    at = grants.schema.get_field_index("award_id_fain")
    return actions.filter(pc.invert(is_grant)), grants.set_column(at, "award_id_fain", fain)


def _pay(awards: pa.Table, recipients: pa.Table) -> pa.Table:
    number = pc.replace_substring(awards["Contract"].combine_chunks(), "-", "")
    year, agency = awards["Award Year"].combine_chunks(), awards["Agency"].combine_chunks()
    is_second = pc.equal(awards["Phase"], "Phase II")
    is_transfer = pc.equal(awards["Program"], "STTR")
    program = pc.if_else(is_transfer, "ST", "SR")
    code = pc.binary_join_element_wise(program, pc.if_else(is_second, "2", "1"), "")
    columns = {
        **{theirs: recipients[ours] for theirs, ours in _OURS.items()},
        "award_id_piid": number,
        "award_id_fain": number,
        "modification_number": pa.repeat("0", len(number)),
        "federal_action_obligation": pc.replace_substring_regex(
            pc.fill_null(awards["Award Amount"], "0"), "[^0-9.]", ""
        ),
        "action_date": pc.binary_join_element_wise(year, "03", "15", "-"),
        "awarding_agency_name": agency,
        "awarding_agency_code": pa.array(_CODES).take(
            pc.index_in(agency, value_set=pa.array(list(_AGENCIES)))
        ),
        "naics_code": pa.repeat("541715", len(number)),
        "research_code": code,
    }
    return pa.table(columns)


def _make_actions(recipients: pa.Table, number: Integers, year: int) -> pa.Table:
    paid = recipients.take(pa.array(number % recipients.num_rows))
    days = (np.datetime64(f"{year - 1}-10-01") + number % 365).astype("datetime64[D]")
    key = join(f"{year}_", write_numbers(number))
    modified = pc.binary_join_element_wise("P", write_numbers(number % 3, 5), "")
    return pa.table(
        {
            **{theirs: paid[ours] for theirs, ours in _OURS.items()},
            "contract_transaction_unique_key": key,
            "assistance_transaction_unique_key": key,
            "award_id_piid": join(f"W56KGU{year % 100:02}C", write_numbers(number // 3, 5)),
            "award_id_fain": join("R43GM", write_numbers(number // 3, 6)),
            "modification_number": pc.if_else(pa.array(number % 3 > 0), modified, "0"),
            "federal_action_obligation": join(write_numbers(number % 1_000 * 125 - 10_000), ".50"),
            "action_date": pa.array(days).cast(pa.string()),
            "awarding_agency_code": write_numbers(number % 7, 3),
            "naics_code": pc.if_else(pa.array(number % 4 > 0), "541715", "541330"),
            "research_code": pa.array(_RESEARCH).take(pa.array(number % len(_RESEARCH))),
        }
    )


def _cut(tables: Iterable[pa.Table], part_rows: int) -> Iterator[tuple[int, pa.Table]]:
    """Cut tables so that each piece is in one part, and say in which; at least an empty one in the first."""
    row = 0
    for table in tables:
        low = 0
        while low < table.num_rows:
            part = row // part_rows
            piece = table.slice(low, (part + 1) * part_rows - row)
            yield part, piece
            low, row = low + piece.num_rows, row + piece.num_rows
    if not row:
        yield 0, pa.table({"modification_number": pa.array([], pa.string())})


def _blank(table: pa.Table) -> pa.Array:
    return pa.nulls(table.num_rows, pa.string())
