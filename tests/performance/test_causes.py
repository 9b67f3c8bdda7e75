from dataclasses import replace

import numpy as np
import pytest

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import (
    History,
    StagePath,
    cause_frame,
    chunk_figures,
    explain_change,
    explain_regressions,
    headline_frame,
    judge_stages,
    measure_run,
    name_causes,
    take_side,
)
from sbir_toolkit.performance.scatter import differs

from .runs import CREATED, DAY_S, chunk_event, keep, phase_event, run_record, stage


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history.sqlite")


def explain(history, *, score=(5.0, 5.0, 100), more=(), elapsed_s=None, cpu_s=None, rows_in=1_000, **after):
    """Compare a run with one whose phase `score` took `score` (seconds, CPU seconds, rows)."""
    took, cpu, rows = score
    before = run_record("before", {"match": stage(elapsed_s=10.0, cpu_s=8.0)}, calibration_s=0.05)
    keep(history, before, [phase_event("match", "score", 2, 5)])
    elapsed_s = elapsed_s or 5.0 + took + sum(event["elapsed_s"] for event in more)
    cpu_s = 3.0 + cpu if cpu_s is None else cpu_s
    later = run_record(
        "after", {"match": stage(elapsed_s=elapsed_s, cpu_s=cpu_s, rows_in=rows_in)}, calibration_s=0.05
    )
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
    assert first(told) == ("computing", "score", "code of matching", "medium")
    assert told.table.iloc[0]["share"] == pytest.approx(1.0)
    assert "not identifiable" in first(explain_change("match", *sides, path=StagePath(rooms=("reports",))))[2]


def test_more_work(history):
    """Three times the rows in three times the time is more work, laid to the changed input."""
    inputs = {"awards": {"path": "awards.csv", "bytes": 9, "digest": "sha256:more"}}
    told = explain(history, score=(15.0, 15.0, 300), rows_in=3_000, inputs=inputs)
    part, where, cause, _ = first(told)
    assert (part, where) == ("work", "score")
    assert cause == "input awards: other content, 0.0 MB -> 0.0 MB"
    assert told.table["share"].tolist() == pytest.approx([1.0])


def test_start_up_loads_every_room(history):
    """CPU time before the first phase is laid to code of any room, though the stage never comes to it."""
    rooms = {"matching": "old", "reports": "old"}
    for number, (run_id, begins) in enumerate([("before", 2.0), ("after", 6.0)]):
        code = {"commit": run_id, "digest": run_id, "rooms": {**rooms, "reports": run_id}}
        made = {"match": stage(elapsed_s=begins + 8.0, cpu_s=begins + 6.0)}
        run = run_record(run_id, made, calibration_s=0.05, code=code, created=CREATED + number)
        keep(history, run, [phase_event("match", "score", begins, 5)])
    sides = take_side(history, ["before"], "a"), take_side(history, ["after"], "b")
    told = explain_change("match", *sides, path=StagePath(rooms=("matching",)))
    part, _, cause, confidence = first(told)
    assert (part, confidence) == ("start-up", "medium")
    assert "code of reports" in cause


def test_fewer_rows_explain_no_growth(history):
    """With a tenth of the rows and the same CPU time, what takes longer is waiting, not dearer computing."""
    told = explain(history, score=(9.0, 5.0, 10), rows_in=100)
    assert first(told)[:2] == ("waiting", "score")
    assert told.table["share"].tolist() == pytest.approx([1.0])


def test_the_machine(history):
    """When the calibration task took as much longer, the machine is the cause, whatever changed."""
    told = explain(history, score=(6.0, 6.0, 100), elapsed_s=12.0, cpu_s=9.6, calibration_s=0.06, **CODE)
    machine = told.table[told.table["part"] == "machine"]
    assert machine["share"].tolist() == pytest.approx([0.8])  # the start-up took as long as before
    assert first(told)[0] == "machine"
    assert first(told)[3] == "medium"  # one run on a side says nothing about scatter


def test_waiting(history):
    """Time that isn't CPU time is waiting."""
    assert first(explain(history, score=(9.0, 5.0, 100)))[:2] == ("waiting", "score")


