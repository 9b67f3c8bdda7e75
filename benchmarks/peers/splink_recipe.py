"""Splink by its own recipe for business names (its example "Matching businesses").

As the example has it: names are lists of tokens with their relative frequencies, the two rarest tokens below
1 % are block keys, the product of the frequencies of shared tokens is the likeness, cut at 1e-12, 1e-10,
1e-8, 1e-6 and 1e-4; the postcode and the first number of the address are the other comparisons; u is
estimated from random pairs, m left at its defaults. Ours instead of British: the ZIP code with the levels
ZIP, its first three digits, state; and the prior, which is one in the size of the register there and here.
The best candidate is accepted from a probability of 0.5 on.

    python benchmarks/peers/splink_recipe.py AWARDS.csv RECIPIENTS.csv OUT.parquet
"""

from __future__ import annotations

import logging
import sys

from companies import open_companies, write_links
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink import comparison_library as cl

SEED = 7
PREPARE = r"""
CREATE TABLE everything AS
    SELECT row_number() OVER () AS unique_id, *
    FROM (SELECT 'a' AS side, company, NULL AS recipient, name, street, state, zip5 FROM companies
          UNION ALL SELECT 'b', NULL, recipient, name, street, state, zip5 FROM names);
CREATE TABLE tokens AS
    SELECT unique_id, unnest(string_split(name, ' ')) AS token FROM everything;
CREATE TABLE frequencies AS
    SELECT token, (count(*) / (SELECT count(*) FROM tokens))::FLOAT AS rel_freq FROM tokens GROUP BY token;
CREATE TABLE listed AS
    SELECT unique_id, list(struct_pack(token := token, rel_freq := rel_freq) ORDER BY token) AS name_tokens,
           (list(token ORDER BY rel_freq, token) FILTER (rel_freq < 0.01))[:2] AS rarest_tokens
    FROM tokens JOIN frequencies USING (token) GROUP BY unique_id;
CREATE TABLE prepared AS
    SELECT everything.*, name_tokens, rarest_tokens,
           nullif(regexp_extract(street, '\d+[A-Z]?'), '') AS first_number
    FROM everything JOIN listed USING (unique_id);
DROP TABLE tokens; DROP TABLE listed; DROP TABLE everything;
CREATE TABLE asked AS FROM prepared WHERE side = 'a';
CREATE TABLE register AS FROM prepared WHERE side = 'b';
DROP TABLE prepared;
"""
PRODUCT = """
    list_intersect(name_tokens_l, name_tokens_r).list_transform(lambda x: x.rel_freq::FLOAT)
        .list_concat([1.0::FLOAT]).list_reduce(lambda p, q: p * q)
"""
ACCEPTED = """
INSERT INTO found
    SELECT asked.company, register.recipient, match_probability, match_probability >= 0.5
    FROM {predictions} JOIN asked ON asked.unique_id = unique_id_l
    JOIN register ON register.unique_id = unique_id_r
    QUALIFY row_number() OVER (PARTITION BY asked.company ORDER BY match_weight DESC, register.recipient) = 1
"""


def main() -> None:
    """Match the files of the command line."""
    awards, recipients, out = sys.argv[1:]
    connection = open_companies(awards, recipients)
    connection.execute(PREPARE)
    (size,) = connection.sql("SELECT count(DISTINCT recipient) FROM register").fetchall()[0]

    logging.getLogger("splink").setLevel(logging.ERROR)
    database = DuckDBAPI(connection=connection)
    sides = [
        database.register(connection.table(name), dataset_display_name=f"{name}_rows")
        for name in ("asked", "register")
    ]
    linker = Linker(sides, describe_model(size))
    linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=SEED)
    predictions = linker.inference.predict(threshold_match_weight=-5)
    connection.execute(ACCEPTED.format(predictions=predictions.physical_name))
    write_links(connection, out)


def describe_model(size: int) -> SettingsCreator:
    """Describe the comparisons and block keys for a register of so many recipients."""
    shared = [
        {"sql_condition": f"{PRODUCT} < {cut}", "label_for_charts": f"product below {cut}"}
        for cut in ("1e-12", "1e-10", "1e-8", "1e-6", "1e-4")
    ]
    otherwise = {"sql_condition": "ELSE", "label_for_charts": "anything else"}
    swapped = "substr(l.name, 1, 3) = substr(r.name, 1, 3)"
    return SettingsCreator(
        link_type="link_only",
        unique_id_column_name="unique_id",
        probability_two_random_records_match=1 / size,
        comparisons=[
            cl.CustomComparison(
                [_unknown("name_tokens_l IS NULL OR name_tokens_r IS NULL"), *shared, otherwise],
                "name_tokens",
            ),
            cl.CustomComparison(
                [
                    _unknown("coalesce(zip5_l, state_l) IS NULL OR coalesce(zip5_r, state_r) IS NULL"),
                    {"sql_condition": "zip5_l = zip5_r", "label_for_charts": "ZIP"},
                    {"sql_condition": "left(zip5_l, 3) = left(zip5_r, 3)", "label_for_charts": "ZIP3"},
                    {"sql_condition": "state_l = state_r", "label_for_charts": "state"},
                    otherwise,
                ],
                "place",
            ),
            cl.ExactMatch("first_number"),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("zip5"),
            block_on("rarest_tokens", "substr(zip5, 1, 3)"),
            f"l.rarest_tokens[1] = r.rarest_tokens[2] AND {swapped}",
            f"l.rarest_tokens[2] = r.rarest_tokens[1] AND {swapped}",
            block_on("name"),
        ],
    )


def _unknown(condition: str) -> dict[str, str | bool]:
    return {"sql_condition": condition, "label_for_charts": "unknown", "is_null_level": True}


if __name__ == "__main__":
    main()
