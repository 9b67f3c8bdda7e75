import pytest

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import (
    History,
    cause_frame,
    explain_change,
    explain_regressions,
    judge_stages,
    measure_run,
    name_causes,
    take_side,
)

from .runs import CREATED, keep, phase_event, run_record, stage


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history.sqlite")


def explain(history, *, score=(5.0, 5.0, 100), more=(), elapsed_s=None, cpu_s=None, **after):
    """Compare a run with one whose phase `score` took `score` (seconds, CPU seconds, rows)."""
    took, cpu, rows = score
    before = run_record("before", {"match": stage(elapsed_s=10.0, cpu_s=8.0)}, calibration_s=0.05)
    keep(history, before, [phase_event("match", "score", 2, 5)])
    elapsed_s = elapsed_s or 5.0 + took + sum(event["elapsed_s"] for event in more)
    cpu_s = 3.0 + cpu if cpu_s is None else cpu_s
    later = run_record("after", {"match": stage(elapsed_s=elapsed_s, cpu_s=cpu_s)}, calibration_s=0.05)
    events = [phase_event("match", "score", 2, took, cpu_s=cpu, rows=rows), *more]
    keep(history, {**later, **after}, events)
    return explain_change("match", take_side(history, ["before"], "a"), take_side(history, ["after"], "b"))


CODE = {"code": {"commit": "b", "digest": "b", "rooms": {"matching": "new"}}}


def first(told):
    row = told.table.iloc[0]
    return row["part"], row["where"], row["cause"], row["confidence"]


def test_nothing_changed_nothing_said(history):
    """Where the time is the same there is nothing to explain."""
    told = explain(history)
    assert told.table.empty
    assert "nothing to explain" in told.sentence


def test_no_cause_is_invented(history):
    """A phase that computes longer while nothing changed has no identifiable cause."""
    told = explain(history, score=(8.0, 8.0, 100))
    part, where, cause, confidence = first(told)
    assert (part, where, confidence) == ("computing", "score", "low")
    assert "not identifiable" in cause
    assert "needed" in told.table.iloc[0]["evidence"]


def test_code(history):
    """Dearer computing after a change of code on the path is laid to that code."""
    with_rooms = {"code": {"commit": "a", "digest": "a", "rooms": {"matching": "old", "reports": "old"}}}
    told = explain(history, score=(8.0, 8.0, 100), **CODE)
    assert "not identifiable" in first(told)[2]  # the old side recorded no rooms
    before = run_record(
        "before", {"match": stage(elapsed_s=10.0, cpu_s=8.0)}, calibration_s=0.05, **with_rooms
    )
    keep(history, before, [phase_event("match", "score", 2, 5)])
    sides = take_side(history, ["before"], "a"), take_side(history, ["after"], "b")
    told = explain_change("match", *sides)
    assert first(told) == ("computing", "score", "code of matching", "high")
    assert told.table.iloc[0]["share"] == pytest.approx(1.0)
    assert "not identifiable" in first(explain_change("match", *sides, rooms=["reports"]))[2]


def test_more_work(history):
    """Three times the rows in three times the time is more work, laid to the changed input."""
    inputs = {"awards": {"path": "awards.csv", "bytes": 9, "digest": "sha256:more"}}
    told = explain(history, score=(15.0, 15.0, 300), inputs=inputs)
    part, where, cause, _ = first(told)
    assert (part, where) == ("work", "score")
    assert "awards.digest" in cause
    assert len(told.table) == 1


def test_the_machine(history):
    """When the calibration task took as much longer, the machine is the cause, whatever changed."""
    told = explain(history, score=(6.0, 6.0, 100), elapsed_s=12.0, cpu_s=9.6, calibration_s=0.06, **CODE)
    machine = told.table[told.table["part"] == "machine"]
    assert machine["share"].sum() == pytest.approx(1.0)
    assert first(told)[0] == "machine"
    assert first(told)[3] == "high"


