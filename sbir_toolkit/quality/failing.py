"""Where to look: the awards that speak against the failed gates, and the slices that stand out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sbir_toolkit.params import Gate
from sbir_toolkit.quality.gates import GateReport
from sbir_toolkit.quality.rows import failing_rows
from sbir_toolkit.storage import atomic_path, write_parquet

_BATCH_ROWS = 65_536
_SHOWN = (
    "award_id",
    "company",
    "agency",
    "award_year",
    "phase",
    "award_usd",
    "uei",
    "duns",
    "decision",
    "tier",
)
COLUMNS = ("gate", "slice", *_SHOWN)


def find_failing_rows(
    awards: Path, report: GateReport, gates: Mapping[str, Gate], folder: Path
) -> pd.DataFrame:
    """Find the awards that speak against each failed gate, and write them all beside the report.

    Parameters
    ----------
    awards
        Parquet of the contract ENRICHED_AWARDS.
    report, gates
        The verdicts, and the gates as declared.
    folder
        Gets `failing_rows.parquet` and `failing_rows.csv`; neither when there are no such rows, as with gates
        on records that never became awards, or on sums.

    Returns
    -------
    pandas.DataFrame
        Gate, slice, and what identifies the award, in the order of the gates and the awards.
    """
    failed = report.table.loc[report.table["verdict"] == "fail", "gate"]
    wanted = [(name, part) for name in failed for part in report.failing.get(name, ())]
    found: list[list[pa.Table]] = [[] for _ in wanted]
    with pq.ParquetFile(awards) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS) if wanted else ():
            for (name, part), tables in zip(wanted, found, strict=True):
                failing = failing_rows(batch, gates[name], part)
                if failing is not None:
                    chosen = pa.Table.from_batches([batch]).filter(failing).select(list(_SHOWN))
                    names = [pa.array([text] * chosen.num_rows, pa.string()) for text in (name, part)]
                    tables.append(chosen.add_column(0, "slice", names[1]).add_column(0, "gate", names[0]))
    parts = [table for tables in found for table in tables]
    if not sum(table.num_rows for table in parts):
        return pd.DataFrame(columns=list(COLUMNS))
    together = pa.concat_tables(parts).combine_chunks()
    write_parquet(folder / "failing_rows.parquet", together)
    with atomic_path(folder / "failing_rows.csv") as temporary:
        pa.csv.write_csv(together, temporary)
    frame: pd.DataFrame = together.to_pandas()
    return frame


def find_outliers(metrics: pd.DataFrame, metric: str = "match_rate") -> pd.DataFrame:
    """Find the slices whose share is surely not that of the whole: their interval leaves it out.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of the contract METRICS.
    metric
        A share that has an interval; slices by tier are parts of the whole and left out.

    Returns
    -------
    pandas.DataFrame
        Slice, value, low, high, cases, and by how many cases it differs from the whole, the most first.
    """
    chosen = metrics[(metrics["metric"] == metric) & ~metrics["slice"].str.startswith("tier=")]
    whole = chosen.loc[chosen["slice"] == "all", "value"]
    level = float(whole.iloc[0]) if len(whole) else float("nan")
    parts = chosen[chosen["slice"] != "all"]
    apart = parts[(parts["low"] > level) | (parts["high"] < level)]
    cases = (apart["numerator"] - level * apart["denominator"]).round()
    told = apart.assign(cases=apart["denominator"].astype("int64"), difference=cases.astype("int64"))
    order = told["difference"].abs().sort_values(ascending=False, kind="stable").index
    shown: pd.DataFrame = told.loc[order, ["metric", "slice", "value", "low", "high", "cases", "difference"]]
    return shown.reset_index(drop=True)
