"""The history rule on simulated runs; `make trials` does the same with more of them."""

import pytest

from .histories import count_verdicts, judge_whole, simulate, verdict_on

HISTORIES = 200


@pytest.mark.parametrize("scatter", [0.001, 0.005])
@pytest.mark.parametrize("runs", [5, 12])
def test_no_false_alarms(runs, scatter):
    """Of runs that only scatter at most one in a hundred fails, however short the history."""
    assert count_verdicts(HISTORIES, runs, scatter=scatter, fall=0.0).get("fail", 0) <= 0.01 * HISTORIES


@pytest.mark.parametrize("scatter", [0.001, 0.005])
@pytest.mark.parametrize("runs", [10, 24])
def test_five_points_are_found_in_the_first_run(runs, scatter):
    """A fall by five points after ten runs or more fails at once in nearly all histories."""
    assert count_verdicts(HISTORIES, runs, scatter=scatter, fall=0.05).get("fail", 0) >= 0.95 * HISTORIES


def test_no_verdict_while_there_are_few():
    """With four runs the rule doesn't judge, whatever the fall."""
    assert verdict_on(simulate(1, 4, scatter=0.001), 0.1) == "unknown"


@pytest.mark.parametrize("fall", [0.0, 0.015, 0.05])
def test_simulation_judges_as_the_gates_do(fall):
    """The shortcut of the simulation and the whole way through the tables agree."""
    for seed in range(3):
        *past, now = simulate(seed, 13, scatter=0.003)
        assert verdict_on(past, now - fall) == judge_whole(past, now - fall)
