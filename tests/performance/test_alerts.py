import pandas as pd
import pytest

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import find_alerts, judge_stages

from .runs import CREATED, run_record, stage

LIMITS = Performance.model_validate({"alerts": {"run_elapsed_s": 100, "stage_elapsed_s": 50, "peak_mb": 200}})


def history(count):
    rows = {
        "stage": "match", "status": "done", "name": "sample", "fingerprint": "machine",
        "elapsed_s": 10.0, "rows_in": 1_000.0, "peak_bytes": 1e8,
    }  # fmt: skip
    past = [{**rows, "run_id": f"r{number}", "created": CREATED - 100 + number} for number in range(count)]
    return pd.DataFrame(past, columns=[*rows, "run_id", "created"])


def alerts_of(run, count=0):
    past = history(count)
    return find_alerts(run, judge_stages(past, run, LIMITS), LIMITS)


def test_figures_at_the_threshold_raise_nothing():
    """Only what is strictly above a threshold raises an alert."""
    run = run_record(
        stages={"match": stage(elapsed_s=50, peak_bytes=200_000_000)}, totals={"elapsed_s": 100.0}
    )
    assert alerts_of(run) == []


@pytest.mark.parametrize(
    ("run", "identity", "value", "threshold", "unit"),
    [
        (run_record(totals={"elapsed_s": 101.0}), "run_elapsed_s", 101, 100, "s"),
        (run_record(stages={"match": stage(elapsed_s=51.0)}), "stage_elapsed_s:match", 51, 50, "s"),
        (run_record(stages={"match": stage(peak_bytes=201_000_000)}), "peak_mb:match", 201, 200, "MB"),
    ],
)
def test_each_threshold_raises_its_alert(run, identity, value, threshold, unit):
    """A figure above its threshold raises one alert that carries both."""
    (alert,) = alerts_of(run)
    assert alert["id"] == identity
    assert alert["metrics"] == {"value": value, "threshold": threshold, "unit": unit}
    assert alert["severity"] == "warning"
    assert alert["message"]


def test_slowdowns_are_alerts():
    """A suspected slow-down is a warning, a confirmed one an error; both have the same identity."""
    slow = run_record(stages={"match": stage(elapsed_s=14.0)})
    (suspected,) = alerts_of(slow, 8)
    past = pd.concat([history(8), history(9).tail(1).assign(elapsed_s=14.0)])
    (confirmed,) = find_alerts(slow, judge_stages(past, slow, LIMITS), LIMITS)
    assert (suspected["id"], suspected["severity"]) == ("slowdown:match", "warning")
    assert (confirmed["id"], confirmed["severity"]) == ("slowdown:match", "error")
    assert confirmed["metrics"]["value"] == pytest.approx(0.014)
    assert confirmed["metrics"]["threshold"] == pytest.approx(0.0115)


def test_growing_memory_is_an_alert_of_its_own():
    """More memory at equal speed has its own identity."""
    (alert,) = alerts_of(run_record(stages={"match": stage(peak_bytes=140_000_000)}), 8)
    assert (alert["id"], alert["metrics"]["unit"]) == ("memory_growth:match", "bytes")


def test_a_run_without_figures_raises_nothing():
    """Stages that haven't run and totals that aren't known yet raise no alert."""
    assert alerts_of(run_record(stages={"match": {"status": "pending"}}, totals={})) == []
