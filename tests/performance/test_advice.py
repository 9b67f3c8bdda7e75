import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import History, chunk_figures, measure_run, recommend
from sbir_toolkit.tables import RECOMMENDATIONS

from .runs import CREATED, chunk_event, phase_event, run_record, stage

FEWER_STAGES = "Run only the stages"
LARGER, SMALLER = "Make fewer, larger chunks", "Make smaller chunks"
WORKERS, WAITING = "workers compute chunks", "wait less"
MATCH_ALONE = "without notebooks"
SIDE_BY_SIDE, REUSE, INDEX = "side by side", "Reuse the known result", "Keep the recipient index"


def advise(run, events=(), history=None, **performance):
    figures, chunks = measure_run(run, events), chunk_figures(events)
    return recommend(figures, chunks, run, Performance.model_validate(performance), history)


def saving(recommendations, change):
    rows = recommendations.table
    found = rows[rows["change"].str.contains(change, regex=False)]
    return found.iloc[0] if len(found) else None


def record(tmp_path, *runs):
    history = History(tmp_path / "history.sqlite")
    for run in runs:
        history.record_run(run)
    return history.stages()


def chunk_run(cpu_s, elapsed_s=100.0, cores=2):
    run = run_record(stages={"match": stage(0, elapsed_s, cpu_s=cpu_s)}, totals={"elapsed_s": elapsed_s})
    return {**run, "environment": {"fingerprint": "machine", "cores": cores}}


def in_sequence(workers, durations_of):
    """Give chunk events of workers that work through their chunks without a pause."""
    events = []
    for worker in range(workers):
        ended = 0.0
        for number, (rows, elapsed_s) in enumerate(durations_of(worker)):
            ended += elapsed_s
            events.append(chunk_event(f"{worker}-{number}", ended, elapsed_s, rows=rows, worker=str(worker)))
    return events


def test_nothing_is_worth_changing():
    """A run without anything to save says so, and what it can't know."""
    advice = advise(run_record())
    RECOMMENDATIONS.check(advice.table)
    assert advice.table.empty
    assert advice.sentence.startswith("Nothing is worth changing")
    assert any("history" in unknown for unknown in advice.unknowns)
    assert any("chunks" in unknown for unknown in advice.unknowns)
    assert "Nothing is worth changing" in repr(advice)
    assert "Nothing is worth changing" in advice._repr_html_()


def test_a_run_without_figures():
    """A run in which nothing ran yet has nothing to recommend."""
    assert advise(run_record(stages={"match": {"status": "pending"}}, totals={})).table.empty


def test_fixed_cost_of_many_small_chunks():
    """Chunks of 0.2 s + 1 ms a row: 8 (four for each of two workers), not 100, save 0.2 x 92 / 2 s."""
    generator = np.random.default_rng(1)

    def durations(_worker):
        rows = generator.integers(50, 150, 50)
        return [(int(count), 0.2 + 0.001 * count + generator.normal(0, 1e-3)) for count in rows]

    found = saving(advise(chunk_run(cpu_s=30, elapsed_s=15.2), in_sequence(2, durations)), LARGER)
    assert found["saved_s"] == pytest.approx(9.2, rel=0.03)
    assert found["confidence"] == "high"
    assert "100 chunks on 2 worker(s)" in found["evidence"]


@pytest.mark.parametrize(
    "durations",
    [
        lambda _worker: [(rows, 0.003 * rows) for rows in range(50, 150, 2)],
        lambda _worker: [(100, 0.3)] * 50,
        lambda _worker: [(100, 3.0), (200, 3.1)],
    ],
    ids=["no fixed cost", "all of one size", "too few"],
)
def test_no_fixed_cost_is_invented(durations):
    """Where no fixed cost was measured, or can't be told from that of the rows, none is claimed."""
    advice = advise(chunk_run(cpu_s=30, elapsed_s=15), in_sequence(2, durations), worth_share=0)
    assert saving(advice, LARGER) is None


def test_idle_end():
    """A worker that stands idle for the last 40 of 60 s costs half of that, spread over two workers."""
    events = [
        chunk_event("a", 60, 60, worker="0"),
        chunk_event("b", 20, 20, worker="1"),
    ]
    advice = advise(chunk_run(cpu_s=80, elapsed_s=60), events)
    assert saving(advice, SMALLER)["saved_s"] == pytest.approx(20)
    assert saving(advice, LARGER) is None


