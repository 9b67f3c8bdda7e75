"""TF-IDF of character trigrams, top ten by cosine, and the state: the recipe of many name-matching guides.

Vectors as scikit-learn's and string_grouper's guides make them (trigrams of the whole name, weights from the
register), the product by `sp_matmul_rs` (the faster successor of `sparse_dot_topn`). Of the ten most alike
with a cosine of at least 0.8 (string_grouper's default), one of the same state is accepted; a state that is
unknown on either side counts as the same, but comes second.

    python benchmarks/peers/trigrams.py AWARDS.csv RECIPIENTS.csv OUT.parquet
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pyarrow as pa
from companies import open_companies, write_links
from sklearn.feature_extraction.text import TfidfVectorizer
from sp_matmul_rs import sp_matmul_topn

LEAST = 0.8
ACCEPTED = """
INSERT INTO found
    SELECT company, recipient, NULL, true
    FROM alike JOIN companies USING (company)
    JOIN listed ON listed.number = alike.number
    JOIN names ON names.name = listed.name
    WHERE coalesce(companies.state = names.state, true)
    QUALIFY row_number() OVER (
        PARTITION BY company
        ORDER BY coalesce(companies.state = names.state, false) DESC, cosine DESC,
                 coalesce(companies.zip5 = names.zip5, false) DESC, recipient
    ) = 1
"""


def main() -> None:
    """Match the files of the command line."""
    awards, recipients, out = sys.argv[1:]
    connection = open_companies(awards, recipients)
    connection.execute(
        "CREATE TABLE listed AS SELECT row_number() OVER (ORDER BY name) - 1 AS number, name "
        "FROM (SELECT DISTINCT name FROM names)"
    )
    listed = connection.sql("SELECT name FROM listed ORDER BY number").fetchall()
    asked = connection.sql("SELECT name FROM companies ORDER BY company").fetchall()

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(3, 3), lowercase=False, dtype=np.float32)
    register = vectorizer.fit_transform([name for (name,) in listed])
    wanted = vectorizer.transform([name for (name,) in asked])
    alike = sp_matmul_topn(
        wanted, register.T.tocsr(), top_n=10, threshold=LEAST, n_threads=os.cpu_count()
    ).tocoo()

    columns = {"company": alike.row, "number": alike.col, "cosine": alike.data}
    connection.register("alike", pa.table(columns))
    connection.execute(ACCEPTED)
    write_links(connection, out)


if __name__ == "__main__":
    main()
