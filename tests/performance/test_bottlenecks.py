import pytest

from sbir_toolkit.performance import find_bottlenecks, measure_run

from .runs import phase_event, run_record, stage


def test_what_held_a_run_up():
    """Each phase is told by the cores it kept busy; one inside another counts once; trifles are left out."""
    run = run_record(stages={"match": stage(0, 50, cpu_s=60), "load": stage(50, 50, cpu_s=10)}, totals={})
    events = [
        phase_event("match", "match", 10, 40, cpu_s=58),
        phase_event("match", "score", 15, 20, cpu_s=40),
        phase_event("load", "read", 51, 20, cpu_s=2, queued_s=0.5),
        phase_event("load", "check", 71, 20, cpu_s=2, queued_s=17),
        phase_event("load", "write", 92, 1, cpu_s=1),
    ]
    table = find_bottlenecks(measure_run(run, events), run).set_index(["stage", "phase"])
    assert table["elapsed_s"].to_dict() == pytest.approx(
        {
            ("load", "read"): 20,
            ("load", "check"): 20,
            ("match", "match"): 20,
            ("match", "score"): 20,
            ("match", "start-up"): 10,
            ("load", "rest"): 8,
        }
    )
    assert table["share"].sum() == pytest.approx(0.98)
    words = table["held_up_by"]
    assert words["match", "score"].startswith("all cores were busy")
    assert words["match", "match"].startswith("0.9 of 2 cores were busy")
    assert words["load", "read"] == "waiting: 10% of one core was busy"
    assert words["load", "check"].startswith("queueing: 0.1 of 2 cores")
    assert words["match", "start-up"].startswith("starting")


def test_a_run_without_figures():
    """Nothing was measured, so nothing held it up."""
    run = run_record(stages={})
    assert find_bottlenecks(measure_run(run, []), run).empty
