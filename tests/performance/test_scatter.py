import math

import pandas as pd
import pytest

from sbir_toolkit.performance import History, measure_run
from sbir_toolkit.performance.differences import take_side
from sbir_toolkit.performance.scatter import differs, known_scatter

from .runs import CREATED, DAY_S, run_record, stage

COSTS = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8]


@pytest.fixture
def history(tmp_path):
    """What is known of runs of an earlier commit, as a benchmark in turns records them."""
    history = History(tmp_path / "history.sqlite")
    for number, cost in enumerate(COSTS):
        run = run_record(f"b{number}", {"match": stage(elapsed_s=cost)})
        run |= {
            "created": CREATED + number * DAY_S,
            "code": {"commit": "abc", "is_dirty": False, "digest": None},
        }
        history.record_run(run, measure_run(run, []))
    return history


def test_runs_without_a_digest_of_their_code_are_alike(history):
    """They scatter among themselves, and can be one side of an explanation."""
    runs, stages = history.runs(), history.stages()
    assert runs["code_digest"].isna().all()
    found = known_scatter(stages.assign(phase="all"), runs, "elapsed_s")["match", "all"]
    steps = pd.Series(COSTS).map(math.log).diff().abs().dropna()
    assert found.variance == pytest.approx((1.4826 * steps.median()) ** 2 / 2)
    assert take_side(history, runs["run_id"].tolist(), "before").label == "before"


def test_three_runs_a_side_show_a_change_of_two_fifths():
    """Also where one side scatters more than the other, and more than the history does."""
    before, after = [1.564, 1.712, 1.435], [2.200, 2.261, 2.144]
    assert differs(before, after, level=0.01)
    assert not differs(before, [1.6, 1.9, 1.5], level=0.01)
