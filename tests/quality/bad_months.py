"""A month's file as it shouldn't be: what goes wrong with deliveries, done to a good file on purpose.

Each fault takes the awards as text, in the columns of SBIR.gov's file, and gives them back spoilt.
`judge_month` takes a file through reading, matching, measuring and the default gates, as the pipeline would.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from sbir_toolkit import load_awards, load_recipients, measure_quality
from sbir_toolkit.enrichment import enrich_awards
from sbir_toolkit.params import Params
from sbir_toolkit.quality import GateReport, evaluate_gates
from sbir_toolkit.tables import METRIC_HISTORY


def _blank_half_of_the_identifiers(awards: pd.DataFrame) -> pd.DataFrame:
    spoilt = awards.copy()
    spoilt.loc[spoilt.index % 2 == 0, ["UEI", "Duns"]] = ""
    return spoilt


def _swap_company_and_city(awards: pd.DataFrame) -> pd.DataFrame:
    return awards.assign(Company=awards["City"].where(awards["City"] != "", "X"), City=awards["Company"])


def _give_amounts_in_thousands(awards: pd.DataFrame) -> pd.DataFrame:
    amounts = pd.to_numeric(awards["Award Amount"].str.replace(r"[$,]", "", regex=True), errors="coerce")
    return awards.assign(**{"Award Amount": (amounts / 1000).round(2).astype("str").replace("nan", "")})


def _lose_an_agency(awards: pd.DataFrame) -> pd.DataFrame:
    return awards[awards["Agency"] != lost_agency(awards)]


def _send_last_years_file(awards: pd.DataFrame) -> pd.DataFrame:
    years = pd.to_numeric(awards["Award Year"], errors="coerce")
    # The newest years of a file hold a handful of awards filed ahead, or mistyped.
    return awards[years < years.quantile(0.99)]


def _write_names_in_capitals(awards: pd.DataFrame) -> pd.DataFrame:
    return awards.assign(Company=awards["Company"].str.upper())


def lost_agency(awards: pd.DataFrame) -> str:
    """Name the agency that is lost: not a large one."""
    return str(awards["Agency"].value_counts().index[3])


# What goes wrong, and the metric and the slice that a gate has to name.
FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str, str]] = {
    "half of the identifiers blanked": (
        _blank_half_of_the_identifiers,
        "fail",
        "identifier_coverage",
        "identifier=",
    ),
    "company and city swapped": (_swap_company_and_city, "fail", "conforming_share", "column=city"),
    "amounts in thousands": (_give_amounts_in_thousands, "fail", "median_award_usd", "all"),
    "one agency missing": (_lose_an_agency, "fail", "awards", "agency="),
    "last year's file again": (_send_last_years_file, "fail", "newest_award_date", "all"),
    "every name in capitals": (_write_names_in_capitals, "warn", "format_drift", "column=company"),
}


def read_text(path: Path) -> pd.DataFrame:
    """Read an awards file as text."""
    return pd.read_csv(path, dtype="str", keep_default_na=False)


def write_text(awards: pd.DataFrame, path: Path) -> Path:
    """Write awards back as a file."""
    awards.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL)
    return path


def judge_month(
    awards: Path, recipients: Path, work: Path, params: Params, history: pd.DataFrame | None
) -> tuple[pd.DataFrame, GateReport]:
    """Take a month's file from reading to the gates; gives the metrics and the verdicts."""
    folder = work / awards.stem
    loaded = load_awards(awards, folder, params.limits)
    if not recipients.exists() or recipients.suffix != ".parquet":
        load_recipients(recipients, work, params.limits)
        recipients = work / "recipients.parquet"
    enrich_awards(folder / "awards.parquet", recipients, folder, work / "store", params)
    tables = {
        "enriched_awards": folder / "enriched_awards.parquet",
        "award_rejects": folder / "award_rejects.parquet",
        "recipients": recipients,
    }
    records = {"award_records": loaded.records_read, "award_repairs": loaded.repaired}
    metrics = measure_quality(tables, records, params.quality, history).table
    return metrics, evaluate_gates(metrics, params.quality.gates, history)


def as_history(*months: pd.DataFrame) -> pd.DataFrame:
    """Turn the metrics of accepted months into the history that the next one is held against."""
    frames = [month.assign(run_id=f"month-{n}", created=float(n)) for n, month in enumerate(months)]
    return pd.concat(frames, ignore_index=True)[METRIC_HISTORY.names]
