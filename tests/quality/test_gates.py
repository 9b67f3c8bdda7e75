import math

import pandas as pd
import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.params import Gate, HistoryRule, Quality, load_params
from sbir_toolkit.quality import evaluate_gates
from sbir_toolkit.tables import GATES, METRIC_HISTORY

from .frames import metric_rows

# What each default gate is content with, and what it fails on.
VALUES = {
    "match_rate": (0.8, 0.49),
    "match_rate_change": (0.8, 0.49),
    "award_rejects": (0.0, 0.03),
    "recipient_rejects": (0.0, 0.03),
    "required_fields": (1.0, 0.9),
    "duplicate_awards": (0.0, 0.06),
    "accuracy": (0.99, 0.94),
    "identifiers": (0.6, 0.3),
    "agencies": (500.0, 100.0),
    "award_count": (10_000.0, 8_000.0),
    "freshness": (18_000.0, 17_900.0),
    "award_amounts": (150_000.0, 150.0),
    "valid_values": (1.0, 0.7),
    "conforming_values": (1.0, 0.7),
    "category_drift": (0.0, 0.3),
    "amount_drift": (0.0, 0.3),
    "format_drift": (0.0, 0.95),
    "conservation": (1.0, 0.0),
    "recipient_conservation": (1.0, 0.0),
}


def row_of(name):
    """Name the row of metrics that a default gate looks at."""
    gate = Quality().gates[name]
    return gate.metric, f"{gate.by}=x" if gate.by else "all"


GOOD = {row_of(name): good for name, (good, _) in VALUES.items()}


def metrics_with(values):
    return metric_rows(*((*row, value, value * 1000, 1000) for row, value in values.items()))


def accepted(*runs):
    """Give the history of runs that measured these values, the oldest first."""
    frames = [
        metrics_with(values).assign(run_id=f"run-{n}", created=float(n)) for n, values in enumerate(runs)
    ]
    return pd.concat(frames, ignore_index=True)[METRIC_HISTORY.names]


def judge(gate, *rows):
    return evaluate_gates(metric_rows(*rows), {"gate": gate}).table.iloc[0]


def test_good_metrics_pass_the_default_gates():
    """Nothing fails or warns on a good result."""
    report = evaluate_gates(metrics_with(GOOD), Quality().gates, accepted(*[GOOD] * 6))
    GATES.check(report.table)
    assert set(report.table["verdict"]) == {report.verdict} == {"pass"}
    assert report.failed == []
    assert set(report.table["action"]) == {"continue"}


@pytest.mark.parametrize("name", Quality().gates)
def test_each_default_gate_can_fail(name):
    """Spoiling one metric fails the gates on it and no other, with their actions, on top of the table."""
    gate, (_, bad) = Quality().gates[name], VALUES[name]
    alike = {other for other in VALUES if row_of(other) == row_of(name)}
    spoilt = metrics_with({**GOOD, row_of(name): bad})
    report = evaluate_gates(spoilt, Quality().gates, accepted(*[GOOD] * 6))
    assert set(report.failed) == alike and name in alike
    assert report.verdict == "fail"
    assert report.failing[name] == (row_of(name)[1],)
    assert report.table.set_index("gate").loc[name, "action"] == gate.action
    assert set(report.table["gate"].head(len(alike))) == alike


@pytest.mark.parametrize("name", Quality().gates)
def test_each_default_gate_fails_unmeasured(name):
    """A metric that is absent, or has no value, fails its gate and says so."""
    past = accepted(*[{key: GOOD[key] for key in GOOD if key != row_of(name)}] * 6)
    absent = {key: value for key, value in GOOD.items() if key != row_of(name)}
    for values, words in ((absent, "wasn't measured"), ({**GOOD, row_of(name): math.nan}, "no value")):
        report = evaluate_gates(metrics_with(values), Quality().gates, past)
        assert name in report.failed
        assert words in report.table.set_index("gate").loc[name, "reason"]


def test_without_a_history_there_is_no_verdict_yet():
    """On the first run gates that only compare are unknown, the others judge, and nothing is held up."""
    first = {key: value for key, value in GOOD.items() if not key[0].endswith("_drift")}
    report = evaluate_gates(metrics_with(first), Quality().gates)
    GATES.check(report.table)
    comparing = {"match_rate_change", "identifiers", "agencies", "award_count", "freshness"}
    comparing |= {"category_drift", "amount_drift", "format_drift"}
    assert set(report.table.loc[report.table["verdict"] == "unknown", "gate"]) == comparing
    assert (report.verdict, report.failed) == ("pass", [])