def test_more_workers():
    """One worker on two cores whose chunks take 80 s could be done in 40."""
    events = in_sequence(1, lambda _worker: [(100, 10.0)] * 8)
    found = saving(advise(chunk_run(cpu_s=80, elapsed_s=80), events), WORKERS)
    assert found["saved_s"] == pytest.approx(40)


def test_no_more_workers_than_cores_have_time():
    """One worker that keeps both cores busy by itself gains nothing from a second."""
    events = in_sequence(1, lambda _worker: [(100, 10.0)] * 8)
    assert saving(advise(chunk_run(cpu_s=160, elapsed_s=80), events), WORKERS) is None


def test_waiting_workers():
    """Two workers that used 60 s of CPU in a window of 80 s could have done it in 30."""
    events = in_sequence(2, lambda _worker: [(100, 10.0)] * 8)
    found = saving(advise(chunk_run(cpu_s=60, elapsed_s=80), events), WAITING)
    assert found["saved_s"] == pytest.approx(50)
    assert found["confidence"] == "low"
    assert saving(advise(chunk_run(cpu_s=160, elapsed_s=80), events), WAITING) is None


def test_chunks_of_an_interrupted_attempt_do_not_count():
    """Chunks from before the stage's start tell nothing about how this attempt shared its work."""
    run = run_record(stages={"match": stage(50, 40, cpu_s=80)}, totals={"elapsed_s": 90.0})
    events = [chunk_event("a", 20, 20, worker="0"), chunk_event("b", 90, 40, worker="1")]
    assert saving(advise(run, events, worth_share=0), SMALLER) is None


def test_start_up_of_notebooks():
    """Three notebooks of which each takes at least 3 s to begin: two of these starts could be saved."""
    stages = {"a": stage(0, 10), "b": stage(10, 10), "c": stage(20, 10)}
    events = [
        phase_event("a", "read", 4, 5),
        phase_event("b", "read", 13, 5),
        phase_event("c", "read", 25, 5),
    ]
    found = saving(advise(run_record(stages=stages, totals={"elapsed_s": 30.0}), events), FEWER_STAGES)
    assert found["saved_s"] == pytest.approx(6)
    assert found["confidence"] == "low"


def test_the_matches_alone():
    """Of 60 s, reading and matching took 5 + 12 s and a start at least 2: match alone saves 41."""
    stages = {
        "load": stage(0, 15, needs=[]),
        "match": stage(15, 25, needs=["load"]),
        "report": stage(40, 20, needs=["match"]),
    }
    events = [
        phase_event("load", "read", 2, 5),
        phase_event("match", "match", 18, 12),
        phase_event("report", "draw", 45, 5),
    ]
    run = run_record(stages=stages, totals={"elapsed_s": 60.0})
    found = saving(advise(run, events), MATCH_ALONE)
    assert (found["saved_s"], found["confidence"]) == (pytest.approx(41), "medium")
    stages["load"] = {"status": "reused", "needs": []}
    assert saving(advise(run_record(stages=stages), events), MATCH_ALONE) is None


def test_a_run_that_goes_on_says_what_is_covered():
    """Shares refer to the stages that have ended, also after an attempt that left totals behind."""
    stages = {"a": stage(0, 30, needs=[]), "b": stage(30, 20, needs=[]), "c": {"status": "running"}}
    advice = advise(run_record(stages=stages, status="running", totals={"elapsed_s": 7.0}))
    assert "of the first 50.0 s of the run (a, b)" in advice.sentence


def test_stages_side_by_side():
    """Stages a (30 s) and b (20 s) that need nothing of each other, then c (10 s): 40 s instead of 60."""
    stages = {
        "a": stage(0, 30, cpu_s=10, needs=[]),
        "b": stage(30, 20, cpu_s=10, needs=[]),
        "c": stage(50, 10, cpu_s=5, needs=["a", "b"]),
    }
    found = saving(advise(run_record(stages=stages, totals={"elapsed_s": 60.0})), SIDE_BY_SIDE)
    assert found["saved_s"] == pytest.approx(20)
    assert "40.0 s" in found["evidence"]


def test_side_by_side_is_bounded_by_the_cores():
    """Stages that keep both cores busy gain nothing from each other's company."""
    stages = {"a": stage(0, 30, cpu_s=60, needs=[]), "b": stage(30, 20, cpu_s=40, needs=[])}
    assert saving(advise(run_record(stages=stages)), SIDE_BY_SIDE) is None


