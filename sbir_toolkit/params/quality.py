"""Parameters of quality: the gates, what their history rules ask, and who overrules one."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sbir_toolkit.params.section import Section, Share, lay_over

Action = Literal["continue", "quarantine", "degrade", "block", "stop"]
_WHO_AND_WHY = re.compile(r"[^:]*\w[^:]*:.*\w.*", re.DOTALL)


class HistoryRule(Section):
    """How far a value may be from what the last accepted runs measured."""

    min_runs: int = Field(5, ge=1, description="Fewer accepted runs than this: no verdict yet.")
    max_runs: int = Field(24, ge=1, description="So many of the newest accepted runs count.")
    direction: Literal["fall", "rise", "both"] = Field(
        "both", description="Which change is a bad one: fall, rise or both."
    )
    is_relative: bool = Field(False, description="Changes are shares of the history's median.")
    warn_change: float | None = Field(None, gt=0, description="Warn from this change on, outside the band.")
    fail_change: float | None = Field(None, gt=0, description="Fail from this change on, outside the band.")
    sigmas: float = Field(3.0, gt=0, le=20, description="Half width of the band, in robust deviations.")

    @model_validator(mode="after")
    def _in_order(self) -> HistoryRule:
        if self.max_runs < self.min_runs:
            raise ValueError("history.max_runs must not be below history.min_runs")
        return self


class Gate(Section):
    """One promise about quality: what is measured, against what, and what follows when it's broken."""

    metric: str = Field(description="The metric's name, as in the table `metrics`.")
    by: str | None = Field(None, description="Hold each slice by this column, not the whole.")
    warn_below: float | None = Field(None, allow_inf_nan=False, description="Warn when the value is below.")
    fail_below: float | None = Field(None, allow_inf_nan=False, description="Fail when the value is below.")
    warn_above: float | None = Field(None, allow_inf_nan=False, description="Warn when the value is above.")
    fail_above: float | None = Field(None, allow_inf_nan=False, description="Fail when the value is above.")
    history: HistoryRule | None = Field(None, description="Hold it against the last accepted runs, too.")
    min_rows: int = Field(
        1, ge=0, description="Slices with fewer rows aren't judged; with none left the gate fails."
    )
    action: Action = Field(
        "block",
        description="On fail: continue; quarantine failing rows; degrade what follows; block stages; stop.",
    )
    blocks: tuple[str, ...] = Field((), description="Stages it blocks; empty: those that ask for the gates.")

    @model_validator(mode="after")
    def _can_fail(self) -> Gate:
        has_history = self.history is not None and self.history.fail_change is not None
        if self.fail_below is None and self.fail_above is None and not has_history:
            raise ValueError(
                "a gate needs fail_below, fail_above or history.fail_change, or it can never fail"
            )
        if self.blocks and self.action != "block":
            raise ValueError("only a gate whose action is block names the stages it blocks")
        return self


def default_gates() -> dict[str, Gate]:
    """Give the gates that hold unless they are overridden."""
    return {
        "match_rate": Gate(metric="match_rate", warn_below=0.70, fail_below=0.50),
        "match_rate_change": Gate(
            metric="match_rate",
            history=HistoryRule(direction="fall", warn_change=0.01, fail_change=0.03),
        ),
        "award_rejects": Gate(metric="award_rejected_share", warn_above=0.001, fail_above=0.02),
        "recipient_rejects": Gate(metric="recipient_rejected_share", warn_above=0.001, fail_above=0.02),
        "required_fields": Gate(metric="required_complete_share", warn_below=0.99, fail_below=0.95),
        "duplicate_awards": Gate(metric="duplicate_share", warn_above=0.01, fail_above=0.05),
        "accuracy": Gate(metric="hidden_identifier_precision", warn_below=0.98, fail_below=0.95),
        "identifiers": Gate(
            metric="identifier_coverage",
            by="identifier",
            history=HistoryRule(
                min_runs=1, direction="fall", is_relative=True, warn_change=0.1, fail_change=0.25
            ),
        ),
        "agencies": Gate(
            metric="awards",
            by="agency",
            min_rows=20,
            history=HistoryRule(
                min_runs=1, direction="fall", is_relative=True, warn_change=0.2, fail_change=0.5
            ),
        ),
        "award_count": Gate(
            metric="awards",
            history=HistoryRule(
                min_runs=1, direction="fall", is_relative=True, warn_change=0.02, fail_change=0.15
            ),
        ),
        "freshness": Gate(
            metric="newest_award_date",
            history=HistoryRule(min_runs=1, direction="fall", warn_change=7, fail_change=60),
        ),
        "award_amounts": Gate(
            metric="median_award_usd",
            warn_below=25_000,
            fail_below=5_000,
            warn_above=2_000_000,
            fail_above=10_000_000,
        ),
        "valid_values": Gate(metric="valid_share", by="column", warn_below=0.97, fail_below=0.80),
        "conforming_values": Gate(metric="conforming_share", by="column", warn_below=0.95, fail_below=0.80),
        "category_drift": Gate(
            metric="category_drift", by="column", warn_above=0.10, fail_above=0.25, action="degrade"
        ),
        "amount_drift": Gate(metric="amount_drift", warn_above=0.10, fail_above=0.25, action="degrade"),
        "format_drift": Gate(
            metric="format_drift", by="column", warn_above=0.20, fail_above=0.90, action="continue"
        ),
        "conservation": Gate(metric="awards_conserved", fail_below=1.0, action="stop"),
        "recipient_conservation": Gate(metric="recipients_conserved", fail_below=1.0, action="stop"),
    }


class Quality(Section):
    """When the result is good enough to go on."""

    gates: dict[str, Gate] = Field(
        default_factory=default_gates,
        description="By name. What is said here is laid over the defaults: naming one gate drops none.",
    )
    overrule: dict[str, str] = Field(
        default_factory=dict,
        description="Failed gates that a person lets pass in this run, by name: 'who: why'.",
    )
    confidence: Share = Field(0.95, gt=0, lt=1, description="Level of every interval.")

    @field_validator("gates", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return lay_over({name: gate.model_dump() for name, gate in default_gates().items()}, given)

    @model_validator(mode="after")
    def _overrules_are_answered_for(self) -> Quality:
        for gate, words in self.overrule.items():
            if gate not in self.gates:
                raise ValueError(f"there is no gate '{gate}' to overrule; there are {', '.join(self.gates)}")
            if not _WHO_AND_WHY.fullmatch(words):
                raise ValueError(f"to overrule '{gate}' say who does it and why, as 'who: why'")
        return self
