"""Parameters of alerts: who learns of what went wrong, how loud, and what is kept quiet for a while."""

from __future__ import annotations

import datetime

from pydantic import Field, field_validator

from sbir_toolkit.params.section import Section


class Silence(Section):
    """Why an alert is kept quiet, and until when."""

    reason: str = Field(min_length=3, description="Why; stands beside the alert.")
    until: datetime.date = Field(description="The last day of the silence.")


class Alerting(Section):
    """Who learns of what went wrong."""

    escalate_after_runs: int = Field(
        3, ge=2, description="An alert that comes back in so many runs in a row is said one degree louder."
    )
    silences: dict[str, Silence] = Field(
        default_factory=dict, description="By the alert's id: {reason: ..., until: 2027-01-31}."
    )
    sinks: tuple[str, ...] = Field(
        (), description="Where to: addresses as apprise knows them, or env:NAME for one kept in a variable."
    )

    @field_validator("silences", mode="after")
    @classmethod
    def _have_ids(cls, silences: dict[str, Silence]) -> dict[str, Silence]:
        if any(":" not in identity for identity in silences):
            raise ValueError("a silence names an alert's id, such as gate:match_rate")
        return silences
