import math

import numpy as np
import pandas as pd
import pytest

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import History, judge_stages, trend_frame

from .runs import CREATED, run_record, stage


def past(costs, **values):
    """Give a history of one stage with one run for each cost (seconds for 1,000 rows)."""
    count = len(costs)
    frame = pd.DataFrame(
        {
            "run_id": [f"r{number:03}" for number in range(count)],
            "created": CREATED - 1_000 + np.arange(count),
            "stage": "match",
            "status": "done",
            "name": "sample",
            "fingerprint": "machine",
            "elapsed_s": np.asarray(costs, dtype="float64"),
            "rows_in": 1_000.0,
            "peak_bytes": 1e8,
        }
    )
    return frame.assign(**values)


def judge(history, elapsed_s=10.0, performance=None, **values):
    run = run_record(stages={"match": stage(elapsed_s=elapsed_s, **values)})
    return judge_stages(history, run, performance or Performance())


def verdict(history, elapsed_s=10.0, measure="cost_s_per_row", **values):
    table = judge(history, elapsed_s, **values).table
    return table.loc[table["measure"] == measure, "verdict"].item()


STEADY = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.1, 9.9]


def test_a_steady_stage_passes():
    """A run like those before it is inside the fence."""
    verdicts = judge(past(STEADY))
    assert verdicts.verdict == "pass"
    assert verdicts.failed == []
    assert set(verdicts.table["measure"]) == {"cost_s_per_row", "peak_bytes"}
    row = verdicts.table[verdicts.table["measure"] == "cost_s_per_row"].iloc[0]
    assert row["baseline"] == pytest.approx(0.01, rel=0.02)
    assert row["change_share"] == pytest.approx(0, abs=0.02)
    assert row["runs"] == 8


def test_one_slow_run_is_suspected_three_are_confirmed():
    """The first slow run warns, the second in a row confirms, and a normal one passes again."""
    assert verdict(past(STEADY), 13.0) == "warn"
    assert verdict(past([*STEADY, 13.0]), 13.1) == "fail"
    assert verdict(past([*STEADY, 13.0, 13.1]), 12.9) == "fail"
    assert verdict(past([*STEADY, 13.0, 13.1]), 10.0) == "pass"


def test_a_wild_run_among_good_ones_confirms_nothing():
    """Two slow runs with a good one between are a suspicion only until the median of three is slow."""
    assert verdict(past([*STEADY, 20.0, 10.0]), 10.0) == "pass"
    assert verdict(past([*STEADY, 10.0, 10.0]), 20.0) == "warn"


def test_the_last_three_stay_out_of_their_baseline():
    """Neither the newest runs nor an earlier wild one move the baseline."""
    row = judge(past([*STEADY, 99.0, 13.0, 13.1]), 12.9).table.iloc[0]
    assert row["verdict"] == "fail"
    assert row["baseline"] == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_no_verdict_yet(count):
    """With too few comparable runs the verdict is unknown, and the sentence counts them."""
    verdicts = judge(past(STEADY[:count]), 99.0)
    assert verdicts.verdict == "unknown"
    assert f"{count} of 5 comparable runs" in verdicts.sentences[0]


@pytest.mark.parametrize(
    "other",
    [
        {"status": "reused"},
        {"name": "full"},
        {"fingerprint": "another machine"},
        {"stage": "load"},
        {"rows_in": 1_201.0},
        {"rows_in": 799.0},
        {"rows_in": math.nan},
        {"created": CREATED + 1},
        {"run_id": "run"},
    ],
)
def test_only_like_is_compared_with_like(other):
    """Other work, machines, parameters, stages, later runs and the run itself aren't comparable."""
    assert verdict(past(STEADY, **other), 99.0) == "unknown"


def test_cost_is_per_row():
    """A run with a tenth more rows and a tenth more time isn't slower."""
    assert verdict(past([10.0] * 8), 11.0, rows_in=1_100) == "pass"
    assert verdict(past([10.0] * 8), 13.0, rows_in=1_100) == "warn"