@pytest.mark.parametrize(
    ("gate", "value", "verdict"),
    [
        (Gate(metric="m", fail_below=0.5), 0.5, "pass"),
        (Gate(metric="m", fail_below=0.5), math.nextafter(0.5, 0), "fail"),
        (Gate(metric="m", fail_above=0.5), 0.5, "pass"),
        (Gate(metric="m", fail_above=0.5), math.nextafter(0.5, 1), "fail"),
        (Gate(metric="m", warn_below=0.7, fail_below=0.5), 0.7, "pass"),
        (Gate(metric="m", warn_below=0.7, fail_below=0.5), 0.69, "warn"),
        (Gate(metric="m", warn_below=0.7, fail_below=0.5), 0.5, "warn"),
        (Gate(metric="m", warn_below=0.7, fail_below=0.5), 0.49, "fail"),
        (Gate(metric="m", warn_above=0.1, fail_above=0.2), 0.15, "warn"),
        (Gate(metric="m", fail_below=0.2, fail_above=0.8), 0.9, "fail"),
        (Gate(metric="m", fail_below=0.2, warn_above=0.8), 0.9, "warn"),
        (Gate(metric="m", fail_below=0.5), math.inf, "fail"),
    ],
)
def test_boundaries(gate, value, verdict):
    """Below is strictly below, above strictly above; failing comes before warning."""
    assert judge(gate, ("m", "all", value, 1, 2))["verdict"] == verdict


def test_reason_says_value_counts_and_threshold():
    """The reason tells what was measured on how many, and against what."""
    row = judge(Gate(metric="match_rate", fail_below=0.5), ("match_rate", "all", 0.41, 41, 100))
    assert row["reason"] == "match_rate is 41 % (41 of 100), below 50 %"
    assert row["threshold"] == "fail below 50 %"


@pytest.mark.parametrize(("value", "words"), [(0.49999, "49.999 %"), (0.499, "49.9 %")])
def test_reason_never_contradicts_itself(value, words):
    """A value just beyond a threshold isn't rounded onto it."""
    assert f"is {words} (" in judge(Gate(metric="m", fail_below=0.5), ("m", "all", value, 1, 2))["reason"]


def test_almost_all_is_not_all():
    """99.999 % isn't written as 100 %, and a threshold is written in full."""
    row = judge(Gate(metric="m", fail_below=0.99951), ("m", "all", 0.99999, 99_999, 100_000))
    assert "is 99.999 %" in row["reason"]
    assert row["threshold"] == "fail below 99.951 %"


def test_too_few_rows_fail():
    """A gate that rests on fewer rows than it asks for fails, however good the value."""
    few, enough = ("m", "all", 1.0, 9, 9), ("m", "all", 1.0, 10, 10)
    gate = Gate(metric="m", fail_below=0.5, min_rows=10)
    assert judge(gate, few)["verdict"] == "fail"
    assert "rests on 9 rows, fewer than 10" in judge(gate, few)["reason"]
    assert judge(gate, enough)["verdict"] == "pass"


@pytest.mark.parametrize(
    ("identifiers", "min_rows", "verdict"),
    [(0, 1, "warn"), (1, 1, "fail"), (0, 2, "fail"), (None, 1, "fail")],
)
def test_nothing_to_measure_on_is_no_failure(identifiers, min_rows, verdict):
    """Recipients without any identifier can't be tried; with one, no trial is a fault; strictness counts."""
    gate = Quality().gates["accuracy"].model_copy(update={"min_rows": min_rows})
    rows = [(gate.metric, "all", math.nan, 0, 0)]
    rows += (
        [] if identifiers is None else [("recipient_identifiers", "all", identifiers, identifiers, math.nan)]
    )
    judged = judge(gate, *rows)
    assert (judged["verdict"], "rests on 0 rows" in judged["reason"]) == (verdict, True)
    assert judged["action"] == ("block" if verdict == "fail" else "continue")
    assert ("no recipient has a UEI" in judged["reason"]) == (verdict == "warn")


def test_by_reports_the_worst_slice():
    """A sliced gate judges each slice that is large enough and reports the worst; the whole isn't judged."""
    rows = [
        ("m", "all", 0.1, 1, 10),
        ("m", "agency=A", 0.45, 45, 100),
        ("m", "agency=B", 0.40, 40, 100),
        ("m", "agency=C", 0.90, 90, 100),
        ("m", "agency=D", 0.00, 0, 3),
        ("m", "agency_old=E", 0.00, 0, 300),
    ]
    row = judge(Gate(metric="m", by="agency", fail_below=0.5, min_rows=10), *rows)
    assert (row["verdict"], row["slice"], row["value"]) == ("fail", "agency=B", 0.40)
    assert row["reason"].startswith("2 of 3 slices by agency, the worst is agency=B:")
    kept = judge(Gate(metric="m", by="agency", fail_below=0.3, min_rows=10), *rows)
    assert (kept["verdict"], kept["slice"]) == ("pass", "agency=B")
    tiny = judge(Gate(metric="m", by="agency", fail_below=0.3, min_rows=1_000), *rows)
    assert (tiny["verdict"], tiny["slice"]) == ("fail", "agency=*")
    absent = judge(Gate(metric="m", by="state", fail_below=0.3), *rows)
    assert "wasn't measured for state=*" in absent["reason"]


