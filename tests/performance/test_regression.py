import numpy as np
import pandas as pd
import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.params import Performance
from sbir_toolkit.performance import History, accept_change, judge_stages, measure_run, trend_frame

from .runs import CREATED, DAY_S, keep, phase_event, run_record, stage

STEADY = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.1, 9.9]
SLOW = [13.0, 13.1, 12.9, 13.2, 12.8, 13.0]


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history.sqlite")


def a_run(number, elapsed_s=10.0, events=(), changes=None, **values):
    run = run_record(f"r{number:03}", {"match": stage(elapsed_s=elapsed_s, **(changes or {}))}, **values)
    return {**run, "created": CREATED + (number - 1_000) * DAY_S}


def fill(history, costs, **values):
    for number, elapsed_s in enumerate(costs):
        keep(history, a_run(number, elapsed_s, **values))


def judge(history, run, events=(), performance=None):
    return judge_stages(history, run, measure_run(run, list(events)), performance or Performance())


def row(verdicts, measure="time", phase="all"):
    table = verdicts.table
    return table[(table["measure"] == measure) & (table["phase"] == phase)].iloc[0]


def test_a_steady_stage_has_not_changed(history):
    """A run like those before it: no change, in any measure."""
    fill(history, STEADY)
    verdicts = judge(history, a_run(8))
    assert verdicts.verdict == "unknown"  # nothing was moved, so I/O can't be judged
    assert row(verdicts)["verdict"] == "no change"
    assert row(verdicts)["runs"] == 9  # this one among them
    assert set(verdicts.table["measure"]) == {"time", "cpu", "memory", "io"}
    assert len(verdicts.changes) == 0


def test_the_first_run_of_all_has_nothing_noteworthy(history):
    """Without a history there is no verdict, and the list of what to look at is empty, not an error."""
    verdicts = judge(history, a_run(1))
    assert verdicts.verdict == "unknown"
    assert verdicts.noteworthy.empty


def test_from_suspect_to_regression(history):
    """The first slow run is a suspect; after five more it is confirmed and dated, per row."""
    fill(history, [*STEADY, *SLOW[:1]])
    assert row(judge(history, a_run(8, 13.0)))["verdict"] == "suspect"
    fill(history, [*STEADY, *SLOW])
    told = row(judge(history, a_run(99, 13.1)))
    assert (told["verdict"], told["id"], told["onset_run"]) == ("regression", "slowdown:match", "r008")
    assert told["baseline"] == pytest.approx(0.01, rel=0.01)
    assert told["unit"] == "s per row"
    assert "slower by 30% since run r008" in told["sentence"]


@pytest.mark.parametrize(
    ("measure", "usual", "more"),
    [
        ("cpu", {"cpu_s": 5.0}, {"cpu_s": 7.0}),
        ("memory", {"peak_bytes": 100_000_000}, {"peak_bytes": 150_000_000}),
        ("io", {"written_bytes": 1_000}, {"written_bytes": 2_000}),
    ],
)
def test_other_measures_at_equal_speed(history, measure, usual, more):
    """More CPU time, memory or bytes moved at equal speed is a regression of its own."""
    for number in range(16):
        keep(history, a_run(number, changes=usual if number < 8 else more))
    verdicts = judge(history, a_run(16, changes=more))
    assert verdicts.regressions["measure"].tolist() == [measure]
    assert row(verdicts)["verdict"] == "no change"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"name": "full"}, "8 under other parameters' names"),
        ({"environment": {"cpu": "another"}}, "8 on another machine"),
        ({"changes": {"rows_in": 1_201}}, "8 with another number of rows"),
        ({"changes": {"status": "reused"}}, "0 of 5 comparable earlier runs"),
    ],
)
def test_only_like_is_compared_with_like(history, other, reason):
    """Other parameters, machines and amounts of work aren't comparable, and the sentence says so."""
    fill(history, STEADY, **other)
    told = row(judge(history, a_run(8, 99.0)))
    assert told["verdict"] == "unknown"
    assert reason in told["sentence"]


def test_another_kind_of_work_is_not_compared(history):
    """A stage that built an index isn't held against runs that had it."""
    for number in range(8):
        keep(history, a_run(number), [phase_event("match", "score", 1, 5)])
    own = a_run(8, 30.0)
    events = [phase_event("match", "index", 1, 20), phase_event("match", "score", 21, 5)]
    verdicts = judge(history, own, events)
    assert "8 of another kind of work" in row(verdicts)["sentence"]
    assert row(judge(history, own, events[1:]))["verdict"] == "suspect"


