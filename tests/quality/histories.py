"""Simulated histories of a match rate: how often a history rule cries, and how often it should have."""

from __future__ import annotations

import numpy as np

from sbir_toolkit.params import Quality
from sbir_toolkit.quality import evaluate_gates
from sbir_toolkit.quality.bands import make_band
from sbir_toolkit.tables import METRIC_HISTORY

from .frames import metric_rows

AWARDS = 20_000


def simulate(seed: int, runs: int, *, scatter: float, wild: float = 0.05) -> list[float]:
    """Draw the match rates of some runs: a level, scatter of so many points, now and then a wild run."""
    generator = np.random.default_rng(seed)
    level = generator.uniform(0.55, 0.95)
    noise = generator.normal(0, scatter, runs) * np.where(generator.random(runs) < wild, 4, 1)
    true = np.clip(level + noise, 0.01, 0.99)
    return [float(count) / AWARDS for count in generator.binomial(AWARDS, true)]


def verdict_on(past: list[float], now: float) -> str:
    """Judge a match rate by the rule of the default gate on its change, without the tables around it."""
    rule = Quality().gates["match_rate_change"].history
    assert rule is not None
    if len(past) < rule.min_runs:
        return "unknown"
    band = make_band(past, rule, unit="share", rows=AWARDS)
    for verdict, change in (("fail", rule.fail_change), ("warn", rule.warn_change)):
        low, high = band.limits(rule, change)
        if not low <= now <= high:
            return verdict
    return "pass"


def judge_whole(past: list[float], now: float) -> str:
    """Judge a match rate by the default gate, as the pipeline does."""
    gate = Quality().gates["match_rate_change"]
    history = metric_rows(*(("match_rate", "all", rate, rate * AWARDS, AWARDS) for rate in past))
    history = history.assign(
        run_id=[f"run-{n:02d}" for n in range(len(past))], created=np.arange(len(past), dtype=float)
    )
    metrics = metric_rows(("match_rate", "all", now, now * AWARDS, AWARDS))
    report = evaluate_gates(metrics, {"gate": gate}, history[METRIC_HISTORY.names])
    return str(report.table["verdict"].iloc[0])


def count_verdicts(histories: int, runs: int, *, scatter: float, fall: float) -> dict[str, int]:
    """Judge the run after each of some histories, its match rate having fallen by so much."""
    found: dict[str, int] = {}
    for seed in range(histories):
        *past, now = simulate(1_000 * runs + seed, runs + 1, scatter=scatter)
        verdict = verdict_on(past, now - fall)
        found[verdict] = found.get(verdict, 0) + 1
    return found
