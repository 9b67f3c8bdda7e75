"""Parameters of performance: history, regressions, alerts."""

from __future__ import annotations

from pydantic import Field

from sbir_toolkit.params.section import Section, Share


class Alerts(Section):
    """When a run's own figures raise an alert."""

    run_elapsed_s: float = Field(1_800.0, gt=0, description="The whole run took longer, in seconds.")
    stage_elapsed_s: float = Field(900.0, gt=0, description="One stage took longer, in seconds.")
    peak_mb: float = Field(8_000.0, gt=0, description="One stage's process tree used more memory, in MB.")


class Performance(Section):
    """How the toolkit watches its own speed."""

    history_url: str | None = Field(
        None, description="Database of all runs' figures (SQLAlchemy URL); null: outputs/history.sqlite."
    )
    sample_interval_s: float = Field(
        0.2, gt=0, le=10, description="Time between two looks at the process tree."
    )
    min_history_runs: int = Field(
        5, ge=3, description="Fewer comparable earlier runs than this: no verdict yet."
    )
    baseline_runs: int = Field(
        50, ge=5, description="The baseline grows to this many runs and then stays until accepted anew."
    )
    max_rows_difference: Share = Field(
        0.20,
        ge=0,
        le=1,
        description="Earlier runs whose rows differ by more than this share aren't comparable.",
    )
    least_change_share: Share = Field(
        0.05, gt=0, le=1, description="A change of cost below this share isn't worth speaking of."
    )
    suspect_sigmas: float = Field(
        1.6,
        gt=0,
        le=20,
        description="A run this many robust standard deviations off the baseline is suspect.",
    )
    false_alarm_share: Share = Field(
        0.001,
        gt=0,
        lt=1,
        description="Level of the tests that confirm a change; they get stricter as the baseline grows.",
    )
    worth_share: Share = Field(
        0.05, ge=0, le=1, description="A saving below this share of the run isn't recommended."
    )
    alerts: Alerts = Field(default_factory=Alerts)