def test_waiting(history):
    """Time that isn't CPU time is waiting."""
    assert first(explain(history, score=(9.0, 5.0, 100)))[:2] == ("waiting", "score")


def test_waiting_is_not_laid_to_code(history):
    """Time spent waiting isn't blamed on code, nor on a parameter that only the newer release knows."""
    params = {"fetch": {"attempts": 5}, "matching": {"max_candidates": 3}}
    told = explain(history, score=(9.0, 5.0, 100), params=params, **CODE)
    assert "not identifiable" in first(told)[2]
    assert not [words for words in told.changes if "fetch" in words]


def test_parallelism(history):
    """Where several cores were busy and now one is, the loss is lost parallelism."""
    before = run_record(
        "before", {"match": stage(elapsed_s=10.0, cpu_s=18.0)}, params={"compute": {"workers": 2}}
    )
    after = run_record(
        "after", {"match": stage(elapsed_s=18.0, cpu_s=18.0)}, params={"compute": {"workers": 1}}
    )
    keep(history, before, [phase_event("match", "score", 1, 9, cpu_s=17)])
    keep(history, after, [phase_event("match", "score", 1, 17, cpu_s=17)])
    sides = take_side(history, ["before"], "a"), take_side(history, ["after"], "b")
    assert first(explain_change("match", *sides))[:3] == ("parallelism", "score", "compute.workers 2 -> 1")


def test_a_phase_that_was_not_there(history):
    """An index that had to be built again counts whole."""
    told = explain(history, more=[phase_event("match", "index", 8, 7.0)])
    assert first(told)[:2] == ("phase", "index")
    assert told.table.iloc[0]["changed_s"] == pytest.approx(7.0)


def test_a_library(history):
    """Dearer computing with another version of a library is laid to it."""
    environment = {"fingerprint": "machine", "cores": 2, "python": "3.11", "libraries": {"pandas": "2.0"}}
    told = explain(history, score=(8.0, 8.0, 100), environment=environment)
    assert first(told) == ("computing", "score", "pandas 3.1 -> 2.0", "high")
    assert "pandas 3.1 -> 2.0" in repr(told)


def test_a_phase_inside_another_counts_once(history):
    """What a part of a phase takes longer isn't laid to the whole phase as well."""
    for run_id, more in (("before", 0.0), ("after", 3.0)):
        run = run_record(run_id, {"match": stage(elapsed_s=10.0 + more, cpu_s=9.0 + more)})
        events = [phase_event("match", "match", 1, 8 + more), phase_event("match", "score", 2, 4 + more)]
        keep(history, run, events)
    sides = take_side(history, ["before"], "a"), take_side(history, ["after"], "b")
    told = explain_change("match", *sides).table
    assert told[["where", "changed_s"]].to_numpy().tolist() == [["score", 3.0]]


def test_a_confirmed_regression_is_explained_and_its_alert_names_the_cause(history):
    """Runs before the onset are held against those since; what changed at the onset is the cause."""
    for number in range(15):
        is_slow = number >= 8
        run = run_record(f"r{number}", {"match": stage(elapsed_s=13.0 if is_slow else 10.0, cpu_s=9.0)})
        params = {"compute": {"chunk_companies": 10 if is_slow else 1_000}}
        run |= {"created": CREATED + number, "params": params, "calibration_s": 0.05}
        events = [phase_event("match", "score", 1, 8.0 if is_slow else 5.0)]
        keep(history, run, events)
    verdicts = judge_stages(history, run, measure_run(run, events), Performance())
    explained = explain_regressions(history, verdicts)
    cause = cause_frame(explained).iloc[0]
    assert cause[["stage", "part", "where"]].tolist() == ["match", "computing", "score"]
    assert cause["cause"] == "compute.chunk_companies 1000 -> 10"
    alert = {"id": "slowdown:match", "severity": "error", "message": "m", "metrics": {}}
    other = {**alert, "id": "memory_growth:match"}
    named, left = name_causes([alert, other], explained)
    assert "chunk_companies" in named["metrics"]["cause"]
    assert left == other