def test_without_needs_side_by_side_is_unknown():
    """A run that doesn't say what its stages need isn't told to run them side by side."""
    advice = advise(run_record(stages={"a": stage(0, 30), "b": stage(30, 20)}))
    assert saving(advice, SIDE_BY_SIDE) is None
    assert any("side by side" in unknown for unknown in advice.unknowns)


def test_work_done_again(tmp_path):
    """A stage that was done again under a key that an earlier run had finished could have been reused."""
    earlier = {**run_record("earlier", {"match": stage(key="k")}), "created": CREATED - 100}
    history = record(tmp_path, earlier)
    now = run_record(stages={"match": stage(0, 40, key="k"), "load": stage(40, 60, key="new")})
    found = saving(advise(now, history=history), REUSE)
    assert (found["where"], found["saved_s"], found["confidence"]) == ("match", pytest.approx(40), "high")
    assert "run earlier" in found["evidence"]
    other = run_record(stages={"match": stage(0, 40, key="other")})
    assert saving(advise(other, history=history), REUSE) is None


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ({}, True),
        ({"params_digest": "sha256:other"}, False),
        ({"code": {"digest": "sha256:other"}}, False),
        ({"environment": {"fingerprint": "other", "cores": 2}}, False),
    ],
)
def test_index_built_again(tmp_path, change, is_found):
    """An index was known only if recipients, parameters, code and machine were the same before."""
    recipients = {"recipients": {"rows": 5, "digest": "sha256:r"}}
    load = {"status": "reused", "outputs": recipients}
    earlier = {**run_record("earlier", {"load": load, "match": stage()}), "created": CREATED - 100}
    now = run_record(stages={"load": load, "match": stage(0, 100)}) | change
    built = [phase_event("match", "index_read", 3, 7), phase_event("match", "index_words", 10, 5)]
    advice = advise(now, built, record(tmp_path, earlier))
    found = saving(advice, INDEX)
    assert (found is not None) == is_found
    if is_found:
        assert found["saved_s"] == pytest.approx(12)
        assert found["where"] == "match, index"


def test_a_saving_is_at_most_the_time_alone(tmp_path):
    """What ran beside another stage doesn't shorten the run."""
    history = record(tmp_path, {**run_record("earlier", {"a": stage(key="k")}), "created": CREATED - 100})
    now = run_record(stages={"a": stage(0, 30, key="k"), "b": stage(10, 90), "c": stage(12, 10)})
    assert saving(advise(now, history=history), REUSE)["saved_s"] == pytest.approx(10)


def test_ranked_and_cut_at_what_is_worth_it(tmp_path):
    """The largest saving comes first, and those below the share that is worth it are left out."""
    stages = {"a": stage(0, 20, key="a"), "b": stage(20, 70, key="b"), "c": stage(90, 4, key="c")}
    history = record(tmp_path, {**run_record("earlier", stages), "created": CREATED - 100})
    advice = advise(run_record(stages=stages), history=history)
    RECOMMENDATIONS.check(advice.table)
    assert advice.table["where"].tolist() == ["b", "a"]
    assert advice.table["rank"].tolist() == [1, 2]
    assert advice.table["saved_share"].tolist() == pytest.approx([0.7, 0.2])
    assert len(advise(run_record(stages=stages), history=history, worth_share=0.03).table) == 3
    assert "2 change(s) worth making; the largest would save 70.0 s, 70% of the run's 100.0 s" in repr(advice)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 20), st.integers(1, 500), st.integers(0, 2)), min_size=1, max_size=30)
)
def test_no_saving_exceeds_the_stage(chunks):
    """Whatever the chunks, no rule promises more than the time in which the stage ran alone."""

    def durations(worker):
        return [(rows, elapsed_s) for elapsed_s, rows, by in chunks if by == worker]

    events = in_sequence(3, durations)
    longest = max(event["at"] for event in events) - CREATED
    run = chunk_run(cpu_s=longest, elapsed_s=longest, cores=4)
    table = advise(run, events, worth_share=0).table
    assert (table["saved_s"] <= longest + 1e-6).all()
    assert isinstance(table, pd.DataFrame)
    RECOMMENDATIONS.check(table)
