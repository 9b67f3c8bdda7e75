"""What a person should decide: one question for each firm, however many ways it is spelt.

A firm whose best candidate is neither clearly right nor clearly wrong mostly appears several times: with and
without its legal form, at an old and a new address, with and without a DUNS. Asking once is enough. So the
companies under review that share the proposed recipient and bear the same name, or an identifier, or sit in
the same building, become one question, with their awards and dollars summed. Companies that share nothing but
the proposed recipient stay separate questions: they may be different firms.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.combine import MatchTables
from sbir_toolkit.enrichment.companies import FIELDS, company_ids
from sbir_toolkit.enrichment.overrides import SPELLED
from sbir_toolkit.matching import RecipientIndex
from sbir_toolkit.matching.identifiers import KINDS
from sbir_toolkit.matching.lookup import find_recipients, name_keys
from sbir_toolkit.matching.places import read_places
from sbir_toolkit.matching.texts import text_array
from sbir_toolkit.meter import phase
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import REVIEW_CANDIDATES

FACTS = ("award_usd", "award_year", "website")
"""What is told of a firm's awards."""
_FOUND = {
    "uei": "Has the firm's UEI.",
    "duns": "Has the firm's DUNS.",
    "contract": "Was paid under a contract of the firm.",
    "name_exact": "Has the same name.",
    "name_fuzzy": "Has another name.",
    "sibling": "Is the recipient of another company of this name.",
}
# A cell of a spreadsheet holds 32,767 letters; a firm with more spellings than this is asked about in parts.
MOST_SPELLINGS = 100
# From how many bits on a piece of evidence counts as strong, as clear, as worth a word.
_STRENGTHS = ((6.0, "strong"), (2.0, "clear"), (0.5, "slight"))


def list_questions(
    awards: Path, tables: MatchTables, index: RecipientIndex, *, batch_rows: int
) -> pd.DataFrame:
    """List what a person should decide, first what most dollars are expected of: a firm's times probability.

    Parameters
    ----------
    awards
        Parquet of the contract `awards`.
    tables
        `companies` and `company_matches` are read.
    index
        The recipients that were matched against.
    batch_rows
        Awards read at once.

    Returns
    -------
    pandas.DataFrame
        As the contract `review_candidates` says.
    """
    matches = pq.read_table(tables.company_matches, filters=[("decision", "=", "review")]).to_pandas()
    if matches.empty:
        return pd.DataFrame(columns=REVIEW_CANDIDATES.names)
    wanted = pc.field("company_id").isin(text_array(matches["company_id"]))
    known = pq.read_table(tables.companies, filters=wanted).to_pandas()
    review = known.merge(matches, on="company_id", validate="one_to_one")
    facts = _award_facts(awards, review, batch_rows)
    dollars = facts.groupby("company_id")["award_usd"].sum().round(2)
    review["awards_usd"] = review["company_id"].map(dollars)
    review["firm"] = _group_firms(review)
    review = review.sort_values(["awards_usd", "awards", "company_id"], ascending=[False, False, True])
    part = review.groupby("firm").cumcount() // MOST_SPELLINGS
    review["firm"] = list(zip(review["firm"], part, strict=True))
    first = review.drop_duplicates("firm").set_index("firm")
    years = facts.groupby("company_id")["award_year"].agg(["min", "max"]).reindex(review["company_id"])
    review = review.assign(first_year=years["min"].to_numpy(), last_year=years["max"].to_numpy())
    by_firm = review.groupby("firm", sort=False)
    firm_of = review.set_index("company_id")["firm"]
    sites = facts.assign(firm=facts["company_id"].map(firm_of)).dropna(subset="website")
    questions = first.assign(
        awards=by_firm["awards"].sum(),
        awards_usd=by_firm["awards_usd"].sum(),
        first_year=by_firm["first_year"].min(),
        last_year=by_firm["last_year"].max(),
        website=sites.groupby("firm")["website"].agg(_most_frequent) if len(sites) else None,
        evidence=[_in_words(*two) for two in zip(first["tier"], first["evidence"], strict=True)],
        spellings=_spellings(review).groupby(review["firm"], sort=False).agg("\n".join),
    )
    for name, values in _shown(questions["recipient_id"], index).items():
        questions[name] = values
    questions["expected_usd"] = questions["awards_usd"] * questions["match_probability"]
    ordered = questions.sort_values(
        ["expected_usd", "awards_usd", "company_id"], ascending=[False, False, True], ignore_index=True
    )
    listed: pd.DataFrame = ordered[REVIEW_CANDIDATES.names]
    return listed


