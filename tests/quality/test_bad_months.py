"""Bad months are caught by the default gates, and named."""

import pytest

from sbir_toolkit import Params, write_synthetic

from .bad_months import FAULTS, as_history, judge_month, lost_agency, read_text, write_text


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Give a good month's file, the folder it is worked on in, and the history that it makes."""
    work = tmp_path_factory.mktemp("months")
    write_synthetic(work, awards=1_500, recipients=4_000, seed=5)
    metrics, report = judge_month(work / "awards.csv", work / "recipients.csv", work, Params(), None)
    return read_text(work / "awards.csv"), work, as_history(metrics), report


def judge(awards, good, name):
    _, work, history, _ = good
    path = write_text(awards, work / f"{name}.csv")
    return judge_month(path, work / "recipients.parquet", work, Params(), history)[1].table.set_index("gate")


def test_good_month_is_let_pass(good):
    """Nothing that compares months fails or warns on the first run, nor on the same month again."""
    awards, _, _, first = good
    fine = {"identifiers", "agencies", "award_count", "freshness", "award_amounts", "valid_values"}
    fine |= {"conforming_values", "category_drift", "amount_drift", "format_drift", "match_rate"}
    again = judge(awards, good, "again")
    assert set(again.loc[list(fine), "verdict"]) == {"pass"}
    assert not set(first.failed) & fine


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_month_is_caught_and_named(good, fault):
    """One accepted month and the default gates are enough to name the metric and the slice."""
    spoil, verdict, metric, part = FAULTS[fault]
    awards = good[0]
    table = judge(spoil(awards), good, fault.replace(" ", "_").replace("'", ""))
    found = table[(table["metric"] == metric) & (table["verdict"] == verdict)]
    assert found["slice"].str.startswith(part).any(), table[["verdict", "slice", "reason"]].to_string()
    if fault == "one agency missing":
        assert f"agency={lost_agency(awards)}" in set(found["slice"])


def test_capitals_hold_nothing_up(good):
    """Names in capitals match as before: the change is told, and no gate fails for it."""
    awards, _, _, first = good
    table = judge(FAULTS["every name in capitals"][0](awards), good, "capitals")
    assert set(table[table["verdict"] == "fail"].index) == set(first.failed)
