"""A benchmark finds what has changed, measures suspects again, and says where the cost is."""

import numpy as np
import pandas as pd
import pytest

from sbir_toolkit.params import Performance
from sbir_toolkit.performance import Baseline, Benchmark, Repeat, measure_run

from .runs import CREATED, phase_event, run_record, stage

SCORE = "slowdown:match/score"


class Machine:
    """A machine that scatters and drifts; its codes are measured one after the other."""

    def __init__(self, seed=1, noise=0.04):
        self.draw, self.noise, self.measured = np.random.default_rng(seed), noise, 0

    def code(self, slow=1.0, benchmark="first"):
        """Give what measures a code whose scoring takes so many times as long."""

        def measure():
            self.measured += 1
            at, drift = float(self.measured), np.exp(0.3 * np.sin(self.measured / 15))
            read, score, calibration = (
                seconds * drift * np.exp(self.draw.normal(0, self.noise)) for seconds in (1.0, 2 * slow, 0.03)
            )
            facts = stage(at, read + score, cpu_s=read + score, read_bytes=10, written_bytes=5)
            own = {"created": CREATED + at, "calibration_s": calibration, "benchmark": benchmark}
            record = run_record(f"{benchmark}-{self.measured}", {"match": facts}, **own)
            events = [
                phase_event("match", "read", at, read),
                phase_event("match", "score", at + read, score),
            ]
            return Repeat(record, measure_run(record, events))

        return measure


def judge(found):
    return dict(zip(found.table["id"], found.table["verdict"], strict=True))


def test_the_first_one_is_a_baseline():
    """Without anything to compare with there is no verdict, and it says what is missing."""
    bench = Benchmark(Machine().code(), Performance(), baseline=Baseline())
    found = bench.run()
    assert set(found.table["verdict"]) == {"unknown"}
    assert "0 of 5 repeats of a baseline" in found.sentences[0]
    assert bench.spread < 0.05


@pytest.mark.parametrize("in_turns", [True, False])
@pytest.mark.parametrize(
    ("slow", "verdict"), [(1.15, "regression"), (0.85, "improvement"), (1.0, "no change")]
)
def test_a_change_is_found_where_it_is(in_turns, slow, verdict):
    """15 % in one phase is found in that phase and nowhere else, in turns or beside what is stored."""
    machine = Machine()
    now = machine.code(slow, "second")
    if in_turns:
        bench = Benchmark(now, Performance(), before=machine.code())
    else:
        code = machine.code()
        bench = Benchmark(now, Performance(), baseline=Baseline([code() for _ in range(12)]))
    found = bench.run()
    told = judge(found)
    assert told[SCORE] == verdict
    assert told["slowdown:match/read"] == "no change"
    if verdict != "no change":
        row = found.table.set_index("id").loc[SCORE]
        assert row["change_share"] == pytest.approx(slow - 1, abs=0.03)
        assert row["measured_again"] >= 10
        assert pd.isna(row["onset_run"]) if in_turns else row["onset_run"].startswith("second-")


def test_a_suspect_is_measured_beside_the_code_of_before():
    """A machine that has become slower makes suspects, and turns with the code of before clear them."""
    quick, slow = Machine(2, noise=0.01), Machine(3, noise=0.01)
    known = [quick.code()() for _ in range(10)]

    def later(measure):
        repeat = measure()
        for figures in (repeat.record["stages"]["match"], repeat.figures):
            figures["elapsed_s"], figures["cpu_s"] = 1.6 * figures["elapsed_s"], 1.6 * figures["cpu_s"]
        return repeat

    now, before = slow.code(benchmark="second"), slow.code(benchmark="before")
    bench = Benchmark(
        lambda: later(now), Performance(), before=lambda: later(before), baseline=Baseline(known)
    )
    found = bench.run()
    assert len(bench.before_) >= 10
    assert set(found.table["verdict"]) == {"no change"}


def test_a_whole_is_not_measured_for_longer_than_its_part():
    """Once the slower phase is confirmed it doesn't matter whether its stage is slower by enough as well."""
    machine = Machine(0, noise=0.02)
    bench = Benchmark(machine.code(1.08, "second"), Performance(), before=machine.code())
    told = judge(bench.run())
    assert (told[SCORE], told["slowdown:match"]) == ("regression", "suspect")
    assert len(bench.repeats_) == bench.patience.screening + bench.patience.looks[0]


def test_the_baseline_waits_for_a_person():
    """What a benchmark found slower is no baseline until it is accepted."""
    machine = Machine()
    old, new = machine.code(), machine.code(1.15, "slow")
    repeats = [old() for _ in range(10)] + [new() for _ in range(10)]
    since = repeats[10].record["created"]
    flagged = frozenset({"slow"})
    again = machine.code(1.15, "third")
    performance = Performance()
    frozen = Benchmark(again, performance, baseline=Baseline(repeats, {}, flagged)).run()
    assert judge(frozen)[SCORE] == "regression"
    assert frozen.table.set_index("id").loc[SCORE, "since"] == pytest.approx(since, abs=1.5)
    accepted = Baseline(repeats, {SCORE: since}, flagged)
    assert judge(Benchmark(again, performance, baseline=accepted).run())[SCORE] == "no change"
