import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.errors import ContractError
from sbir_toolkit.params import Quality
from sbir_toolkit.quality import measure_quality
from sbir_toolkit.tables import (
    ACCURACY,
    AWARD_REJECTS,
    ENRICHED_AWARDS,
    METRICS,
    RECIPIENT_REJECTS,
    RECIPIENTS,
)

from .frames import ACCEPTED, award, store


def reject(row, reason="company is blank"):
    return {"source_row": row, "source_line": row, "reason": reason, "raw": ","}


def measured(metrics, metric, part="all"):
    table = metrics.table
    rows = table[(table["metric"] == metric) & (table["slice"] == part)]
    assert len(rows) == 1, f"{metric} {part}"
    return rows.iloc[0]


@pytest.fixture
def four_awards(tmp_path):
    """Give four awards (2 accepted, 1 review, 1 rejected) with 1 rejected record of 5; 3 recipients of 3."""
    awards = [
        award(**ACCEPTED, uei="ABCDEFGHJKL1", award_usd=300.0, award_year=2020),
        award(decision="accept", tier="name_fuzzy", match_probability=0.91, award_usd=100.0, award_year=2021),
        award(decision="review", tier="name_fuzzy", match_probability=0.6, duns="123456780", award_usd=None),
        award(state=None, phase="", agency="Department of Defense", is_duplicate=True, award_usd=600.0),
    ]
    return {
        "enriched_awards": store(tmp_path, ENRICHED_AWARDS, awards),
        "award_rejects": store(tmp_path, AWARD_REJECTS, [reject(5)]),
        "recipients": store(
            tmp_path,
            RECIPIENTS,
            [
                {"recipient_id": str(i), "recipient_name": "A", "duns": "012345678" if i else None}
                for i in range(3)
            ],
        ),
        "recipient_rejects": store(tmp_path, RECIPIENT_REJECTS, []),
    }


RECORDS = {"award_records": 5, "recipient_records": 3}


@pytest.mark.parametrize(
    ("metric", "part", "expected"),
    [
        ("match_rate", "all", (0.5, 2, 4)),
        ("match_rate", "tier=uei", (0.25, 1, 4)),
        ("match_rate", "tier=duns", (0.0, 0, 4)),
        ("match_rate", "tier=name_fuzzy", (0.25, 1, 4)),
        ("match_rate", "agency=Department of Energy", (2 / 3, 2, 3)),
        ("match_rate", "agency=Department of Defense", (0.0, 0, 1)),
        ("match_rate", "award_year=2021", (1.0, 1, 1)),
        ("match_rate", "award_year=2020", (1 / 3, 1, 3)),
        ("match_rate", "phase=Phase I", (2 / 3, 2, 3)),
        ("match_rate", "state=MA", (2 / 3, 2, 3)),
        ("match_rate", "state=(blank)", (0.0, 0, 1)),
        ("review_share", "all", (0.25, 1, 4)),
        ("reject_share", "all", (0.25, 1, 4)),
        ("matched_usd_share", "all", (0.4, 400, 1000)),
        ("mean_match_probability", "all", (2.5 / 3, 2.5, 3)),
        ("expected_false_link_share", "all", (0.05, 0.1, 2)),
        ("required_complete_share", "all", (0.5, 2, 4)),
        ("required_complete_share", "column=award_usd", (0.75, 3, 4)),
        ("required_complete_share", "column=phase", (0.75, 3, 4)),
        ("required_complete_share", "column=company", (1.0, 4, 4)),
        ("duplicate_share", "all", (0.25, 1, 4)),
        ("identifier_coverage", "all", (0.5, 2, 4)),
        ("identifier_coverage", "identifier=uei", (0.25, 1, 4)),
        ("award_rejected_share", "all", (0.2, 1, 5)),
        ("award_rejected_share", "reason=company is blank", (0.2, 1, 5)),
        ("recipient_rejected_share", "all", (0.0, 0, 3)),
        ("awards_conserved", "all", (1.0, 5, 5)),
        ("recipients_conserved", "all", (1.0, 3, 3)),
    ],
)
def test_metrics_of_four_awards(four_awards, metric, part, expected):
    """Each metric has the value that was worked out by hand."""
    row = measured(measure_quality(four_awards, RECORDS, Quality()), metric, part)
    assert (row["value"], row["numerator"], row["denominator"]) == pytest.approx(expected)


