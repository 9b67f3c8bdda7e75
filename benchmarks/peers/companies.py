"""What all peers share: reading both files, the identifiers, and writing what was found.

Names are brought into capitals without punctuation, states into codes; an alternate name of a recipient is a
name like its legal one. A company whose UEI or DUNS is a recipient's is that recipient; what is left over,
each distinct name and place once, is what a peer has to find by itself:

    companies(company, name, street, city, state, zip5)            left over, numbered from 0
    names(recipient, name, street, city, state, zip5)              of all recipients

It puts its answers into `found(company, recipient, probability, is_accepted)`, at most one for each company
(`probability` is null when the tool gives none), and calls `write_links`. Peers run each in an environment
of its own, so nothing of `sbir_toolkit` is imported here.
"""

from __future__ import annotations

from typing import Literal

import duckdb

_STATES = """
    ALABAMA=AL ALASKA=AK ARIZONA=AZ ARKANSAS=AR CALIFORNIA=CA COLORADO=CO CONNECTICUT=CT DELAWARE=DE
    DISTRICT_OF_COLUMBIA=DC FLORIDA=FL GEORGIA=GA GUAM=GU HAWAII=HI IDAHO=ID ILLINOIS=IL INDIANA=IN IOWA=IA
    KANSAS=KS KENTUCKY=KY LOUISIANA=LA MAINE=ME MARYLAND=MD MASSACHUSETTS=MA MICHIGAN=MI MINNESOTA=MN
    MISSISSIPPI=MS MISSOURI=MO MONTANA=MT NEBRASKA=NE NEVADA=NV NEW_HAMPSHIRE=NH NEW_JERSEY=NJ NEW_MEXICO=NM
    NEW_YORK=NY NORTH_CAROLINA=NC NORTH_DAKOTA=ND OHIO=OH OKLAHOMA=OK OREGON=OR PENNSYLVANIA=PA PUERTO_RICO=PR
    RHODE_ISLAND=RI SOUTH_CAROLINA=SC SOUTH_DAKOTA=SD TENNESSEE=TN TEXAS=TX UTAH=UT VERMONT=VT
    VIRGIN_ISLANDS=VI VIRGINIA=VA WASHINGTON=WA WEST_VIRGINIA=WV WISCONSIN=WI WYOMING=WY
"""
_MACROS = r"""
CREATE MACRO filled(value) AS nullif(trim(value), '');
CREATE MACRO clean(value) AS nullif(trim(regexp_replace(regexp_replace(
    replace(upper(value), '&', ' AND '), '[''.]', '', 'g'), '[^A-Z0-9]+', ' ', 'g')), '');
CREATE MACRO state_code(value) AS coalesce(
    (SELECT code FROM states WHERE states.state = clean(value)), clean(value));
CREATE MACRO digits(value) AS lpad(nullif(regexp_replace(value, '[^0-9]', '', 'g'), ''), 9, '0');
"""
_FILES = """
CREATE {kind} awards AS
    SELECT row_number() OVER () AS row, "Company" AS company, clean("Company") AS name,
           clean("Address1") AS street, clean("City") AS city, "State" AS filed_state,
           left(filled("Zip"), 5) AS zip5, filled("UEI") AS uei, digits("Duns") AS duns
    FROM read_csv('{awards}', all_varchar = true, max_line_size = 10000000);
CREATE {kind} recipients AS
    SELECT recipient_hash AS recipient, legal_business_name, alternate_names, clean(address_line_1) AS street,
           clean(city) AS city, filled(state) AS state, filled(zip5) AS zip5, filled(uei) AS uei,
           filled(duns) AS duns
    FROM read_csv('{recipients}', all_varchar = true);
CREATE VIEW identified AS
    WITH by_uei AS (
        SELECT uei, any_value(recipient) AS recipient FROM recipients WHERE uei <> '' GROUP BY uei
    ),
    by_duns AS (
        SELECT duns, any_value(recipient) AS recipient FROM recipients WHERE duns <> '' GROUP BY duns
    )
    SELECT awards.row, awards.company, coalesce(by_uei.recipient, by_duns.recipient) AS recipient,
           CASE WHEN by_uei.recipient IS NOT NULL THEN 'uei'
                WHEN by_duns.recipient IS NOT NULL THEN 'duns' END AS tier
    FROM awards LEFT JOIN by_uei USING (uei) LEFT JOIN by_duns ON awards.duns = by_duns.duns;
"""
_LEFT_OVER = """
CREATE TABLE links AS FROM identified;
CREATE TABLE placed AS
    SELECT awards.row, name, street, city, state_code(filed_state) AS state, zip5
    FROM awards JOIN links USING (row) WHERE links.recipient IS NULL AND name IS NOT NULL;
CREATE TABLE companies AS
    SELECT row_number() OVER (ORDER BY name, street, city, state, zip5) - 1 AS company, *
    FROM (SELECT DISTINCT name, street, city, state, zip5 FROM placed);
CREATE TABLE company_of AS
    SELECT placed.row, companies.company FROM placed JOIN companies
    ON placed.name = companies.name AND placed.street IS NOT DISTINCT FROM companies.street
    AND placed.city IS NOT DISTINCT FROM companies.city AND placed.state IS NOT DISTINCT FROM companies.state
    AND placed.zip5 IS NOT DISTINCT FROM companies.zip5;
CREATE TABLE names AS
    SELECT DISTINCT recipient, name, street, city, state, zip5
    FROM (
        SELECT * EXCLUDE (legal_business_name, alternate_names),
               clean(unnest(string_split(concat_ws('|', legal_business_name, alternate_names), '|'))) AS name
        FROM recipients
    )
    WHERE name IS NOT NULL;
DROP TABLE placed;
CREATE TABLE found (company BIGINT, recipient VARCHAR, probability DOUBLE, is_accepted BOOLEAN);
"""
_LINKS = """
COPY (
    SELECT links.row, links.company, coalesce(links.recipient, found.recipient) AS recipient,
           CASE WHEN links.recipient IS NOT NULL THEN links.tier
                WHEN found.recipient IS NOT NULL THEN 'name' END AS tier,
           found.probability,
           links.recipient IS NOT NULL OR coalesce(found.is_accepted, false) AS is_accepted,
           links.recipient IS NOT NULL OR NOT {is_slice} OR found.company IS NOT NULL AS is_tried
    FROM links LEFT JOIN company_of USING (row) LEFT JOIN found ON found.company = company_of.company
    ORDER BY links.row
) TO '{out}' (FORMAT parquet)
"""
_IDENTIFIED = """
COPY (
    SELECT row, company, recipient, tier, NULL::DOUBLE AS probability, recipient IS NOT NULL AS is_accepted,
           true AS is_tried
    FROM identified ORDER BY row
) TO '{out}' (FORMAT parquet)
"""


