import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.params import Performance
from sbir_toolkit.performance.rule import Watch, judge_series, rank_level

STEADY = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.1, 9.9]
SLOW = [13.0, 13.1, 12.9, 13.2, 12.8, 13.0, 13.1]


def verdict(values, **changes):
    return judge_series(values, Performance.model_validate(changes)).verdict


def noisy(generator, model, run):
    if model == "bimodal":
        return np.exp(generator.normal(0, 0.02)) * (1.1 if generator.random() < 0.4 else 1)
    drift = 0.15 * np.sin(run / 20) if model == "drift" else 0.0
    return np.exp(drift + generator.normal(0, 0.05)) / np.exp(drift)


def watch(generator, model, length, step=1.0):
    """Let the rule watch a series that changes after `length` runs; suspects are measured again."""
    rule, runs = Watch(Performance()), []
    for run in range(length + (3 if step > 1 else 0)):
        factor = step if run >= length else 1.0
        rule.feed(noisy(generator, model, run) * factor)
        runs.append(run)
        while rule.state_ == "suspect":
            rule.feed(noisy(generator, model, run) * factor)
            runs.append(run)
        if rule.state_ != "steady":
            return rule.state_, runs[rule.judge().onset]
    return rule.state_, None


def test_one_run_outside_is_a_suspect():
    """One slow run proves nothing, and neither do two."""
    assert verdict([*STEADY, 13.0]) == "suspect"
    assert verdict([*STEADY, *SLOW[:3]]) == "suspect"


def test_confirmed_and_dated():
    """Once six more runs are there the change is confirmed, and it began with the first slow run."""
    told = judge_series([*STEADY, *SLOW], Performance())
    assert (told.verdict, told.onset) == ("regression", len(STEADY))
    assert told.change_share == pytest.approx(0.3, abs=0.02)
    assert told.baseline == pytest.approx(10.0, rel=0.01)


def test_an_improvement_is_told_as_well():
    """What costs less for good is an improvement."""
    told = judge_series([*STEADY, 10.0, *(7.0 + 0.01 * i for i in range(7))], Performance())
    assert (told.verdict, told.onset) == ("improvement", len(STEADY) + 1)
    assert told.change_share == pytest.approx(-0.3, abs=0.02)


def test_a_busy_machine_at_first_makes_no_improvement():
    """Where the first runs were disturbed, the ones after them are no improvement on them."""
    assert verdict([*SLOW[:4], *STEADY, *STEADY, *STEADY]) == "no change"


def test_a_wild_run_is_cleared():
    """After a wild run three good ones drop the suspicion."""
    assert verdict([*STEADY, 20.0, *STEADY[:3]]) == "no change"


@pytest.mark.parametrize(("apart_s", "told"), [(60.0, "suspect"), (86_400.0, "regression")])
def test_measured_at_once_proves_less(apart_s, told):
    """Seven slow ones in a row may be a burst when they took minutes; on seven days they are a change."""
    values = [*STEADY, *SLOW]
    at = [place * apart_s for place in range(len(values))]
    assert judge_series(values, Performance(), at).verdict == told
    longer, later = [*values, *SLOW, *SLOW], [place * apart_s for place in range(29)]
    assert judge_series(longer, Performance(), later).verdict == "regression"


def test_disturbed_runs_of_a_baseline_do_not_hide_a_change():
    """Three of ten runs at first were held up; a lasting rise is found all the same."""
    first = [10.0, 10.2, 16.0, 17.0, 9.8, 15.0, 10.1, 9.9, 10.0, 10.1]
    assert verdict([*first, *[11.5, 11.4, 11.6, 11.5, 11.3] * 6]) == "regression"
    assert verdict([*first, *[10.0, 9.9, 10.1, 10.2, 9.8] * 6]) == "no change"


def test_the_baseline_is_frozen():
    """However long a slow-down lasts, it never becomes its own baseline; mended, it is over."""
    assert verdict([*STEADY, *SLOW * 10]) == "regression"
    assert verdict([*STEADY, *SLOW * 10, *STEADY[:5]]) == "no change"


def test_a_creep_is_found():
    """A cost that rises by half a percent a run is found although no run differs from the one before."""
    creep = [10 * 1.005**run * (1 + 0.01 * (-1) ** run) for run in range(60)]
    assert verdict(creep, baseline_runs=10) == "regression"


@pytest.mark.parametrize("count", [1, 4, 5])
def test_too_short(count):
    """Without enough earlier runs the verdict is unknown."""
    assert verdict(STEADY[:count]) == "unknown"


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({"min_history_runs": 20}, [*STEADY, *SLOW]),
        ({"least_change_share": 0.5}, [*STEADY, *SLOW]),
        ({"suspect_sigmas": 20.0}, [*STEADY[:6], 10.0, 10.0, *[10.6] * 12]),
        ({"false_alarm_share": 1e-9}, [*STEADY, *[10.8, 10.9, 10.7] * 5]),
        (
            {"baseline_runs": 5},
            [*STEADY[:5], *[10.3] * 20, *[10.7] * 20],
        ),
    ],
)
def test_each_parameter_has_an_effect(change, values):
    """Each parameter of the rule turns some series' verdict into another one."""
    assert verdict(values, **change) != verdict(values)


@settings(max_examples=30)
@given(st.lists(st.floats(1, 2), min_size=6, max_size=40), st.floats(1e-9, 1e9))
def test_units_do_not_matter(values, unit):
    """Seconds or hours, the verdict is the same."""
    assert verdict(values) == verdict([value * unit for value in values])


@settings(max_examples=30)
@given(st.lists(st.floats(1, 2), min_size=1, max_size=8), st.lists(st.floats(1, 2), min_size=1, max_size=8))
def test_the_level_is_a_probability(baseline, fresh):
    """It lies in (0, 1] and falls when what was measured later is larger."""
    base, later = np.array(baseline), np.array(fresh)
    assert 0 < rank_level(base, later + 1) <= rank_level(base, later) <= 1


@pytest.mark.parametrize("model", ["lognormal", "drift", "bimodal"])
def test_simulated_series(model):
    """At 5 % noise: hardly a false alarm, +20 % found within three runs and dated within one of them."""
    generator = np.random.default_rng(20_261_123)
    series, length = 40, 30
    assert sum(watch(generator, model, length)[0] != "steady" for _ in range(series)) <= 2
    found = [watch(generator, model, length, 1.2) for _ in range(series)]
    assert sum(state == "regression" for state, _ in found) >= 0.95 * series
    assert sum(onset is not None and abs(onset - length) <= 1 for _, onset in found) >= 0.85 * series
