"""How often the rule for regressions is wrong, beside other rules and two peers, on series of known truth.

Four models of a machine's noise, each about 5 %: *lognormal*; *bursts* (2 % of measurements begin a burst of
one to four that take 1.3 to 2 times as long); *drift* (the machine wanders by 15 % up and down, and a
calibration task that scatters by 1.5 % sees it); *bimodal* (two runs in five take 10 % longer). After 10, 30
or 100 runs the cost rises for good, or doesn't.

A rule may measure a suspect again; our own does, the others have no notion of it. Shown for each rule: false
alarms (series without a change in which it ever raised one), changes found within three runs, how often our
rule dated the onset within one run, and how many measurements again it asked for: each is a run of the same
work made at once (`run --fresh`), a minute after the other. Where nobody makes them, the runs that come do
the same service, more slowly.

`bench` measures again by itself. Its own code (`Benchmark`) is asked as well, on the same machines: a stored
baseline of 15 repeats, one benchmark afterwards, suspects measured in turns with the code of before.

    make rules
    python -m benchmarks.regression_rules --series 500

asv and Apache Otava are asked in environments of their own (`make peer-asv peer-otava`), where these exist.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from benchmarks.peers import has_environment, peer_python
from sbir_toolkit.params import Performance
from sbir_toolkit.performance import Baseline, Benchmark, Repeat
from sbir_toolkit.performance.rule import Watch

MODELS = ("lognormal", "bursts", "drift", "bimodal")
LENGTHS = (10, 30, 100)
STEPS = (1.0, 1.1, 1.2)
_DAY_S, _MINUTE_S = 86_400.0, 60.0
_BASELINE = 15
# So many repeats of a benchmark take about as long as it is from one run to the next.
_TURNS = 20
_PEERS = {
    "asv step fit": (
        "asv",
        "from asv.step_detect import detect_steps\n"
        "def raised(y, least):\n"
        "    steps = detect_steps(y)\n"
        "    return len(steps) > 1 and steps[-1][2] > (1 + least) * min(step[2] for step in steps)\n",
    ),
    "Otava, p = .001": (
        "otava",
        "from otava.analysis import compute_change_points\n"
        "def raised(y, least):\n"
        "    found = compute_change_points(y, max_pvalue=0.001, min_magnitude=least)[0]\n"
        "    return any(point.stats.mean_2 > point.stats.mean_1 for point in found)\n",
    ),
}
_LOOP = (
    "import json, sys\n"
    "for line in sys.stdin:\n"
    "    y = json.loads(line)\n"
    "    print(json.dumps([bool(raised(y[:-3], 0.05)), bool(raised(y, 0.05))]))\n"
)


class Machine:
    """A machine that measures; `at` gives the next measurement of a run, over its calibration."""

    def __init__(self, model: str, generator: np.random.Generator) -> None:
        self._model, self._generator = model, generator
        self._burst = (0, 1.0)
        self._period, self._phase = generator.uniform(40, 200), generator.uniform(0, 2 * math.pi)

    def at(self, run: int) -> float:
        """Measure a workload that takes 1 s."""
        draw = self._generator
        if self._model == "bimodal":
            return float(np.exp(draw.normal(0, 0.02)) * (1.1 if draw.random() < 0.4 else 1.0))
        noise = float(np.exp(draw.normal(0, 0.05)))
        if self._model == "bursts":
            left, factor = self._burst
            if left == 0 and draw.random() < 0.02:
                left, factor = int(draw.integers(1, 5)), float(draw.uniform(1.3, 2.0))
            self._burst = (max(0, left - 1), factor)
            return noise * factor if left else noise
        if self._model == "drift":
            machine = 0.15 * math.sin(2 * math.pi * run / self._period + self._phase)
            return noise * math.exp(machine) / math.exp(machine + draw.normal(0, 0.015))
        return noise


def watch_series(model: str, length: int, step: float, seed: int) -> dict[str, float]:
    """Let the rule watch one series that changes after `length` runs, measuring suspects again."""
    machine = Machine(model, np.random.default_rng(seed))
    watch, runs = Watch(Performance()), []
    raised_at, asked = None, 0
    for run in range(length + (3 if step > 1 else 0)):
        factor = step if run >= length else 1.0
        at = run * _DAY_S
        watch.feed(machine.at(run) * factor, at)
        runs.append(run)
        while watch.state_ == "suspect":
            at += _MINUTE_S
            watch.feed(machine.at(run) * factor, at)
            runs.append(run)
            asked += 1
        if watch.state_ != "steady":
            raised_at = run
            break
    onset = watch.judge().onset
    is_right = raised_at is not None and raised_at >= length and watch.state_ == "regression"
    return {
        "raised": raised_at is not None,
        "found": is_right,
        "dated": abs(runs[onset] - length) <= 1 if is_right and onset is not None else math.nan,
        "asked": asked / length,
    }


def watch_benchmark(model: str, step: float, seed: int) -> dict[str, float]:
    """Let a benchmark compare what takes `step` times as long with a stored baseline."""
    machine = Machine(model, np.random.default_rng(seed))
    taken = itertools.count()

    def code(factor: float) -> Callable[[], Repeat]:
        def measure() -> Repeat:
            number = next(taken)
            cost = machine.at(number // _TURNS) * factor
            used = {"elapsed_s": cost, "cpu_s": cost}
            still = {"peak_bytes": 1e9, "read_bytes": 1e6, "written_bytes": 1e6}
            record = {"run_id": f"r{number}", "benchmark": "b", "created": number, "calibration_s": 1.0}
            figures = pd.DataFrame([{"stage": "work", "phase": "all", "inside": None, **used, **still}])
            return Repeat({**record, "stages": {"work": used}}, figures)

        return measure

    before = code(1.0)
    known = Baseline([before() for _ in range(_BASELINE)])
    bench = Benchmark(code(step), Performance(), before=before, baseline=known)
    table = bench.run().table.set_index("measure")
    verdict = table.loc["time", "verdict"]
    return {
        "raised": verdict in ("regression", "improvement"),
        "found": verdict == "regression",
        "repeats": len(bench.repeats_) + len(bench.before_),
    }


def plain_series(model: str, length: int, step: float, seed: int) -> list[float]:
    """Give the series as a rule sees it that never measures again: three runs after the change."""
    machine = Machine(model, np.random.default_rng(seed))
    return [machine.at(run) * (step if run >= length else 1.0) for run in range(length + 3)]


def _previous(y: list[float]) -> bool:
    return y[-1] > 1.2 * y[-2]


def _fixed(y: list[float]) -> bool:
    return y[-1] > 1.2 * float(np.median(y[:-3]))


def _sigmas(y: list[float]) -> bool:
    before = y[-13:-3]
    return min(y[-3:]) > float(np.mean(before)) + 2 * float(np.std(before))


def _fence(y: list[float]) -> bool:
    before = np.array(y[:-3])
    centre = np.median(before)
    sigma = 1.4826 * np.median(np.abs(before - centre))
    return bool(np.median(y[-3:]) > max(centre * 1.1, centre + 3 * sigma))


def _kernel(y: list[float]) -> bool:
    import ruptures

    signal = np.array(y).reshape(-1, 1)
    found = ruptures.KernelCPD(kernel="rbf", min_size=3).fit(signal).predict(pen=3)[:-1]
    return bool(found) and float(np.median(y[found[-1] :])) > float(np.median(y[: found[-1]]))


_RULES: dict[str, Callable[[list[float]], bool]] = {
    "+20 % against the previous run": _previous,
    "+20 % against a fixed baseline": _fixed,
    "last 3 above mean + 2 sigma of 10": _sigmas,
    "median of the last 3 against a fence": _fence,
    "KernelCPD (rbf, pen 3)": _kernel,
}


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--series", type=int, default=500, help="series of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of the series; another one gives other series")
    options = parser.parse_args()
    kinds = [(model, length) for model in MODELS for length in LENGTHS]
    with ProcessPoolExecutor() as pool:
        own = list(pool.map(_measure_own, kinds, [_seeds(kind, options) for kind in kinds]))
    print("The toolkit's rule\n")
    print(pd.DataFrame(own).to_string(index=False, float_format="{:.3f}".format), "\n")
    others = [_measure_others(kind, _seeds(kind, options)) for kind in kinds]
    with ProcessPoolExecutor() as pool:
        benches = list(
            pool.map(_measure_benchmark, MODELS, [_seeds((model, 0), options) for model in MODELS])
        )
    print("The rule of `bench`: one benchmark against a stored baseline\n")
    print(pd.DataFrame(benches).to_string(index=False, float_format="{:.3f}".format), "\n")
    print("Other rules, asked once, 3 runs after the change (false: asked once, before it)\n")
    print(pd.concat(others).groupby("rule", sort=False).mean(numeric_only=True).round(3).to_string())


def _seeds(kind: tuple[str, int], options: argparse.Namespace) -> range:
    first = 1_000_000 * options.seed + 1_000 * kind[1]
    return range(first, first + options.series)


def _measure_own(kind: tuple[str, int], seeds: range) -> dict[str, object]:
    row: dict[str, object] = {"model": kind[0], "runs": kind[1]}
    for step in STEPS:
        seen = pd.DataFrame([watch_series(*kind, step, seed) for seed in seeds])
        if step == 1.0:
            row |= {"false": seen["raised"].mean(), "asked_per_run": seen["asked"].mean()}
        else:
            name = f"+{step - 1:.0%}"
            row |= {f"{name} found": seen["found"].mean(), f"{name} dated": seen["dated"].mean()}
    return row


def _measure_benchmark(model: str, seeds: range) -> dict[str, object]:
    row: dict[str, object] = {"model": model}
    for step in STEPS:
        seen = pd.DataFrame([watch_benchmark(model, step, seed) for seed in seeds])
        name = "false" if step == 1.0 else f"+{step - 1:.0%} found"
        row |= {name: seen["raised" if step == 1.0 else "found"].mean()}
        row |= {f"{name}, repeats": seen["repeats"].mean()}
    return row


def _measure_others(kind: tuple[str, int], seeds: range) -> pd.DataFrame:
    found: dict[str, dict[str, float]] = {}
    for step in STEPS[1:]:
        made = [plain_series(*kind, step, seed) for seed in seeds]
        answers = {name: [(rule(y[:-3]), rule(y)) for y in made] for name, rule in _RULES.items()}
        for name, (peer, code) in _PEERS.items():
            if has_environment(peer):
                answers[name] = _ask_peer(peer, code, made)
        for name, said in answers.items():
            false, caught = np.mean(np.array(said, dtype=float), axis=0)
            found.setdefault(name, {})["false"] = float(false)
            found[name][f"+{step - 1:.0%} found"] = float(caught)
    return pd.DataFrame([{"rule": name, **figures} for name, figures in found.items()])


def _ask_peer(peer: str, code: str, made: list[list[float]]) -> list[tuple[bool, bool]]:
    command = [str(peer_python(peer)), "-c", code + _LOOP]
    lines = "\n".join(json.dumps(series) for series in made)
    said = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    return [tuple(json.loads(line)) for line in said.splitlines()]


if __name__ == "__main__":
    main()
