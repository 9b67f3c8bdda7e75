"""Brute force: each company against every recipient's name with rapidfuzz's `token_set_ratio`.

No blocks, so nothing is missed for want of a candidate, and the time is companies times names. Only a slice
is tried, the same one every time: the companies whose numbered names have the smallest digests. What is
printed at the end says how many of how many, and how long the comparing took; whoever reads it may scale
that part, and only that part, to all companies. The best name is accepted from 90 on; among equals the same
state, then the same ZIP code, decides.

    python benchmarks/peers/token_set.py AWARDS.csv RECIPIENTS.csv OUT.parquet
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pyarrow as pa
from companies import open_companies, write_links
from rapidfuzz.fuzz import token_set_ratio
from rapidfuzz.process import cdist

COMPANIES = 40
LEAST = 90
_CHUNK = 200_000
ACCEPTED = """
INSERT INTO found
    SELECT tried.company, recipient, NULL, coalesce(likeness >= {least}, false)
    FROM tried JOIN companies USING (company) LEFT JOIN best USING (company)
    LEFT JOIN listed ON listed.number = best.number LEFT JOIN names ON names.name = listed.name
    QUALIFY row_number() OVER (
        PARTITION BY tried.company
        ORDER BY coalesce(companies.state = names.state, false) DESC,
                 coalesce(companies.zip5 = names.zip5, false) DESC, recipient
    ) = 1
"""


def main() -> None:
    """Match the files of the command line."""
    awards, recipients, out = sys.argv[1:]
    connection = open_companies(awards, recipients)
    connection.execute(
        f"CREATE TABLE tried AS FROM companies ORDER BY md5(concat_ws('|', name, company)) LIMIT {COMPANIES};"
        "CREATE TABLE listed AS SELECT row_number() OVER (ORDER BY name) - 1 AS number, name "
        "FROM (SELECT DISTINCT name FROM names)"
    )
    tried = connection.sql("SELECT company, name FROM tried ORDER BY company").fetchall()
    listed = [name for (name,) in connection.sql("SELECT name FROM listed ORDER BY number").fetchall()]
    (companies,) = connection.sql("SELECT count(*) FROM companies").fetchall()[0]

    started = time.perf_counter()
    best = find_best([name for _, name in tried], listed)
    elapsed = time.perf_counter() - started

    numbers = np.array([company for company, _ in tried], dtype=np.int64)
    columns = {"company": numbers[best[0]], "number": best[1], "likeness": best[2]}
    connection.register("best", pa.table(columns))
    connection.execute(ACCEPTED.format(least=LEAST))
    write_links(connection, out, is_slice=True)
    print(json.dumps({"companies": companies, "companies_tried": len(tried), "comparing_s": elapsed}))


def find_best(names: list[str], listed: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find each name's most alike, several where they are equal: positions in both lists, likeness."""
    highest = np.full(len(names), float(LEAST), dtype=np.float32)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in range(0, len(listed), _CHUNK):
        likeness = cdist(
            names,
            listed[start : start + _CHUNK],
            scorer=token_set_ratio,
            score_cutoff=LEAST,
            dtype=np.float32,
            workers=-1,
        )
        highest = np.maximum(highest, likeness.max(axis=1))
        rows, columns = np.nonzero(likeness >= highest[:, None])
        found.append((rows, columns + start, likeness[rows, columns]))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    is_best = values >= highest[rows]
    return rows[is_best], columns[is_best], values[is_best]


if __name__ == "__main__":
    main()