@pytest.mark.parametrize(
    ("cpu_s", "queued_s", "others_cpu_s", "named"),
    [
        (5.0, 4.0, 20.0, "queueing"),
        (9.0, 0.0, 1.0, "computing"),
        (9.0, 0.0, 20.0, "computing"),
        (5.0, 0.0, 20.0, "waiting"),
        (6.0, 3.0, 20.0, "queueing"),
        (7.0, 2.0, 1.0, "computing"),
        (5.0, 4.0, 1.0, "waiting"),
    ],
)
def test_queueing_is_told_from_waiting(history, cpu_s, queued_s, others_cpu_s, named):
    """Four seconds more are laid to other work as far as threads queued for a core and it had grown.

    Where it hadn't, queueing belongs to the CPU time that needs it; what no thread queued is waiting.
    """
    rooms = {"before": "old", "after": "new"}
    for run, took, cpu, queued, others in (
        ("before", 5.0, 5.0, 0.0, 1.0),
        ("after", 9.0, cpu_s, queued_s, others_cpu_s),
    ):
        own = stage(elapsed_s=5 + took, cpu_s=3 + cpu, queued_s=queued, others_cpu_s=others)
        code = {"commit": run, "digest": run, "rooms": {"matching": rooms[run]}}
        keep(
            history,
            run_record(run, {"match": own}, calibration_s=0.05, code=code),
            [phase_event("match", "score", 2, took, cpu_s=cpu, queued_s=queued)],
        )
    told = explain_change("match", take_side(history, ["before"], "a"), take_side(history, ["after"], "b"))
    assert first(told)[0] == named
    assert ("busy with other work" in first(told)[2]) == (named == "queueing")
    assert told.table["changed_s"].sum() == pytest.approx(4.0)


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
    assert first(told) == ("computing", "score", "pandas 3.1 -> 2.0", "medium")
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
        run |= {"created": CREATED + number * DAY_S, "params": params, "calibration_s": 0.05}
        events = [phase_event("match", "score", 1, 8.0 if is_slow else 5.0)]
        keep(history, run, events)
    verdicts = judge_stages(history, run, measure_run(run, events), Performance())
    explained = explain_regressions(history, verdicts)
    cause = cause_frame(explained.values()).iloc[0]
    assert cause[["stage", "part", "where"]].tolist() == ["match", "computing", "score"]
    assert cause["cause"] == "compute.chunk_companies 1000 -> 10"
    alert = {"id": "slowdown:match", "severity": "error", "message": "m", "metrics": {}}
    other = {**alert, "id": "memory_growth:match"}
    named, left = name_causes([alert, other], explained)
    assert "chunk_companies" in named["metrics"]["cause"]
    assert left == other
    headline = headline_frame(verdicts, explained)
    assert headline[["what", "onset_run"]].to_numpy().tolist() == [["match: time", "r8"]]
    assert headline["change_share"].tolist() == pytest.approx([0.3], abs=0.02)
    assert "compute.chunk_companies 1000 -> 10" in headline["why"].iloc[0]
    assert "not asked" in headline_frame(verdicts, {})["why"].iloc[0]


def several(history, name, times, *, cpu_s=None, **facts):
    """Enter runs of which each took so long, all of it in the phase `score`; give their side."""
    for number, took in enumerate(times):
        run = run_record(f"{name}{number}", {"match": stage(elapsed_s=took, cpu_s=cpu_s or took)}, **facts)
        keep(history, run, [phase_event("match", "score", 0, took, cpu_s=cpu_s or took)])
    return take_side(history, [f"{name}{number}" for number in range(len(times))], name)


def test_scatter_is_not_explained(history):
    """A change no larger than the runs scatter is left alone, even beside a change of code."""
    old = {"code": {"commit": "a", "digest": "a", "rooms": {"matching": "old"}}, "calibration_s": 0.05}
    before = several(history, "a", [10.0, 11.5, 9.2, 10.4], **old)
    new = old | CODE
    assert explain_change("match", before, several(history, "b", [10.9, 12.4, 9.8, 11.6], **new)).table.empty
    told = explain_change("match", before, several(history, "c", [15.9, 17.4, 16.8, 15.6], **new))
    assert first(told) == ("computing", "score", "code of matching", "high")