def test_metrics_keep_their_contract(four_awards):
    """The table keeps its contract, and counts have intervals while sums have none."""
    metrics = measure_quality(four_awards, RECORDS, Quality())
    METRICS.check(metrics.table)
    assert METRICS.arrow(metrics.table).num_rows == len(metrics.table)
    assert measured(metrics, "recipient_identifiers")["value"] == 2
    rate, dollars = measured(metrics, "match_rate"), measured(metrics, "matched_usd_share")
    assert (rate["low"], rate["high"]) == pytest.approx((0.150039, 0.849961), abs=1e-6)
    assert math.isnan(dollars["low"])
    assert measured(metrics, "awards")["value"] == 4
    assert measured(metrics, "awards_usd")["value"] == 1000


def test_confidence_sets_the_width(four_awards):
    """A higher level of confidence widens the intervals."""
    wide = measured(measure_quality(four_awards, RECORDS, Quality(confidence=0.999)), "match_rate")
    usual = measured(measure_quality(four_awards, RECORDS, Quality()), "match_rate")
    assert wide["low"] < usual["low"]
    assert wide["high"] > usual["high"]


def test_success_is_told_in_few_figures(four_awards):
    """What a reader asks first stands in one short table, with intervals, as far as it was measured."""
    metrics = measure_quality(four_awards, RECORDS, Quality())
    told = metrics.success.set_index("metric")
    assert list(told.index) == [
        "match_rate",
        "matched_usd_share",
        "review_share",
        "expected_false_link_share",
    ]
    assert told.loc["match_rate", "what"] == "awards with an accepted recipient"
    assert tuple(told.loc["match_rate", ["value", "value_low", "value_high"]]) == pytest.approx(
        (0.5, 0.150039, 0.849961), abs=1e-6
    )


@pytest.mark.parametrize("records", [4, 6])
def test_lost_or_invented_rows_show(four_awards, records):
    """A row too few or too many breaks conservation."""
    metrics = measure_quality(four_awards, {**RECORDS, "award_records": records}, Quality())
    assert measured(metrics, "awards_conserved")["value"] == 0.0


def test_no_awards_have_no_shares(tmp_path):
    """With zero rows a share has no value, and nothing divides by zero."""
    tables = {
        "enriched_awards": store(tmp_path, ENRICHED_AWARDS, []),
        "award_rejects": store(tmp_path, AWARD_REJECTS, []),
    }
    metrics = measure_quality(tables, {"award_records": 0}, Quality())
    METRICS.check(metrics.table)
    for name in (
        "match_rate",
        "review_share",
        "required_complete_share",
        "duplicate_share",
        "award_rejected_share",
    ):
        row = measured(metrics, name)
        assert math.isnan(row["value"])
        assert math.isnan(row["low"])
        assert row["denominator"] == 0
    assert metrics.values()["match_rate"] is None
    assert metrics.values()["awards_conserved"] == 1.0
    assert "not known" in repr(metrics)


def test_one_award(tmp_path):
    """One accepted award gives a rate of 1 with a wide interval."""
    metrics = measure_quality(
        {"enriched_awards": store(tmp_path, ENRICHED_AWARDS, [award(**ACCEPTED)])}, {}, Quality()
    )
    row = measured(metrics, "match_rate")
    assert (row["value"], row["high"]) == (1.0, 1.0)
    assert row["low"] == pytest.approx(0.206549, abs=1e-6)
    assert measured(metrics, "expected_false_link_share")["value"] == pytest.approx(0.01)


def test_all_null_columns(tmp_path):
    """Columns without a single value count as blank and leave sums without a value."""
    blank = dict.fromkeys(("company", "agency", "award_year", "award_usd", "phase", "program", "state"))
    path = store(tmp_path, ENRICHED_AWARDS, [award(**blank), award(**blank)])
    metrics = measure_quality({"enriched_awards": path}, {}, Quality())
    assert measured(metrics, "required_complete_share")["value"] == 0
    assert measured(metrics, "match_rate", "agency=(blank)")["denominator"] == 2
    assert math.isnan(measured(metrics, "mean_match_probability")["value"])
    assert math.isnan(measured(metrics, "matched_usd_share")["value"])
    assert math.isnan(measured(metrics, "expected_false_link_share")["value"])


def test_review_is_never_matched(tmp_path):
    """Awards that wait for a review don't raise the match rate, however probable."""
    rows = [award(decision="review", tier="name_exact", match_probability=0.999)] * 3
    metrics = measure_quality({"enriched_awards": store(tmp_path, ENRICHED_AWARDS, rows)}, {}, Quality())
    assert measured(metrics, "match_rate")["value"] == 0
    assert measured(metrics, "review_share")["value"] == 1


