"""Small made-up frames that follow the tables' contracts, with known answers."""

from __future__ import annotations

import pandas as pd

AWARDS = pd.DataFrame(
    {
        "award_id": ["a1", "a2", "a3", "a4"],
        "award_year": [2019, 2019, 2021, 2021],
        "award_usd": [100_000.0, 300_000.0, 600_000.0, None],
        "decision": ["accept", "reject", "accept", "review"],
    }
)
MATCHES = pd.DataFrame(
    {
        "tier": ["uei", "name_exact", "name_fuzzy", None],
        "decision": ["accept", "accept", "review", "reject"],
        "match_probability": [1.0, 0.97, 0.61, None],
    }
)
REJECTS = pd.DataFrame({"reason": ["blank company", "unreadable year", "blank company"]})
RECIPIENTS = pd.DataFrame(
    {"source": ["sam", "fpds"], "rows": [3, 1], "uei": [2, 1], "duns": [1, 0], "cage": [0, 0], "zip5": [3, 0]}
)
METRICS = pd.DataFrame(
    [
        ("match_rate", "all", 0.8136, 0.806, 0.821, 8136.0, 10_000.0, "share"),
        ("match_rate", "agency=NASA", 0.61, 0.55, 0.67, 61.0, 100.0, "share"),
        ("match_rate", "agency=Energy", 0.82, 0.80, 0.84, 820.0, 1000.0, "share"),
        ("match_rate", "agency=None", None, None, None, 0.0, 0.0, "share"),
        ("match_rate", "award_year=1999", 0.5, 0.4, 0.6, 50.0, 100.0, "share"),
        ("match_rate", "award_year=2000", 0.9, 0.8, 0.95, 90.0, 100.0, "share"),
        ("matched_usd", "all", 2.1e9, None, None, None, None, "US dollars"),
    ],
    columns=["metric", "slice", "value", "low", "high", "numerator", "denominator", "unit"],
)
RELIABILITY = pd.DataFrame(
    {
        "predicted": [0.1, 0.5, 0.9],
        "observed": [0.1, 0.4, 0.9],
        "low": [0.0, 0.3, 0.8],
        "high": [0.2, 0.5, 1.0],
        "n": [100, 100, 200],
    }
)
ACCURACY = pd.DataFrame(
    [
        ("hidden_identifier_precision", "all", 0.99, 0.98, 0.995, 990, 1000, "hidden"),
        ("hidden_identifier_precision", "spelling=changed", 0.95, 0.9, 0.97, 95, 100, "hidden"),
        ("hidden_identifier_recall", "all", 0.95, 0.94, 0.96, 950, 1000, "hidden"),
        ("hidden_identifier_recall", "spelling=changed", 0.8, 0.7, 0.88, 80, 100, "hidden"),
        ("hidden_identifier_recall", "years=1980-1984", None, None, None, 0, 0, "hidden"),
        ("decoy_link_share", "all", 0.0, 0.0, 0.004, 0, 914, "decoys"),
        ("sibling_share", "all", 0.41, 0.39, 0.43, 410, 1000, "siblings"),
        ("unlinkable_share", "all", None, None, None, 0, 0, "itself"),
    ],
    columns=["estimate", "slice", "value", "low", "high", "numerator", "denominator", "method"],
)
THRESHOLDS = pd.DataFrame(
    [
        (0.8, False, 1000, 0.98, 0.97, 0.99, 0.9, 0.88, 0.92, 0.02, 0.01, 0.03, 500, 0.01, 0.0, 0.02),
        (0.9, True, 1000, 0.99, 0.98, 0.995, 0.85, 0.82, 0.87, 0.01, 0.005, 0.02, 500, 0.004, 0.0, 0.01),
    ],
    columns=[
        "threshold",
        "is_current",
        "trials",
        *(f"precision{end}" for end in ("", "_low", "_high")),
        *(f"recall{end}" for end in ("", "_low", "_high")),
        *(f"removed_link_share{end}" for end in ("", "_low", "_high")),
        "decoys",
        *(f"decoy_link_share{end}" for end in ("", "_low", "_high")),
    ],
)
ROUTES = pd.DataFrame(
    [
        ("exact, words", 700, 0.7, 0.67, 0.73),
        ("words", 250, 0.25, 0.22, 0.28),
        ("place", 40, 0.04, 0.03, 0.06),
        ("none", 10, 0.01, 0.005, 0.02),
    ],
    columns=["routes", "cases", "share", "low", "high"],
)
GATES = pd.DataFrame(
    [
        (
            "accuracy",
            "hidden_identifier_precision",
            "all",
            0.943,
            "fail below 95 %",
            "fail",
            "block",
            "too low",
        ),
        ("match_rate", "match_rate", "all", 0.81, "fail below 50 %", "pass", "block", "high enough"),
        (
            "award_rejects",
            "award_rejected_share",
            "all",
            None,
            "fail above 2 %",
            "unknown",
            "block",
            "no value",
        ),
        ("conservation", "awards_conserved", "all", 1.0, "fail below 100 %", "pass", "stop", "all there"),
    ],
    columns=["gate", "metric", "slice", "value", "threshold", "verdict", "action", "reason"],
)
FIGURES = pd.DataFrame(
    [
        ("load_awards", "all", 0.0, 4.2, 4.0, 310_000_000, 10_000, 2381.0, 4.2),
        ("load_awards", "read", 0.2, 2.0, 2.0, None, 10_000, 5000.0, 2.0),
        ("match_recipients", "all", 4.5, 17.3, 16.0, 1_310_000_000, 10_000, 578.0, 17.3),
    ],
    columns=[
        "stage",
        "phase",
        "started_s",
        "elapsed_s",
        "cpu_s",
        "peak_bytes",
        "rows",
        "rows_per_s",
        "own_s",
    ],
)
SAMPLES = pd.DataFrame(
    {
        "t_s": [0.0, 1.0, 5.0],
        "stage": ["load_awards", "load_awards", "match_recipients"],
        "memory_bytes": [1e8, 3e8, 1e9],
    }
)
TRENDS = pd.DataFrame(
    [
        (run, float(day), stage, seconds, seconds / 1000, 10)
        for day, (run, seconds) in enumerate([("r1", 10.0), ("r2", 10.0), ("r3", 12.0)])
        for stage in ("load_awards", "match_recipients")
    ],
    columns=["run_id", "created", "stage", "elapsed_s", "cost_s_per_row", "peak_bytes"],
)
PHASE_TRENDS = pd.DataFrame(
    [
        (run, float(day), "match_recipients", phase, seconds)
        for day, (run, scored_s) in enumerate([("r1", 2.0), ("r2", 2.0), ("r3", 5.0)])
        for phase, seconds in (("index", 3.0), ("score", scored_s), ("rest of the stage", 1.0))
    ],
    columns=["run_id", "created", "stage", "phase", "elapsed_s"],
)
HISTORY = pd.DataFrame(
    [("r1", 1.0, "match_rate", 0.80), ("r2", 2.0, "match_rate", 0.75), ("r2", 2.0, "matched_usd", 5e6)],
    columns=["run_id", "created", "metric", "value"],
)
RECOMMENDATIONS = pd.DataFrame(
    [
        (1, "Keep the index", "match_recipients", 6.0, 0.16, "its key was known", "high"),
        (2, "Larger chunks", "match_recipients", 2.0, 0.05, "fixed cost", "low"),
    ],
    columns=["rank", "change", "where", "saved_s", "saved_share", "evidence", "confidence"],
)
FUNDING = pd.DataFrame(
    [
        ("year", "2019", 2, 1, 400_000.0, 100_000.0),
        ("year", "2021", 2, 1, 600_000.0, 600_000.0),
        *[("state", f"S{number:02d}", 1, 1, 1000.0 * number, 500.0 * number) for number in range(1, 21)],
    ],
    columns=["dimension", "value", "awards", "matched_awards", "awards_usd", "matched_usd"],
)
