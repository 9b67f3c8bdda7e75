import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.performance import History, chunk_figures, measure_run, phase_trend_frame
from sbir_toolkit.tables import STAGE_FIGURES

from .runs import CREATED, chunk_event, keep, phase_event, run_record, sample_event, stage


def row_of(figures, name, phase="all"):
    rows = figures[(figures["stage"] == name) & (figures["phase"] == phase)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_stages_and_phases():
    """Stages and phases have the times, rows and memory that were recorded, counted from the run's start."""
    run = run_record(stages={"match": stage(20, 10), "load": stage(2, 8, rows_in=400)})
    events = [
        phase_event("load", "read", 5, 3, rows=400),
        phase_event("load", "write", 8, 1, rows=None, cpu_s=0.5),
        phase_event("match", "index", 20, 2),
        sample_event("load", 4, 10),
        sample_event("load", 6, 70),
        sample_event("load", 7, 50),
        sample_event("match", 6, 999),
    ]
    figures = measure_run(run, events)
    STAGE_FIGURES.check(figures)
    assert STAGE_FIGURES.arrow(figures).num_rows == len(figures)
    assert list(zip(figures["stage"], figures["phase"], strict=True)) == [
        ("load", "all"),
        ("load", "start-up"),
        ("load", "read"),
        ("load", "write"),
        ("match", "all"),
        ("match", "index"),
    ]
    load, read, write = (
        row_of(figures, "load"),
        row_of(figures, "load", "read"),
        row_of(figures, "load", "write"),
    )
    assert (load["started_s"], load["elapsed_s"], load["rows"], load["rows_per_s"]) == (2, 8, 400, 50)
    assert (read["started_s"], read["elapsed_s"], read["rows"], read["peak_bytes"]) == pytest.approx(
        (5, 3, 400, 70)
    )
    assert write["cpu_s"] == 0.5
    assert (
        figures.loc[figures["phase"] == "write", ["rows", "peak_bytes", "rows_per_s"]].isna().all(axis=None)
    )
    assert row_of(figures, "load", "start-up")["elapsed_s"] == pytest.approx(3)
    assert row_of(figures, "load", "start-up")["peak_bytes"] == 10


def test_phases_side_by_side_count_once():
    """Wall time of a phase is that in which at least one worker was in it; CPU time and rows add up."""
    events = [
        phase_event("match", "score", 1, 4),
        phase_event("match", "score", 2, 1),
        phase_event("match", "score", 3, 4),
        phase_event("match", "score", 9, 1),
    ]
    score = row_of(measure_run(run_record(), events), "match", "score")
    assert (score["elapsed_s"], score["cpu_s"], score["rows"]) == pytest.approx((7, 10, 400))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_phase_is_never_longer_than_its_stage(spans):
    """However phases overlap, their wall time lies between the longest one and the stage's."""
    events = [phase_event("match", "score", started, elapsed_s) for started, elapsed_s in spans]
    score = row_of(measure_run(run_record(), events), "match", "score")
    assert max(elapsed_s for _, elapsed_s in spans) - 1e-6 <= score["elapsed_s"] <= 10 + 1e-6


@pytest.mark.parametrize("status", ["pending", "reused", "blocked", "skipped"])
def test_stages_that_did_no_work_are_left_out(status):
    """A stage that didn't run has no figures, even if its record carries those of an earlier run."""
    figures = measure_run(run_record(stages={"match": stage(status=status), "load": {"status": status}}), [])
    assert figures.empty
    STAGE_FIGURES.check(figures)


def test_a_stage_still_running_is_left_out():
    """A stage without an end has no wall time yet."""
    running = stage(status="running") | {"elapsed_s": None}
    figures = measure_run(run_record(stages={"load": stage(), "match": running}), [])
    assert figures["stage"].tolist() == ["load"]


def test_an_earlier_attempt_does_not_count():
    """Events from before a resumed stage's start belong to an attempt that was interrupted."""
    events = [phase_event("match", "score", -50, 4), phase_event("match", "score", 2, 1)]
    assert row_of(measure_run(run_record(), events), "match", "score")["elapsed_s"] == pytest.approx(1)


def test_chunks_count_once():
    """A chunk that was computed again counts as it was computed last; order is by start."""
    events = [
        chunk_event("k1", 9, 5),
        chunk_event("k2", 4, 1, worker="b"),
        chunk_event("k1", 20, 6, rows=7),
        {"kind": "chunks", "stage": "match", "at": CREATED, "total": 2},
    ]
    chunks = chunk_figures(events)
    assert chunks["chunk"].tolist() == ["k2", "k1"]
    assert chunks["worker"].tolist() == ["b", "a"]
    assert chunks.loc[1, ["rows", "elapsed_s"]].tolist() == [7, 6]
    assert chunks.loc[1, "started"] == CREATED + 14


def test_no_events():
    """Without events there are stages without phases, and no chunks."""
    assert measure_run(run_record(), [])["phase"].tolist() == ["all"]
    assert chunk_figures([]).empty


def test_a_phase_knows_what_it_is_a_part_of():
    """Phases that lie inside another one, also several times over, name the nearest; others name none."""
    events = [
        phase_event("match", "match", 1, 6),
        phase_event("match", "score", 2, 1),
        phase_event("match", "score", 4, 1),
        phase_event("match", "pairs", 4.2, 0.5),
        phase_event("match", "join", 7.5, 1),
    ]
    figures = measure_run(run_record(), events).set_index("phase")["inside"]
    assert figures[["score", "pairs", "match", "join"]].fillna("-").tolist() == ["match", "score", "-", "-"]


def test_phases_add_up_to_their_stage_in_each_run(tmp_path):
    """Inner phases count once, the rest of the stage is a part, and the run under way stands last."""
    history = History(tmp_path / "history.sqlite")
    for run_id, scored_s in (("r1", 2.0), ("r2", 5.0)):
        run = run_record(run_id, {"match": stage(0, 6 + scored_s)})
        run["created"] = CREATED + scored_s
        events = [phase_event("match", "match", 1, 3 + scored_s), phase_event("match", "score", 2, scored_s)]
        if run_id == "r1":
            keep(history, run, events)
    parts = phase_trend_frame(history, run, measure_run(run, events))
    took = parts.pivot_table("elapsed_s", "run_id", "phase")
    assert took["score"].tolist() == [2.0, 5.0]
    assert took["match"].tolist() == [3.0, 3.0]
    assert took.sum(axis=1).tolist() == [8.0, 11.0]


def test_phases_that_go_on_at_once_share_the_clock_from_run_to_run(tmp_path):
    """Two threads that work side by side take the time in which both do in halves; nothing is drawn in."""
    run = run_record("r1", {"match": stage(0, 10)})
    events = [
        phase_event("match", "read", 0, 6, pid=1, thread=2),
        phase_event("match", "normalise", 4, 6, pid=1, thread=3),
    ]
    history = History(tmp_path / "history.sqlite")
    keep(history, run, events)
    later = {**run, "run_id": "r2", "created": CREATED + 1}
    parts = phase_trend_frame(history, later, measure_run(run, events))
    took = parts.pivot_table("elapsed_s", "run_id", "phase")
    assert took["read"].tolist() == [5.0, 5.0]
    assert took["normalise"].tolist() == [5.0, 5.0]
