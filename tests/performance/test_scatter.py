import math

import pandas as pd
import pytest

from sbir_toolkit.performance import History, measure_run
from sbir_toolkit.performance.differences import take_side
from sbir_toolkit.performance.scatter import known_scatter

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
