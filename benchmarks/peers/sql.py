"""Plain SQL: what a careful engineer writes in DuckDB in an afternoon.

The same name without its legal form at the same place (ZIP code, or city and state) is the same firm. For the
rest, names that begin with the same four letters in the same state, or stand at the same ZIP code, are
compared by Jaro-Winkler; the best one is accepted from 0.92 on.

    python benchmarks/peers/sql.py AWARDS.csv RECIPIENTS.csv OUT.parquet
"""

from __future__ import annotations

import sys

from companies import open_companies, write_links

QUERY = r"""
CREATE MACRO core(name) AS regexp_replace(name,
    '^(?:THE )?(.+?)(?: (?:INC|INCORPORATED|CORP|CORPORATION|CO|COMPANY|LLC|LTD|LIMITED|LP|LLP|PC|PLLC))*$',
    '\1');
CREATE TABLE asked AS SELECT *, core(name) AS core FROM companies;
CREATE TABLE listed AS SELECT *, core(name) AS core FROM names;

INSERT INTO found
    SELECT company, min(recipient), NULL, true
    FROM (
        SELECT company, recipient FROM asked JOIN listed USING (core, zip5)
        UNION
        SELECT company, recipient FROM asked JOIN listed USING (core, city, state)
    )
    GROUP BY company;

INSERT INTO found
    WITH rest AS (FROM asked WHERE company NOT IN (SELECT company FROM found)),
    pairs AS (
        SELECT company, recipient, jaro_winkler_similarity(rest.core, listed.core) AS likeness
        FROM rest JOIN listed ON rest.state = listed.state AND left(rest.core, 4) = left(listed.core, 4)
        UNION ALL
        SELECT company, recipient, jaro_winkler_similarity(rest.core, listed.core) AS likeness
        FROM rest JOIN listed ON rest.zip5 = listed.zip5
    )
    SELECT company, recipient, NULL, true
    FROM pairs WHERE likeness >= 0.92
    QUALIFY row_number() OVER (PARTITION BY company ORDER BY likeness DESC, recipient) = 1;
"""


def main() -> None:
    """Match the files of the command line."""
    awards, recipients, out = sys.argv[1:]
    connection = open_companies(awards, recipients)
    connection.execute(QUERY)
    write_links(connection, out)


if __name__ == "__main__":
    main()