def open_files(awards: str, recipients: str, kind: Literal["TABLE", "VIEW"]) -> duckdb.DuckDBPyConnection:
    """Read both files: as tables, or as views of which only what is asked for is ever read."""
    connection = duckdb.connect()
    states = [entry.replace("_", " ").split("=") for entry in _STATES.split()]
    connection.execute("CREATE TABLE states (state VARCHAR, code VARCHAR)")
    connection.executemany("INSERT INTO states VALUES (?, ?)", states)
    connection.execute(_MACROS)
    connection.execute(_FILES.format(kind=kind, awards=_quoted(awards), recipients=_quoted(recipients)))
    return connection


def open_companies(awards: str, recipients: str) -> duckdb.DuckDBPyConnection:
    """Read both files, join identifiers, and lay out what is left over."""
    connection = open_files(awards, recipients, "TABLE")
    connection.execute(_LEFT_OVER)
    connection.execute("DROP VIEW identified; DROP TABLE recipients; DROP TABLE awards")
    return connection


def write_identified(connection: duckdb.DuckDBPyConnection, out: str) -> None:
    """Write what the identifiers alone say: one row for each award record, in the file's order."""
    connection.execute(_IDENTIFIED.format(out=_quoted(out)))


def write_links(connection: duckdb.DuckDBPyConnection, out: str, *, is_slice: bool = False) -> None:
    """Write what was found, a row for each award record; of a slice only what is in `found` was tried."""
    connection.execute(_LINKS.format(out=_quoted(out), is_slice=str(is_slice).lower()))


def _quoted(path: str) -> str:
    return path.replace("'", "''")
