"""What columns look like, and how far they moved: known answers, also for no, one and all-null rows."""

import datetime
import math

import pandas as pd
import pytest

from sbir_toolkit.params import Quality
from sbir_toolkit.quality import measure_quality
from sbir_toolkit.tables import ENRICHED_AWARDS, METRICS

from .bad_months import as_history
from .frames import ACCEPTED, award, store

MAY = datetime.date(2020, 5, 1)
FOUR = [
    award(
        company="ACME INC",
        city="Boston",
        award_usd=100_000.0,
        award_date=datetime.date(2020, 5, 1),
        zip5="02142",
    ),
    award(
        company="Acme 3 LLC", city="Acme Inc", award_usd=200_000.0, phase="Phase IIB", state="Ma", zip5="2142"
    ),
    award(company="Plain", city="Route 66", award_usd=0.0, phase="II", agency="NASA", **ACCEPTED),
    award(company="7", award_usd=None, program="XYZ", award_year=1975, agency="Department 9", **ACCEPTED),
]
NULLS = dict.fromkeys(
    ("company", "city", "state", "zip5", "agency", "phase", "program", "award_usd", "award_year")
)
RECORDS = {"award_records": 10, "award_repairs": {"uei_invalid": 3, "amount_unreadable": 1}}


def measure(tmp_path, rows, records=None, history=None):
    path = store(tmp_path, ENRICHED_AWARDS, rows)
    return METRICS.check(measure_quality({"enriched_awards": path}, records or {}, Quality(), history).table)


def row(table, metric, part="all"):
    found = table[(table["metric"] == metric) & (table["slice"] == part)]
    assert len(found) == 1, f"{metric} {part}"
    return found.iloc[0]


@pytest.mark.parametrize(
    ("metric", "part", "numerator", "denominator"),
    [
        ("valid_share", "column=award_usd", 2, 3),
        ("valid_share", "column=award_year", 3, 4),
        ("valid_share", "column=phase", 3, 4),
        ("valid_share", "column=program", 3, 4),
        ("conforming_share", "column=company", 3, 4),
        ("conforming_share", "column=agency", 3, 4),
        ("conforming_share", "column=city", 1, 3),
        ("conforming_share", "column=state", 3, 4),
        ("conforming_share", "column=zip5", 1, 2),
        ("category_share", "agency=NASA", 1, 4),
        ("category_share", "award_year=2020", 3, 4),
        ("category_share", "program=XYZ", 1, 4),
        ("amount_share", "award_usd=0 to 1,000", 1, 3),
        ("amount_share", "award_usd=100,000 to 125,000", 1, 3),
        ("amount_share", "award_usd=200,000 to 250,000", 1, 3),
        ("format_share", "company=in capitals, with a legal form", 1, 4),
        ("format_share", "company=with digits, with a legal form", 1, 4),
        ("format_share", "company=with digits", 1, 4),
        ("format_share", "company=plain", 1, 4),
        ("probability_share", "match_probability=0.95 to 1.00", 2, 2),
        ("award_repaired_share", "kind=uei_invalid", 3, 10),
        ("identifier_validity", "identifier=uei", 0, 3),
        ("identifier_coverage", "agency=NASA", 0, 1),
    ],
)
def test_four_awards(tmp_path, metric, part, numerator, denominator):
    """Each share has the counts that were worked out by hand, and an interval around its value."""
    found = row(measure(tmp_path, FOUR, RECORDS), metric, part)
    assert (found["numerator"], found["denominator"]) == (numerator, denominator)
    assert found["value"] == pytest.approx(numerator / denominator)
    assert found["low"] <= found["value"] <= found["high"]


def test_amounts_dates_and_counts(tmp_path):
    """The median amount of three, the newest date (the first of the year where none is filed), the counts."""
    table = measure(tmp_path, FOUR)
    median, newest = row(table, "median_award_usd"), row(table, "newest_award_date")
    assert (median["value"], median["low"], median["high"], median["denominator"]) == (100_000, 0, 200_000, 3)
    assert newest["value"] == (MAY - datetime.date(1970, 1, 1)).days
    assert row(table, "awards", "agency=NASA")["value"] == 1
    false_links = row(table, "expected_false_link_share")
    deviation = math.sqrt(2 * 0.99 * 0.01) * 1.959964
    assert (false_links["value"], false_links["low"]) == (pytest.approx(0.01), 0)
    assert false_links["high"] == pytest.approx((0.02 + deviation) / 2, abs=1e-6)


SHARES = ["valid_share", "conforming_share", "amount_share", "probability_share"]


@pytest.mark.parametrize("rows", [[], [award(**NULLS)] * 2], ids=["zero rows", "all null"])
def test_nothing_to_measure_gives_no_value(tmp_path, rows):
    """Without a value in its column a share has none, and neither have median and date."""
    table = measure(tmp_path, rows, {"award_records": 0, "award_repairs": {"uei_invalid": 0}})
    chosen = table[table["metric"].isin([*SHARES, "identifier_validity", "award_repaired_share"])]
    assert chosen["value"].isna().all() and (chosen["denominator"] == 0).all() and len(chosen) > 40
    for name in ("median_award_usd", "newest_award_date", "expected_false_link_share"):
        assert math.isnan(row(table, name)["value"])
    assert table.loc[table["metric"] == "format_share", "value"].empty


def test_one_award(tmp_path):
    """One award makes shares of one with wide intervals, and is its own median."""
    table = measure(tmp_path, [award(**ACCEPTED)])
    assert row(table, "conforming_share", "column=company")["low"] == pytest.approx(0.206549, abs=1e-6)
    median = row(table, "median_award_usd")
    assert (median["value"], median["low"], median["high"], median["denominator"]) == (100, 100, 100, 1)


def test_drift_is_what_moved_beyond_chance(tmp_path):
    """The same awards don't drift; half of them under another agency make half, less what chance makes."""
    before = measure(tmp_path, [award()] * 2_000)
    past = as_history(before)
    same = measure(tmp_path, [award()] * 2_000, history=past)
    assert (same.loc[same["metric"].str.endswith("_drift"), "value"] == 0).all()
    moved = measure(tmp_path, [award()] * 1_000 + [award(agency="NASA")] * 1_000, history=past)
    agency = row(moved, "category_drift", "column=agency")
    assert 0.48 < agency["value"] < 0.5
    assert agency["numerator"] == pytest.approx(agency["value"] * 2_000)
    assert row(moved, "category_drift", "column=phase")["value"] == 0
    capitals = measure(tmp_path, [award(company="Acme Inc")] * 2_000, history=past)
    assert row(capitals, "format_drift", "column=company")["value"] > 0.95
    dear = measure(tmp_path, [award(award_usd=1e6)] * 2_000, history=past)
    assert row(dear, "amount_drift")["value"] > 0.95
    assert not before["metric"].str.endswith("_drift").any()


def test_drift_looks_at_the_last_accepted_run(tmp_path):
    """What the run before the last one held doesn't count any more."""
    old, new = ([award(agency=name)] * 500 for name in ("Old", "New"))
    past = as_history(measure(tmp_path, old), measure(tmp_path, new))
    assert row(measure(tmp_path, new, history=past), "category_drift", "column=agency")["value"] == 0
    mixed = pd.concat([past]).sample(frac=1, random_state=1)
    assert row(measure(tmp_path, new, history=mixed), "category_drift", "column=agency")["value"] == 0