def test_slice_without_value_fails_the_gate():
    """A slice with rows but no value can't be judged and is the worst of all."""
    row = judge(
        Gate(metric="m", by="a", fail_below=0.5), ("m", "a=1", 0.1, 1, 10), ("m", "a=2", math.nan, 0, 10)
    )
    assert (row["verdict"], row["slice"]) == ("fail", "a=2")


def test_worst_first():
    """The table goes from fail over warn to pass, in the gates' order within."""
    gates = {
        "a": Gate(metric="m", fail_below=0.1),
        "b": Gate(metric="m", fail_below=0.1, warn_below=0.9),
        "c": Gate(metric="m", fail_below=0.9),
        "d": Gate(metric="m", fail_below=0.9),
    }
    report = evaluate_gates(metric_rows(("m", "all", 0.5, 5, 10)), gates)
    assert report.table["gate"].tolist() == ["c", "d", "b", "a"]
    assert report.failed == ["c", "d"]


def test_no_gates_is_unknown():
    """Without a gate nothing is known, and the table keeps its contract."""
    report = evaluate_gates(metric_rows(), {})
    assert report.verdict == "unknown"
    assert report.table.columns.tolist() == GATES.names


def test_naming_one_gate_drops_none():
    """An override of one gate's threshold leaves its other fields and the other gates as they are."""
    gates = load_params(overrides=["quality.gates.match_rate.fail_below=0.6"]).quality.gates
    assert gates["match_rate"] == Quality().gates["match_rate"].model_copy(update={"fail_below": 0.6})
    assert set(gates) == set(Quality().gates)


@pytest.mark.parametrize(
    "override",
    ["match_rate.fail_below=null", "match_rate=null", "match_rate.fail_below=.nan", "new={metric: m}"],
)
def test_gate_that_cannot_fail_is_refused(override):
    """A gate can't be switched off by taking away what makes it fail."""
    with pytest.raises(ParameterError, match="gates"):
        load_params(overrides=[f"quality.gates.{override}"])


def test_shows_itself():
    """The report reads well as text and as HTML, and escapes what it shows."""
    report = evaluate_gates(metric_rows(), {"<b>": Gate(metric="m", fail_below=0.5)})
    assert "fail" in repr(report)
    assert "&lt;b&gt;" in report._repr_html_()


RULE = {"min_runs": 3, "warn_change": 0.02, "fail_change": 0.05}


def compare(value, past=(0.8,) * 5, *, rows=100_000, **rule):
    """Judge a share against what accepted runs measured."""
    gate = Gate(metric="m", history=HistoryRule(**{**RULE, **rule}))
    runs = accepted(*({("m", "all"): earlier} for earlier in past)) if past else None
    metrics = metric_rows(("m", "all", value, value * rows, rows))
    return evaluate_gates(metrics, {"gate": gate}, runs).table.iloc[0]


@pytest.mark.parametrize(
    ("value", "rule", "verdict"),
    [
        (0.79, {}, "pass"),
        (0.77, {}, "warn"),
        (0.74, {}, "fail"),
        (0.86, {}, "fail"),
        (0.74, {"fail_change": 0.07}, "warn"),
        (0.77, {"warn_change": 0.04}, "pass"),
        (0.86, {"direction": "fall"}, "pass"),
        (0.74, {"direction": "rise"}, "pass"),
        (0.86, {"direction": "rise"}, "fail"),
        (0.74, {"min_runs": 6}, "unknown"),
        (0.75, {"is_relative": True, "fail_change": 0.06}, "fail"),
        (0.76, {"is_relative": True, "fail_change": 0.06}, "warn"),
    ],
)
def test_each_part_of_a_history_rule_counts(value, rule, verdict):
    """Size and direction of a change, the runs it needs, and what it is a share of decide."""
    assert compare(value, **rule)["verdict"] == verdict


def test_band_is_as_wide_as_the_history_is_restless():
    """What lies within the scatter of the accepted runs is no change; fewer deviations make it one."""
    past = (0.70, 0.90, 0.75, 0.85, 0.80, 0.72, 0.88, 0.78)
    assert compare(0.70, past)["verdict"] == "pass"
    assert compare(0.70, past, sigmas=0.5)["verdict"] == "fail"
    wild = (0.80, 0.801, 0.799, 0.80, 0.802, 0.10, 0.80, 0.798)
    assert compare(0.74, wild)["verdict"] == "fail"


def test_few_rows_give_room():
    """Ten points below are chance among 50 awards and a fall among 100,000."""
    assert compare(0.7, rows=50)["verdict"] == "pass"
    assert compare(0.7, rows=100_000)["verdict"] == "fail"


