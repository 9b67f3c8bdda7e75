"""The contracts of what comes in: awards, recipients, and the records of either that can't be used."""

from __future__ import annotations

from sbir_toolkit.tables.contract import Column, Table, text

AWARDS = Table(
    "awards",
    "One award as filed, its values read into types; personal columns are left out.",
    (
        text(
            "award_id",
            "Stable id: digest of what identifies the award, numbered where it repeats",
            required=True,
        ),
        Column("source_row", "int64", "Ordinal of the record in the file, from 1", required=True, low=1),
        Column(
            "source_line", "int64", "Physical line on which the record starts, from 1", required=True, low=1
        ),
        text("company", "Company name as filed, HTML entities decoded, blanks trimmed", required=True),
        text("title", "Award title"),
        text("agency", "Agency, full name", required=True),
        text("branch", "Component of the agency"),
        text("phase", "Phase I, Phase II or as filed"),
        text("program", "SBIR or STTR"),
        text("tracking_number", "Agency tracking number as filed"),
        text("contract", "Contract or grant number as filed"),
        Column("award_date", "date", "Proposal award date"),
        Column("contract_end_date", "date", "Contract end date"),
        text("solicitation_number", "Solicitation number as filed"),
        Column("solicitation_year", "int64", "Solicitation year", low=1970, high=2100),
        Column("solicitation_close_date", "date", "Solicitation close date"),
        Column("receipt_date", "date", "Proposal receipt date"),
        Column("notification_date", "date", "Date of notification"),
        text("topic_code", "Topic code as filed"),
        Column("award_year", "int64", "Award year", required=True, low=1970, high=2100),
        Column("award_usd", "float64", "Award amount, US dollars as filed"),
        text("uei", "Unique Entity ID, 12 characters, valid; null otherwise"),
        text("duns", "DUNS, 9 digits; null where absent or junk"),
        Column("is_hubzone", "bool", "HUBZone owned"),
        Column("is_disadvantaged", "bool", "Socially and economically disadvantaged"),
        Column("is_woman_owned", "bool", "Woman owned"),
        Column("employees", "float64", "Number of employees", low=0),
        text("website", "Company website"),
        text("address1", "Street address"),
        text("address2", "Street address, second line"),
        text("city", "City as filed"),
        text("state", "State, two-letter code; as filed where it isn't a US state"),
        text("zip5", "ZIP, first five digits"),
        text("abstract", "Abstract"),
        text("research_institution", "Research institution of an STTR"),
        Column("is_duplicate", "bool", "Whether every field repeats an earlier record", required=True),
    ),
    key=("award_id",),
)

RECIPIENTS = Table(
    "recipients",
    "One federal recipient.",
    (
        text("recipient_id", "The source's own id, or a digest of its identifiers and name", required=True),
        text("recipient_name", "Legal business name as filed", required=True),
        text("uei", "Unique Entity ID, 12 characters, valid; null otherwise"),
        text("duns", "DUNS, 9 digits; null where absent or junk"),
        text("cage", "CAGE code, 5 characters"),
        text("parent_uei", "UEI of the ultimate parent"),
        text("parent_name", "Name of the ultimate parent"),
        text("address1", "Street address"),
        text("city", "City as filed"),
        text("state", "State, two-letter code; as filed where it isn't a US state"),
        text("zip5", "ZIP, first five digits"),
        text("country", "Country, three-letter code"),
        text("alternate_names", "Other names (DBA, former), joined by a bar"),
        text("naics", "NAICS codes, six digits, joined by a bar; the primary one first"),
        text("business_types", "Business types, two-character codes of SAM.gov, joined by a bar"),
        Column("actions", "int64", "Award actions found, in USAspending's award archives", low=1),
        Column("sbir_actions", "int64", "Those coded as SBIR or STTR (SR1 to ST3)", low=0),
        Column("agencies", "int64", "Awarding agencies among them", low=0),
        Column("obligated_usd", "float64", "Their obligations together, US dollars"),
        text(
            "obligated_usd_by_year",
            "The same by fiscal year of the action, such as 2023=150000.00|2024=-10.50",
        ),
        text("source", "Where the row comes from"),
    ),
    key=("recipient_id",),
)

RECIPIENT_CONTRACTS = Table(
    "recipient_contracts",
    "One contract or grant number of USAspending's award archives with a recipient of its actions.",
    (
        text("contract", "Its key: see sources.contracts", required=True),
        text("uei", "The recipient's UEI"),
        text("duns", "The recipient's DUNS"),
        Column(
            "is_sbir", "bool", "Whether an action of it is coded SBIR or STTR (SR1 to ST3)", required=True
        ),
    ),
)

_REJECTS = (
    text("source_file", "Name of the file, or of the member of an archive, that holds it", required=True),
    Column("source_row", "int64", "Ordinal of the record in the file, from 1", required=True, low=1),
    Column("source_line", "int64", "Physical line on which the record starts, from 1", required=True, low=1),
    text("column", "The column at fault; null when the whole record is"),
    text("value", "The value at fault, as filed"),
    text("reason", "Why the record can't be used", required=True),
    text("raw", "The record as filed, cut at 2,000 characters", required=True),
)
AWARD_REJECTS = Table("award_rejects", "One award record that couldn't be used, and why.", _REJECTS)
RECIPIENT_REJECTS = Table(
    "recipient_rejects", "One recipient record that couldn't be used, and why.", _REJECTS
)
