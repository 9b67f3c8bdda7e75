"""The floor: what DuckDB needs to read both files, join on UEI and DUNS, and write one row per award.

No names are compared, nothing is checked or rejected: the least that any matcher has to do. It runs in an
environment of its own (`.venv-peers`), which `make bench` makes.

    python benchmarks/floor.py AWARDS.csv RECIPIENTS.csv OUT.parquet
"""

from __future__ import annotations

import sys

import duckdb

QUERY = """
COPY (
    WITH recipients AS (
        SELECT recipient_hash, legal_business_name, uei, duns
        FROM read_csv('{recipients}', all_varchar = true)
    ),
    awards AS (
        SELECT row_number() OVER () AS row, "Company", nullif("UEI", '') AS uei,
               lpad(nullif(regexp_replace("Duns", '[^0-9]', '', 'g'), ''), 9, '0') AS duns
        FROM read_csv('{awards}', all_varchar = true, max_line_size = 10000000)
    ),
    by_uei AS (
        SELECT uei, any_value(recipient_hash) AS recipient FROM recipients WHERE uei <> '' GROUP BY uei
    ),
    by_duns AS (
        SELECT duns, any_value(recipient_hash) AS recipient FROM recipients WHERE duns <> '' GROUP BY duns
    )
    SELECT awards.row, awards."Company", coalesce(by_uei.recipient, by_duns.recipient) AS recipient
    FROM awards LEFT JOIN by_uei USING (uei) LEFT JOIN by_duns ON awards.duns = by_duns.duns
    ORDER BY awards.row
) TO '{out}' (FORMAT parquet)
"""


def main() -> None:
    """Run the query on the files of the command line."""
    awards, recipients, out = sys.argv[1:]
    duckdb.sql(QUERY.format(awards=awards, recipients=recipients, out=out))


if __name__ == "__main__":
    main()