def test_a_calibration_that_scatters_is_no_machine(history):
    """The machine is named when its calibrations differ beyond their scatter, not when they happen to."""
    before = several(history, "a", [10.0, 10.1, 9.9], calibration_s=0.05)
    told = explain_change("match", before, several(history, "b", [13.0, 13.1, 12.9], calibration_s=0.053))
    assert "machine" in told.table["part"].tolist()  # calibrations without any scatter
    side = several(history, "c", [13.0, 13.1, 12.9], calibration_s=0.05)
    noisy = replace(side, calibrations=(0.047, 0.056, 0.055))
    told = explain_change("match", replace(before, calibrations=(0.05, 0.052, 0.048)), noisy)
    assert "machine" not in told.table["part"].tolist()


def test_more_candidates_for_each_company_are_another_mix(history):
    """As many companies with three times the candidates is another mix of work."""
    inputs = {"awards": {"path": "awards.csv", "bytes": 9, "digest": "sha256:blank"}}
    part, where, cause, _ = first(explain(history, score=(15.0, 15.0, 300), inputs=inputs))
    assert (part, where, cause) == ("mix", "score", "input awards: other content, 0.0 MB -> 0.0 MB")


def test_disk_and_memory(history):
    """Time without CPU while bytes are moved is the disk's; system time while faults rise is memory's."""
    run = run_record("a", {"match": stage(elapsed_s=5.0, cpu_s=5.0)}, calibration_s=0.05)
    figures = {"system_s": 0.1, "minor_faults": 100, "read_bytes": 0, "written_bytes": 0}
    keep(history, run, [phase_event("match", "score", 0, 5.0, **figures)])
    logged = figures | {"written_bytes": 50_000_000}
    run = run_record("b", {"match": stage(elapsed_s=9.0, cpu_s=5.0)}, calibration_s=0.05, **CODE)
    keep(history, run, [phase_event("match", "score", 0, 9.0, cpu_s=5.0, **logged)])
    copied = figures | {"system_s": 3.1, "minor_faults": 90_000}
    run = run_record("c", {"match": stage(elapsed_s=8.5, cpu_s=8.5)}, calibration_s=0.05, **CODE)
    keep(history, run, [phase_event("match", "score", 0, 8.5, cpu_s=8.5, **copied)])
    side = {name: take_side(history, [name], name) for name in "abc"}
    told = explain_change("match", side["a"], side["b"])
    assert first(told)[:2] == ("disk", "score")
    assert "50.0 MB now" in told.table.iloc[0]["evidence"]
    assert first(explain_change("match", side["a"], side["c"]))[:2] == ("memory", "score")


def test_one_long_chunk(history):
    """As many workers as before, one of which waits for the other's long chunk, is skew."""
    chunks = {
        "a": [("x", 5.0), ("y", 5.0)],
        "b": [("x", 9.0), ("y", 1.0)],
    }

    def chunks_of(run_id):
        return chunk_figures(chunk_event(w, took, took, worker=w) for w, took in chunks[run_id])

    inputs = {"awards": {"path": "awards.csv", "bytes": 9, "digest": "sha256:skewed"}}
    for run_id, took, more in (("a", 5.0, {}), ("b", 9.0, {"inputs": inputs})):
        run = run_record(run_id, {"match": stage(elapsed_s=took, cpu_s=10.0)}, calibration_s=0.05, **more)
        keep(history, run, [phase_event("match", "score", 0, took, cpu_s=10.0)])
    sides = [take_side(history, [run_id], run_id, chunks_of) for run_id in "ab"]
    told = explain_change("match", *sides)
    assert first(told)[:2] == ("skew", "score")
    assert first(told)[2].startswith("input awards")
    assert "longest chunk 5 s of 5 s, now 9 s of 9 s" in told.table.iloc[0]["evidence"]