def test_a_stage_without_rows_is_compared_by_time():
    """Where no rows are read, the wall time itself is compared."""
    assert verdict(past([10.0] * 8, rows_in=math.nan), 13.0, measure="elapsed_s", rows_in=None) == "warn"
    assert verdict(past([10.0] * 8, rows_in=0.0), 10.0, measure="elapsed_s", rows_in=0) == "pass"


def test_memory_is_judged_as_well():
    """A stage that needs half as much memory again is suspected at equal speed."""
    verdicts = judge(past(STEADY), peak_bytes=150_000_000)
    assert verdicts.verdict == "warn"
    assert verdicts.table.iloc[0]["measure"] == "peak_bytes"
    assert "hungrier" in verdicts.sentences[0]


def test_memory_that_was_not_measured_is_unknown():
    """A figure that is missing gives no verdict."""
    assert verdict(past(STEADY), measure="peak_bytes", peak_bytes=None) == "unknown"


@pytest.mark.parametrize("status", ["reused", "failed", "blocked"])
def test_a_stage_that_did_not_finish_work_is_unknown(status):
    """Only finished work is compared; the sentence says what became of the stage."""
    verdicts = judge(past(STEADY), status=status, reused_from="run-7" if status == "reused" else None)
    assert verdicts.verdict == "unknown"
    assert status in verdicts.sentences[0]


@pytest.mark.parametrize(
    "change",
    [
        {"min_history_runs": 9},
        {"alerts": {"slowdown_share": 0.5}},
        {"fence_sigmas": 20.0},
        {"max_rows_difference": 0.0},
    ],
)
def test_each_parameter_has_an_effect(change):
    """Each parameter that decides turns a suspicion into another verdict."""
    history = past([10.0, 10.4, 9.6, 10.5, 9.5, 10.0, 10.4, 9.6], rows_in=1_001.0)
    assert verdict(history, 13.0) == "warn"
    assert verdict(history, 13.0, performance=Performance.model_validate(change)) != "warn"


def noisy(generator, count):
    noise = generator.normal(0, 0.06, count)
    wild = generator.random(count) < 0.05
    return 10 * np.exp(noise + wild * np.log(generator.uniform(1.3, 2.0, count)))


def test_simulated_histories():
    """Amid noise and wild runs a lasting +30 % is confirmed by its third run, and hardly ever without one."""
    generator = np.random.default_rng(20_261_123)
    series, found, false_alarms = 150, 0, 0
    for _ in range(series):
        costs = noisy(generator, 21)
        false_alarms += verdict(past(costs[:-1]), costs[-1]) == "fail"
        costs[-3:] *= 1.3
        found += verdict(past(costs[:-1]), costs[-1]) == "fail"
    assert false_alarms <= 0.03 * series, f"{false_alarms} false alarms"
    assert found >= 0.85 * series, f"{found} of {series} found"


def test_history_in_verdict_out(tmp_path):
    """What the history gives back can be judged and drawn as it is."""
    history = History(tmp_path / "history.sqlite")
    for number, elapsed_s in enumerate(STEADY):
        run = run_record(f"r{number}", {"match": stage(elapsed_s=elapsed_s), "load": {"status": "reused"}})
        history.record_run({**run, "created": CREATED - 100 + number})
    assert verdict(history.stages(), 10.0) == "pass"
    trend = trend_frame(history.stages())
    assert trend["run_id"].tolist() == [f"r{number}" for number in range(8)]
    assert trend["cost_s_per_row"].tolist() == pytest.approx([elapsed_s / 1_000 for elapsed_s in STEADY])


def test_trend_of_nothing():
    """An empty history gives an empty trend with its columns, and rows that weren't counted give no cost."""
    assert trend_frame(past([])).columns.tolist() == [
        "run_id", "created", "stage", "elapsed_s", "cost_s_per_row", "peak_bytes",
    ]  # fmt: skip
    assert trend_frame(past([1.0], rows_in=0.0))["cost_s_per_row"].isna().all()


def test_shows_itself():
    """The verdicts read well as text and as HTML."""
    verdicts = judge(past([*STEADY, 13.0]), 13.1)
    assert "match: slower, confirmed by the last 3 runs: time per row 13.1 ms, +31% against" in repr(verdicts)
    assert "<table" in verdicts._repr_html_()
    assert judge_stages(past([]), run_record(stages={}), Performance()).verdict == "unknown"
