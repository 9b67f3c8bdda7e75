"""How right the matching is, measured on companies whose recipient is known."""

from __future__ import annotations

import pandas as pd
import pytest

from sbir_toolkit.matching import AccuracyReport, measure_accuracy
from sbir_toolkit.matching.accuracy import wilson_interval
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.tables import ACCURACY
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies

RECIPIENTS_MADE = [row | {"duns": f"{at + 100_000_000}"} for at, row in enumerate(make_background(500))]


def companies_known(count: int) -> pd.DataFrame:
    """Make companies with the DUNS and the name of a recipient."""
    rows = RECIPIENTS_MADE[:count]
    return make_companies(
        *(
            {
                "company": row["recipient_name"],
                **{part: row[part] for part in ("duns", "city", "state", "zip5")},
            }
            for row in rows
        )
    )


@pytest.fixture
def report(make_index: Make) -> AccuracyReport:
    """Measure 100 companies and 60 decoys."""
    accuracy = Accuracy(sample_companies=100, decoys=60)
    return measure_accuracy(companies_known(200), make_index(RECIPIENTS_MADE), Matching(), accuracy, 0.95)


def value(report: AccuracyReport, estimate: str) -> float:
    """Look up an estimate for all companies."""
    rows = report.table.set_index(["estimate", "slice"])
    return float(rows.loc[(estimate, "all"), "value"])


def test_the_table_keeps_its_contract(report: AccuracyReport) -> None:
    """Every estimate is a share between its interval's ends."""
    table = ACCURACY.check(report.table)
    known = table.dropna(subset=["low"])
    assert ((known["low"] <= known["value"] + 1e-9) & (known["value"] <= known["high"] + 1e-9)).all()


def test_known_companies_are_found_again(report: AccuracyReport) -> None:
    """Companies that bear their recipient's own name are found without their identifier."""
    assert value(report, "hidden_identifier_precision") > 0.95
    assert value(report, "hidden_identifier_recall") > 0.9
    assert value(report, "candidate_recall") >= value(report, "hidden_identifier_review_recall")


def test_without_the_right_recipient_nobody_is_linked(report: AccuracyReport) -> None:
    """Where the right recipient is taken away, and for invented companies, links are false, and rare."""
    assert value(report, "removed_truth_link_share") < 0.05
    assert value(report, "decoy_link_share") < 0.05
    removed = report.cases[report.cases["kind"] == "removed"]
    assert not removed["is_right"].any()
    assert (removed["truth_id"] != removed["recipient_id"]).all()


def test_the_sample_has_the_size_asked_for(report: AccuracyReport) -> None:
    """As many companies as asked for are tried, each with and without its recipient."""
    assert report.cases["kind"].value_counts().loc[["hidden", "removed"]].tolist() == [100, 100]
    assert report.reliability["n"].sum() == 125


def test_the_seed_decides_the_sample(make_index: Make) -> None:
    """The same seed tries the same companies, another one others; the companies' order doesn't matter."""
    index, companies = make_index(RECIPIENTS_MADE), companies_known(200)

    def tried(seed: int, frame: pd.DataFrame) -> list[str]:
        accuracy = Accuracy(sample_companies=20, decoys=5, seed=seed)
        return measure_accuracy(frame, index, Matching(), accuracy, 0.95).cases["company_id"].tolist()

    assert tried(1, companies) == tried(1, companies.iloc[::-1])
    assert tried(1, companies) != tried(2, companies)


def test_nothing_to_measure_is_said_so(make_index: Make) -> None:
    """Without any identifier the estimates are null, not zero."""
    companies = make_companies({"company": "Nanohmics"})
    report = measure_accuracy(companies, make_index(RECIPIENTS_MADE), Matching(), Accuracy(decoys=1), 0.95)
    table = ACCURACY.check(report.table).set_index("estimate")
    assert pd.isna(table.loc["hidden_identifier_precision", "value"])
    assert table.loc["hidden_identifier_precision", "denominator"] == 0


def test_wilson_interval_of_known_counts() -> None:
    """The interval of 50 of 100 is the textbook's."""
    low, high = wilson_interval(50, 100, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