def test_what_a_person_chose_is_matched_but_no_measured_probability(tmp_path):
    """An override counts as a link of its own tier; shares of probabilities leave it out."""
    rows = [
        award(decision="accept", tier="override", match_probability=None),
        award(decision="accept", tier="uei", match_probability=0.9),
    ]
    metrics = measure_quality({"enriched_awards": store(tmp_path, ENRICHED_AWARDS, rows)}, {}, Quality())
    assert measured(metrics, "match_rate", "tier=override")["value"] == 0.5
    assert measured(metrics, "expected_false_link_share")["value"] == pytest.approx(0.1)
    assert measured(metrics, "mean_match_probability")["value"] == pytest.approx(0.9)


def test_what_is_not_given_is_not_measured(four_awards):
    """Without a table or a count of records there is no metric, rather than a made-up one."""
    metrics = measure_quality({"award_rejects": four_awards["award_rejects"]}, {}, Quality())
    assert metrics.table.empty
    METRICS.check(metrics.table)


def test_accuracy_comes_in_by_name(tmp_path):
    """Estimates of accuracy become metrics under their own names, with their own intervals."""
    shared = {"slice": "all", "method": "hidden"}
    counts = {"value": 0.98, "low": 0.9, "high": 0.99, "numerator": 98, "denominator": 100}
    rows = [
        {"estimate": "hidden_identifier_precision", **shared, **counts},
        {"estimate": "hidden_identifier_recall", **shared, "numerator": 0, "denominator": 0},
    ]
    metrics = measure_quality({"accuracy": store(tmp_path, ACCURACY, rows)}, {}, Quality())
    METRICS.check(metrics.table)
    row = measured(metrics, "hidden_identifier_precision")
    assert (row["value"], row["low"], row["high"], row["denominator"]) == (0.98, 0.9, 0.99, 100)
    assert math.isnan(measured(metrics, "hidden_identifier_recall")["value"])


def test_estimate_with_a_taken_name_is_refused(tmp_path):
    """An estimate can't pass itself off as a metric."""
    estimate = {"estimate": "match_rate", "slice": "all", "numerator": 1, "denominator": 1, "method": "x"}
    tables = {
        "enriched_awards": store(tmp_path, ENRICHED_AWARDS, [award()]),
        "accuracy": store(tmp_path, ACCURACY, [estimate]),
    }
    with pytest.raises(ContractError, match="match_rate"):
        measure_quality(tables, {}, Quality())


@pytest.mark.parametrize("table", ["enriched_awards", "award_rejects", "accuracy"])
def test_unreadable_table_is_named(tmp_path, table):
    """A missing, broken or foreign file gives an error that names it."""
    records = {"award_records": 1}
    broken = tmp_path / "broken.parquet"
    with pytest.raises(ContractError, match="broken"):
        measure_quality({table: broken}, records, Quality())
    broken.write_bytes(b"not Parquet")
    with pytest.raises(ContractError, match="broken"):
        measure_quality({table: broken}, records, Quality())
    foreign = store(tmp_path, RECIPIENTS, [])
    with pytest.raises(ContractError, match="recipients"):
        measure_quality({table: foreign}, records, Quality())


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 60), st.lists(st.tuples(st.floats(-1e7, 1e7), st.floats(0, 1)), min_size=1, max_size=60)
)
def test_row_groups_leave_no_trace(tmp_path_factory, row_group_size, values):
    """The same awards give exactly the same metrics in any order, however cut into row groups."""
    folder = tmp_path_factory.mktemp("groups")
    awards = [award(decision="accept", tier="uei", award_usd=usd, match_probability=p) for usd, p in values]
    whole = store(folder / "whole", ENRICHED_AWARDS, awards)
    cut = store(folder / "cut", ENRICHED_AWARDS, awards[::-1], row_group_size)
    first = measure_quality({"enriched_awards": whole}, {}, Quality()).table
    second = measure_quality({"enriched_awards": cut}, {}, Quality()).table
    assert first.equals(second)


def test_shows_itself(four_awards):
    """The result reads well as text and as HTML."""
    metrics = measure_quality(four_awards, RECORDS, Quality())
    assert "match rate 50.0%" in repr(metrics)
    assert "<table" in metrics._repr_html_()
