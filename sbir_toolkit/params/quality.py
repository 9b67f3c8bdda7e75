"""Parameters of quality: the gates."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sbir_toolkit.params.section import Section, Share, lay_over


class Gate(Section):
    """One promise about quality: what is measured, against what, and what follows when it's broken."""

    metric: str = Field(description="The metric's name, as in the table `metrics`.")
    by: str | None = Field(None, description="Hold each slice by this column, not the whole.")
    warn_below: float | None = Field(None, allow_inf_nan=False, description="Warn when the value is below.")
    fail_below: float | None = Field(None, allow_inf_nan=False, description="Fail when the value is below.")
    warn_above: float | None = Field(None, allow_inf_nan=False, description="Warn when the value is above.")
    fail_above: float | None = Field(None, allow_inf_nan=False, description="Fail when the value is above.")
    min_rows: int = Field(
        1, ge=0, description="Slices with fewer rows aren't judged; with none left the gate fails."
    )
    action: Literal["continue", "block", "stop"] = Field(
        "block", description="On fail: go on; block the stages that ask for this gate; stop the run."
    )

    @model_validator(mode="after")
    def _can_fail(self) -> Gate:
        if self.fail_below is None and self.fail_above is None:
            raise ValueError("a gate needs fail_below or fail_above, or it can never fail")
        return self


def default_gates() -> dict[str, Gate]:
    """Give the gates that hold unless they are overridden."""
    return {
        "match_rate": Gate(metric="match_rate", warn_below=0.70, fail_below=0.50),
        "award_rejects": Gate(metric="award_rejected_share", warn_above=0.001, fail_above=0.02),
        "recipient_rejects": Gate(metric="recipient_rejected_share", warn_above=0.001, fail_above=0.02),
        "required_fields": Gate(metric="required_complete_share", warn_below=0.99, fail_below=0.95),
        "duplicate_awards": Gate(metric="duplicate_share", warn_above=0.01, fail_above=0.05),
        "accuracy": Gate(metric="hidden_identifier_precision", warn_below=0.98, fail_below=0.95),
        "conservation": Gate(metric="awards_conserved", fail_below=1.0, action="stop"),
        "recipient_conservation": Gate(metric="recipients_conserved", fail_below=1.0, action="stop"),
    }


class Quality(Section):
    """When the result is good enough to go on."""

    gates: dict[str, Gate] = Field(
        default_factory=default_gates,
        description="By name. What is said here is laid over the defaults: naming one gate drops none.",
    )
    confidence: Share = Field(0.95, gt=0, lt=1, description="Level of every interval.")

    @field_validator("gates", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return lay_over({name: gate.model_dump() for name, gate in default_gates().items()}, given)
