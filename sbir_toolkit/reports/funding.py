"""Where the money went, and how much of it has a known recipient behind it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.tables import FUNDING

_DIMENSIONS = {"year": "award_year", "agency": "agency", "state": "state"}
_NOT_STATED = "not stated"


def summarize_funding(enriched_awards: Path) -> pd.DataFrame:
    """Count awards and sum dollars by year, agency and state, all and matched.

    Exact repeats of a record are left out, so that no dollar is counted twice. A missing amount counts as an
    award without dollars.

    Parameters
    ----------
    enriched_awards
        Parquet of the contract `enriched_awards`; only the columns needed are read.

    Returns
    -------
    pandas.DataFrame
        Of the contract `funding`: years in order, agencies and states by dollars, the largest first.
    """
    awards = pq.read_table(
        enriched_awards, columns=[*_DIMENSIONS.values(), "award_usd", "decision", "is_duplicate"]
    )
    awards = awards.filter(pc.invert(awards["is_duplicate"]))
    is_matched = pc.equal(awards["decision"], "accept")
    dollars = pc.fill_null(awards["award_usd"], 0.0)
    sums = pa.table(
        {
            **{name: awards[name] for name in _DIMENSIONS.values()},
            "awards": pc.cast(pc.is_valid(awards["decision"]), pa.int64()),
            "matched_awards": pc.cast(is_matched, pa.int64()),
            "awards_usd": dollars,
            "matched_usd": pc.if_else(is_matched, dollars, 0.0),
        }
    )
    parts = [_by_dimension(sums, dimension, column) for dimension, column in _DIMENSIONS.items()]
    return pd.concat(parts, ignore_index=True)[FUNDING.names]


def _by_dimension(sums: pa.Table, dimension: str, column: str) -> pd.DataFrame:
    counted = ["awards", "matched_awards", "awards_usd", "matched_usd"]
    grouped = (
        sums.group_by(column, use_threads=False).aggregate([(name, "sum") for name in counted]).to_pandas()
    )
    frame = grouped.rename(columns={f"{name}_sum": name for name in counted})
    values = (
        frame[column].astype("Int64").astype("string")
        if dimension == "year"
        else frame[column].astype("string")
    )
    frame = frame.assign(dimension=dimension, value=values.fillna(_NOT_STATED).astype("str"))
    order = ["value"] if dimension == "year" else ["awards_usd", "value"]
    result: pd.DataFrame = frame.sort_values(
        order, ascending=[True] if dimension == "year" else [False, True], ignore_index=True
    )
    return result
