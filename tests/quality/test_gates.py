import math

import pandas as pd
import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.params import Gate, Quality, load_params
from sbir_toolkit.quality import evaluate_gates
from sbir_toolkit.tables import GATES, METRIC_HISTORY

from .frames import metric_rows

GOOD = {
    "match_rate": 0.8,
    "award_rejected_share": 0.0,
    "recipient_rejected_share": 0.0,
    "required_complete_share": 1.0,
    "duplicate_share": 0.0,
    "hidden_identifier_precision": 0.99,
    "awards_conserved": 1.0,
    "recipients_conserved": 1.0,
}
BAD = {
    "match_rate": 0.49,
    "award_rejected_share": 0.03,
    "recipient_rejected_share": 0.03,
    "required_complete_share": 0.9,
    "duplicate_share": 0.06,
    "hidden_identifier_precision": 0.94,
    "awards_conserved": 0.0,
    "recipients_conserved": 0.0,
}


def metrics_with(values):
    return metric_rows(*((name, "all", value, value * 100, 100) for name, value in values.items()))


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
    gate = Quality().gates[name]
    alike = {other for other, declared in Quality().gates.items() if declared.metric == gate.metric}
    bad = metrics_with({**GOOD, gate.metric: BAD[gate.metric]})
    report = evaluate_gates(bad, Quality().gates, accepted(*[GOOD] * 6))
    assert set(report.failed) == alike and name in alike
    assert report.verdict == "fail"
    rows = report.table.set_index("gate")
    assert rows.loc[name, "action"] == gate.action
    assert set(report.table["gate"].head(len(alike))) == alike


@pytest.mark.parametrize("name", Quality().gates)
def test_each_default_gate_fails_unmeasured(name):
    """A metric that is absent, or has no value, fails its gate and says so."""
    gate = Quality().gates[name]
    absent = evaluate_gates(
        metrics_with({k: v for k, v in GOOD.items() if k != gate.metric}), Quality().gates
    )
    empty = evaluate_gates(metrics_with({**GOOD, gate.metric: math.nan}), Quality().gates)
    assert name in absent.failed and name in empty.failed
    assert "wasn't measured" in absent.table.set_index("gate").loc[name, "reason"]
    assert "no value" in empty.table.set_index("gate").loc[name, "reason"]


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
