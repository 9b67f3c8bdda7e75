import pytest

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import History, find_alerts, judge_stages, measure_run

from .runs import CREATED, DAY_S, keep, run_record, stage

LIMITS = Performance.model_validate({"alerts": {"run_elapsed_s": 100, "stage_elapsed_s": 50, "peak_mb": 200}})


def verdicts_of(run, tmp_path, earlier=()):
    history = History(tmp_path / "history.sqlite")
    for number, facts in enumerate(earlier):
        past = run_record(f"r{number:03}", {"match": stage(**facts)})
        keep(history, {**past, "created": CREATED + (number - 100) * DAY_S})
    return judge_stages(history, run, measure_run(run, []), LIMITS)


def alerts_of(run, tmp_path, earlier=()):
    return find_alerts(run, verdicts_of(run, tmp_path, earlier), LIMITS)


def test_figures_at_the_threshold_raise_nothing(tmp_path):
    """Only what is strictly above a threshold raises an alert."""
    run = run_record(
        stages={"match": stage(elapsed_s=50, peak_bytes=200_000_000)}, totals={"elapsed_s": 100.0}
    )
    assert alerts_of(run, tmp_path) == []


@pytest.mark.parametrize(
    ("run", "identity", "value", "threshold", "unit"),
    [
        (run_record(totals={"elapsed_s": 101.0}), "run_elapsed_s:run", 101, 100, "s"),
        (run_record(stages={"match": stage(elapsed_s=51.0)}), "stage_elapsed_s:match", 51, 50, "s"),
        (run_record(stages={"match": stage(peak_bytes=201_000_000)}), "peak_mb:match", 201, 200, "MB"),
    ],
)
def test_each_threshold_raises_its_alert(run, identity, value, threshold, unit, *, tmp_path):
    """A figure above its threshold raises one alert that carries both."""
    (alert,) = alerts_of(run, tmp_path)
    assert alert["id"] == identity
    assert alert["metrics"] == {"value": value, "threshold": threshold, "unit": unit}
    assert alert["severity"] == "warning"
    assert f"{value} {unit}, more than {threshold} {unit}" in alert["message"]


def test_changes_for_the_worse_are_alerts(tmp_path):
    """A suspect that stays is a warning, a new one isn't told, a confirmed change is an error."""
    slow = run_record(stages={"match": stage(elapsed_s=14.0, cpu_s=10.0)})
    again = {"elapsed_s": 14.0, "cpu_s": 10.0}
    assert alerts_of(slow, tmp_path, [{}] * 8) == []
    (suspected,) = alerts_of(slow, tmp_path, [{}] * 8 + [again] * 3)
    (confirmed,) = alerts_of(slow, tmp_path, [{}] * 8 + [again] * 6)
    assert (suspected["id"], suspected["severity"]) == ("slowdown:match", "warning")
    assert (confirmed["id"], confirmed["severity"]) == ("slowdown:match", "error")
    assert confirmed["metrics"]["value"] == pytest.approx(0.014)
    assert confirmed["metrics"]["baseline"] == pytest.approx(0.01)
    assert confirmed["metrics"]["onset_run"] == "r008"


def test_growing_memory_is_an_alert_of_its_own(tmp_path):
    """More memory at equal speed has its own identity."""
    run = run_record(stages={"match": stage(peak_bytes=140_000_000)})
    (alert,) = alerts_of(run, tmp_path, [{}] * 8 + [{"peak_bytes": 140_000_000}] * 5)
    assert (alert["id"], alert["metrics"]["unit"]) == ("memory_growth:match", "bytes")


def test_improvements_are_no_alerts(tmp_path):
    """What got better is told in the report, not as an alert."""
    run = run_record(stages={"match": stage(elapsed_s=5.0)})
    assert alerts_of(run, tmp_path, [{}] * 8 + [{"elapsed_s": 5.0}] * 6) == []


def test_a_run_without_figures_raises_nothing(tmp_path):
    """Stages that haven't run and totals that aren't known yet raise no alert."""
    assert alerts_of(run_record(stages={"match": {"status": "pending"}}, totals={}), tmp_path) == []