def test_only_what_lies_on_the_path_is_named(history):
    """A parameter or an input of another stage, or a room it doesn't go through, is no cause."""
    path = StagePath(rooms=("matching",), uses=("matching",), inputs=("recipients",))
    old = {"code": {"commit": "a", "digest": "a", "rooms": {"matching": "m", "quality": "old", "meter": "m"}}}
    old |= {"calibration_s": 0.05, "params": {"quality": {"x": 1}, "matching": {"max_candidates": 20}}}
    new = {**old, "params": {"quality": {"x": 2}, "matching": {"max_candidates": 20}}}
    new["code"] = {"commit": "b", "digest": "b", "rooms": {"matching": "m", "quality": "new", "meter": "m"}}
    new["inputs"] = {"awards": {"path": "a", "bytes": 1, "digest": "other"}}
    before, after = several(history, "a", [5.0], **old), several(history, "b", [9.0], **new)
    told = explain_change("match", before, after, path=path)
    assert told.changes == []
    assert "not identifiable" in first(told)[2]
    assert len(explain_change("match", before, after).changes) == 3


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 4.604), (10, 3.169), (1_000, 2.581)])
def test_the_level_of_the_test_of_scatter(freedom, quantile):
    """Two sets of times of equal scatter differ just above Student's quantile, and not just below it."""
    count = freedom // 2 + 1
    deviations = np.linspace(-1, 1, count)
    deviations *= 0.02 / deviations.std(ddof=1)
    error = 0.02 * np.sqrt(2 / count)
    for times, is_beyond in ((1.02, True), (0.96, False)):
        moved = np.exp(deviations + quantile * times * error).tolist()
        assert differs(np.exp(deviations).tolist(), moved, level=0.01) == is_beyond


@pytest.mark.parametrize("others_cpu_s", [0.0, 15.0])
def test_a_missing_worker_process(history, others_cpu_s):
    """Half the workers take twice as long: lost parallelism, however busy the machine was on both sides."""
    resources = {"params": {"compute": {"workers": 2}}}, {"params": {"compute": {"workers": 1}}}
    for run, workers, params in (("before", 2, resources[0]), ("after", 1, resources[1])):
        took = 12 / workers
        own = stage(elapsed_s=3 + took, cpu_s=15.0, queued_s=0.0, others_cpu_s=others_cpu_s / 12 * (3 + took))
        events = [phase_event("match", "match", 2, took, cpu_s=0.1, queued_s=0.0, pid=1, thread=0)]
        for worker in range(workers):
            pid = 2 + worker
            for number in range(4 // workers):
                score = {"cpu_s": 2.0, "queued_s": 0.0, "pid": pid, "thread": 0}
                decide = {**score, "cpu_s": 1.0}
                began = 2 + 3 * number
                events.append(phase_event("match", "score", began, 2, **score))
                events.append(phase_event("match", "decide", began + 2, 1, **decide))
        keep(history, run_record(run, {"match": own}, calibration_s=0.05, **params), events)
    chunks = {"before": (2, 2), "after": (1, 4)}

    def chunks_of(run):
        workers, each = chunks[run]
        return chunk_figures(
            [
                chunk_event(f"{w} {n}", 5 + 3 * n, 3, worker=str(w))
                for w in range(workers)
                for n in range(each)
            ]
        )

    sides = (take_side(history, [run], run, chunks_of) for run in ("before", "after"))
    told = explain_change("match", *sides)
    assert first(told)[0] == "parallelism"
    assert first(told)[2] == "compute.workers 2 -> 1"
    assert told.table["changed_s"].tolist() == pytest.approx([6.0])


def test_an_onset_that_is_a_run_late(history):
    """Code that one run before already had is still what most runs before hadn't."""
    versions = ["old"] * 14 + ["new"] * 4
    for number, version in enumerate(versions):
        score_s = 5.0 if version == "old" else 8.0
        own = stage(elapsed_s=5 + score_s, cpu_s=3 + score_s)
        code = {"commit": version, "digest": version, "rooms": {"matching": version}}
        run = run_record(f"run-{number}", {"match": own}, calibration_s=0.05, code=code)
        keep(
            history,
            {**run, "created": CREATED + number / 100},
            [phase_event("match", "score", 2, score_s, cpu_s=score_s)],
        )
    sides = [[f"run-{number}" for number in numbers] for numbers in (range(15), range(15, 18))]
    before, after = (take_side(history, runs, "") for runs in sides)
    assert first(explain_change("match", before, after))[:3] == ("computing", "score", "code of matching")