def test_libraries_may_differ(history):
    """Another version of a library doesn't make runs incomparable: it may be the cause."""
    libraries = {"environment": {"libraries": {"pandas": "2.0"}, "cores": 2}}
    fill(history, STEADY, **libraries)
    assert row(judge(history, a_run(8)))["verdict"] == "no change"


def test_a_phase_is_judged_by_itself(history):
    """A phase that got slower is found where the whole stage hasn't changed much."""
    for number in range(16):
        took = 1.0 + 0.01 * (number % 3) + (0.3 if number >= 8 else 0.0)
        keep(history, a_run(number), [phase_event("match", "score", 1, took)])
    verdicts = judge(history, a_run(16), [phase_event("match", "score", 1, 1.3)])
    assert verdicts.regressions["id"].tolist() == ["slowdown:match/score"]


def test_the_drift_of_the_machine_is_taken_out(history):
    """Where a calibration follows the machine, what the machine did to a run isn't held against it."""
    drift = 1 + 0.2 * np.sin(np.arange(20) / 3)
    for number, machine in enumerate(drift):
        keep(history, a_run(number, 10 * machine, calibration_s=0.05 * machine))
    assert row(judge(history, a_run(20, 13.0, calibration_s=0.065)))["verdict"] == "no change"
    assert row(judge(history, a_run(20, 13.0, calibration_s=0.05)))["verdict"] == "suspect"


def test_accepted_is_the_new_baseline(history):
    """After a change was accepted, runs since its onset are the baseline; who, when and why is kept."""
    fill(history, [*STEADY, *SLOW])
    own = a_run(20, 13.0)
    keep(history, own)
    verdicts = judge(history, own)
    said = accept_change(history, "r020", verdicts, "slowdown:match", "checks added")
    assert "checks added" in said
    assert row(judge(history, own))["verdict"] == "no change"
    assert "8 before the accepted change" in row(judge(history, a_run(9, 13.0)))["sentence"]
    (kept,) = history.accepted().to_dict("records")
    assert (kept["regression"], kept["why"]) == ("slowdown:match", "checks added")
    assert kept["who"]


@pytest.mark.parametrize(
    ("what", "why", "refused"),
    [
        ("slowdown:load", "x", "no change 'slowdown:load' to accept(.|\n)*one of: slowdown:match"),
        ("slowdown:match", " ", "without a reason"),
    ],
)
def test_only_a_change_with_a_reason_can_be_accepted(history, what, why, refused):
    """What hasn't changed, and a change without a reason, is refused."""
    fill(history, [*STEADY, *SLOW])
    keep(history, a_run(20, 13.0))
    with pytest.raises(ParameterError, match=refused):
        accept_change(history, "r020", judge(history, a_run(20, 13.0)), what, why)


@pytest.mark.parametrize("status", ["reused", "failed", "blocked"])
def test_a_stage_that_did_no_work_is_unknown(history, status):
    """Only finished work is compared; the sentence says what became of the stage."""
    fill(history, STEADY)
    verdicts = judge(history, a_run(8, changes={"status": status, "reused_from": "run-7"}))
    assert verdicts.verdict == "unknown"
    assert status in verdicts.sentences[-1]


def test_max_rows_difference_has_an_effect(history):
    """A run with a fifth more rows is comparable, or isn't, as the parameter says."""
    fill(history, STEADY)
    own = a_run(8, 11.5, changes={"rows_in": 1_150})
    assert row(judge(history, own))["verdict"] == "no change"
    strict = Performance(max_rows_difference=0.1)
    assert row(judge(history, own, performance=strict))["verdict"] == "unknown"


def test_trend_frame(history):
    """The trend holds the runs in their order with their cost per row, and is empty without a history."""
    assert trend_frame(history.stages()).empty
    fill(history, STEADY)
    trend = trend_frame(history.stages(), a_run(8, 11.0))
    assert trend["run_id"].tolist() == [f"r{number:03}" for number in range(9)]
    assert trend["cost_s_per_row"].iloc[-1] == pytest.approx(0.011)


def test_shows_itself(history):
    """The verdicts read well as text and as HTML, also where there is nothing."""
    fill(history, [*STEADY, *SLOW])
    verdicts = judge(history, a_run(20, 13.1))
    assert "match: slower by 30% since run r008" in repr(verdicts)
    assert "<table" in verdicts._repr_html_()
    assert judge(history, {**run_record(stages={}), "created": CREATED}).verdict == "unknown"
    assert isinstance(verdicts.regressions, pd.DataFrame)