def test_only_the_newest_runs_count():
    """What happened before the newest `max_runs` accepted runs is forgotten."""
    past = (0.5,) * 10 + (0.8,) * 4
    assert compare(0.8, past, max_runs=4)["verdict"] == "pass"
    assert compare(0.8, past, max_runs=14)["verdict"] == "fail"


def test_reason_and_band_of_a_comparison():
    """The table says from what, how far, and what would have passed."""
    row = compare(0.74)
    assert row["reason"] == (
        "m is 74 % (74,000 of 100,000), 6 points below the 80 % of 5 accepted runs, "
        "which let pass 75 % to 85 %"
    )
    assert row["threshold"] == "warn on a change of 2 points, fail on a change of 5 points"
    assert (row["baseline"], row["runs"]) == (0.8, 5)
    assert (row["band_low"], row["band_high"]) == pytest.approx((0.78, 0.82))


def test_thresholds_and_history_together():
    """The worse of the two verdicts counts, and both are told."""
    gate = Gate(metric="m", warn_below=0.7, fail_below=0.5, history=HistoryRule(**RULE))

    def verdict(value):
        past = accepted(*[{("m", "all"): 0.71}] * 5)
        rows = metric_rows(("m", "all", value, value * 100_000, 100_000))
        return evaluate_gates(rows, {"gate": gate}, past).table.iloc[0]

    assert [verdict(value)["verdict"] for value in (0.71, 0.695, 0.6, 0.4)] == [
        "pass",
        "warn",
        "fail",
        "fail",
    ]
    assert "it keeps to the 71 % of 5 accepted runs" in verdict(0.695)["reason"]


def test_slice_that_is_gone_fails():
    """A slice that each of the last accepted runs had, large enough, and that is missing is named."""
    gate = Gate(metric="m", by="agency", min_rows=50, history=HistoryRule(**RULE))
    runs = accepted(*[{("m", "agency=A"): 0.8, ("m", "agency=B"): 0.8}] * 3)
    now = metric_rows(("m", "agency=A", 0.8, 800, 1000))
    row = evaluate_gates(now, {"gate": gate}, runs).table.iloc[0]
    assert (row["verdict"], row["slice"]) == ("fail", "agency=B")
    assert "agency=B is gone; it had 1,000 rows in run run-2" in row["reason"]
    small = Gate(metric="m", by="agency", min_rows=2_000, history=HistoryRule(**RULE))
    assert "agency=B" not in evaluate_gates(now, {"gate": small}, runs).table.iloc[0]["reason"]
    few = evaluate_gates(now, {"gate": gate}, runs[runs["run_id"] != "run-0"]).table.iloc[0]
    assert few["verdict"] == "unknown"


def test_new_slice_hides_nothing():
    """A slice without a history has no verdict yet, and the others' verdict stands."""
    gate = Gate(metric="m", by="agency", history=HistoryRule(**RULE))
    runs = accepted(*[{("m", "agency=A"): 0.8}] * 3)
    now = metric_rows(("m", "agency=A", 0.8, 800, 1000), ("m", "agency=New", 0.1, 100, 1000))
    row = evaluate_gates(now, {"gate": gate}, runs).table.iloc[0]
    assert (row["verdict"], row["slice"]) == ("pass", "agency=A")
    assert row["reason"].startswith("1 of 2 slices by agency, of those judged the closest is agency=A")


def test_overruled_gate_stays_failed_without_consequence():
    """Its verdict is what was measured; what follows is nothing, and who said so stands beside it."""
    gates = {"gate": Gate(metric="m", fail_below=0.9, action="stop")}
    report = evaluate_gates(metric_rows(("m", "all", 0.5, 5, 10)), gates, None, {"gate": "Ada: because"})
    row = report.table.iloc[0]
    assert (row["verdict"], row["action"], row["overruled"]) == ("fail", "continue", "Ada: because")
    assert (report.failed, report.overruled, report.verdict) == ([], ["gate"], "warn")
    kept = evaluate_gates(metric_rows(("m", "all", 0.95, 5, 10)), gates, None, {"gate": "Ada: because"})
    assert kept.overruled == []


@pytest.mark.parametrize(
    "gate",
    [
        {"fail_below": 0.5, "action": "degrade", "blocks": ["findings"]},
        {"history": {"min_runs": 5, "max_runs": 4, "fail_change": 0.1}},
        {"history": {"warn_change": 0.1}},
    ],
)
def test_gates_that_contradict_themselves_are_refused(gate):
    """Stages named by a gate that blocks nothing, a history longer than is kept, a rule that never fails."""
    with pytest.raises(ValueError, match=r"block|max_runs|never fail"):
        Gate(metric="m", **gate)