def write_questions(awards: Path, tables: MatchTables, index: RecipientIndex, *, batch_rows: int) -> int:
    """Write the contract `review_candidates`; returns how many questions there are."""
    with phase("review") as span:
        questions = list_questions(awards, tables, index, batch_rows=batch_rows)
        write_parquet(tables.review_candidates, REVIEW_CANDIDATES.arrow(questions))
        span.rows = len(questions)
    return len(questions)


def _award_facts(awards: Path, review: pd.DataFrame, batch_rows: int) -> pd.DataFrame:
    """Read what the awards of these companies say; most awards are seen by their company's name only."""
    names = text_array(review["company"].drop_duplicates())
    wanted = set(review["company_id"])
    parts = []
    with pq.ParquetFile(awards) as file:
        for batch in file.iter_batches(batch_size=batch_rows, columns=[*FIELDS, *FACTS]):
            near = pa.Table.from_batches([batch]).filter(pc.is_in(batch["company"], value_set=names))
            frame = near.append_column("company_id", company_ids(near)).to_pandas()
            parts.append(frame.loc[frame["company_id"].isin(wanted), ["company_id", *FACTS]])
    facts: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return facts


def _group_firms(review: pd.DataFrame) -> list[int]:
    """Number the firms: companies of one proposed recipient that share name, identifier or building."""
    column = {name: text_array(review[name]) for name in FIELDS}
    places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
    buildings = [
        (int(zip5), int(number)) if zip5 and number else None
        for zip5, number in zip(places.zip5, places.number, strict=True)
    ]
    keys = {
        "name": name_keys(column["company"]).tolist(),
        "uei": column["uei"].to_pylist(),
        "duns": column["duns"].to_pylist(),
        "building": buildings,
    }
    firm = list(range(len(review)))
    first_with: dict[Hashable, int] = {}
    recipients = review["recipient_id"].tolist()
    for kind, values in keys.items():
        for at, (value, recipient) in enumerate(zip(values, recipients, strict=True)):
            if value:
                one, other = _root(firm, first_with.setdefault((kind, value, recipient), at)), _root(firm, at)
                firm[max(one, other)] = min(one, other)
    return [_root(firm, at) for at in range(len(firm))]


def _root(above: list[int], at: int) -> int:
    while above[at] != at:
        at = above[at]
    return at


def _spellings(review: pd.DataFrame) -> pd.Series[str]:
    fields = [review[name].fillna("").str.replace("|", "/") for name in SPELLED]
    fields = [field.str.replace(r"\s+", " ", regex=True).str.strip() for field in fields]
    lines = [" | ".join(line) for line in zip(*fields, review["company_id"], strict=True)]
    return pd.Series(lines, index=review.index, dtype="str")


def _most_frequent(values: pd.Series[str]) -> str:
    return str(values.value_counts(sort=False).sort_index().idxmax())


def _in_words(tier: str, evidence: str) -> str:
    found: dict[str, float] = json.loads(evidence)
    weights = {piece: bits for piece, bits in found.items() if piece not in ("prior", *KINDS)}
    parts = [_FOUND[tier]]
    for verdict, sign in (("For it", 1), ("Against it", -1)):
        pieces = [(bits * sign, piece) for piece, bits in weights.items() if not isinstance(bits, str)]
        words = _weighed(sorted(pieces, key=lambda pair: (-pair[0], pair[1])))
        parts += [f"{verdict}: {', '.join(words)}."] if words else []
    return " ".join(parts)


def _weighed(pieces: Iterable[tuple[float, str]]) -> list[str]:
    words = []
    for bits, piece in pieces:
        strength = next((word for least, word in _STRENGTHS if bits >= least), None)
        words += [f"{piece} ({strength})"] if strength else []
    return words


def _shown(recipient_ids: pd.Series[str], index: RecipientIndex) -> dict[str, np.ndarray]:
    rows = find_recipients(index, "recipient_id", recipient_ids.tolist())
    shown = index.shown(np.array([rows[one] for one in recipient_ids], np.int64)).to_pandas()
    return {f"recipient_{name}": shown[name].to_numpy() for name in ("city", "state", "uei", "duns")}
