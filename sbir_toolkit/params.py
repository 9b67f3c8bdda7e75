"""Parameters: one frozen, typed object, built once from one file.

Every number that decides something anywhere in the toolkit is a field here, with its unit and its default. A
file under `params/` overrides defaults; `extends:` names the file it builds on; `-p key=value` on the command
line overrides the file. An unknown key or a wrong type is refused with the file, the key, what was expected
and what was found, before anything runs. The resolved object is frozen into each run, so a run can say what
it was told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sbir_toolkit.errors import ParameterError, explain

Share = float


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Source(_Section):
    """Where one input comes from."""

    path: str | None = Field(None, description="The file; relative to the project. Null: the synthetic one.")


class Synthetic(_Section):
    """The made-up input that stands in where no file is named."""

    awards: int = Field(10_000, ge=1, description="Award records to make.")
    recipients: int = Field(100_000, ge=1, description="Recipients to make.")
    seed: int = Field(20_261_123, ge=0, description="Seed of the generator; same seed, same bytes.")


class Limits(_Section):
    """What the machine may be asked for."""

    memory_mb: int = Field(
        2_000, ge=256, description="Memory of the whole process tree, in MB; sizes the chunks."
    )
    read_rows: int = Field(50_000, ge=1, description="Records read and written at once.")


class Compute(_Section):
    """How chunks are computed."""

    scheduler: str = Field(
        "threads",
        pattern=r"^(threads|processes|distributed|tcp://.+|tls://.+)$",
        description="threads, processes, distributed (a cluster of this machine), or a cluster's address.",
    )
    workers: int = Field(0, ge=0, description="Workers at once; 0: one for each core.")
    chunk_companies: int = Field(
        0, ge=0, description="Distinct companies in a chunk; 0: from limits.memory_mb."
    )


class Matching(_Section):
    """Who is who."""

    accept_probability: Share = Field(0.90, ge=0, le=1, description="Accept at or above this probability.")
    review_probability: Share = Field(0.40, ge=0, le=1, description="Show to a person at or above this one.")
    min_margin: Share = Field(
        0.20, ge=0, le=1, description="Accept only if this much ahead of the runner-up."
    )
    max_unplaced_probability: Share = Field(
        0.98, ge=0, le=1, description="A match by name alone, with a place unknown, is never surer than this."
    )
    max_candidates: int = Field(20, ge=1, description="Candidates scored for each company.")
    min_word_overlap: Share = Field(
        0.30, ge=0, le=1, description="Share of words in common that makes a candidate."
    )
    max_word_postings: int = Field(
        2_000, ge=1, description="A word in more names than this finds no candidates."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Matching:
        if self.review_probability > self.accept_probability:
            raise ValueError("matching.review_probability must not exceed matching.accept_probability")
        return self


class Accuracy(_Section):
    """How the matching is checked against companies whose identifier is hidden."""

    sample_companies: int = Field(4_000, ge=1, description="Companies whose identifiers are hidden.")
    decoys: int = Field(1_000, ge=1, description="Invented companies that nobody should be linked to.")
    seed: int = Field(7, ge=0, description="Seed of the sample.")


class Gate(_Section):
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


def _default_gates() -> dict[str, Gate]:
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


class Quality(_Section):
    """When the result is good enough to go on."""

    gates: dict[str, Gate] = Field(
        default_factory=_default_gates,
        description="By name. What is said here is laid over the defaults: naming one gate drops none.",
    )
    confidence: Share = Field(0.95, gt=0, lt=1, description="Level of every interval.")

    @field_validator("gates", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return _merged({name: gate.model_dump() for name, gate in _default_gates().items()}, given)


class Alerts(_Section):
    """When a run's own figures raise an alert."""

    run_elapsed_s: float = Field(1_800.0, gt=0, description="The whole run took longer, in seconds.")
    stage_elapsed_s: float = Field(900.0, gt=0, description="One stage took longer, in seconds.")
    peak_mb: float = Field(8_000.0, gt=0, description="One stage's process tree used more memory, in MB.")
    slowdown_share: float = Field(
        0.15, gt=0, description="A stage's cost per row rose by this share over its history."
    )


class Performance(_Section):
    """How the toolkit watches its own speed."""

    sample_interval_s: float = Field(
        0.2, gt=0, le=10, description="Time between two looks at the process tree."
    )
    min_history_runs: int = Field(
        5, ge=3, description="Fewer comparable earlier runs than this: no verdict yet."
    )
    max_rows_difference: Share = Field(
        0.20,
        ge=0,
        le=1,
        description="Earlier runs whose rows differ by more than this share aren't comparable.",
    )
    fence_sigmas: float = Field(
        3.0,
        gt=0,
        le=20,
        description="A run this many robust standard deviations above its history is outside.",
    )
    worth_share: Share = Field(
        0.05, ge=0, le=1, description="A saving below this share of the run isn't recommended."
    )
    alerts: Alerts = Field(default_factory=Alerts)


class Pipeline(_Section):
    """How the stages are run."""

    parallel_stages: int = Field(2, ge=1, description="Stages that may run side by side.")
    stage_timeout_s: float = Field(7_200.0, gt=0, description="A stage is stopped after this long.")
    kernel: str = Field("python3", description="Jupyter kernel the notebooks run in.")


class Params(_Section):
    """Everything a run can be told."""

    name: str = Field("base", pattern=r"^[A-Za-z0-9_-]+$", description="Short name; part of the run's id.")
    awards: Source = Field(default_factory=Source)
    recipients: Source = Field(default_factory=Source)
    synthetic: Synthetic = Field(default_factory=Synthetic)
    limits: Limits = Field(default_factory=Limits)
    compute: Compute = Field(default_factory=Compute)
    matching: Matching = Field(default_factory=Matching)
    accuracy: Accuracy = Field(default_factory=Accuracy)
    quality: Quality = Field(default_factory=Quality)
    performance: Performance = Field(default_factory=Performance)
    pipeline: Pipeline = Field(default_factory=Pipeline)

    def lookup(self, key: str) -> Any:
        """Find a parameter or a section by its dotted key, as plain JSON values.

        Raises
        ------
        ParameterError
            When there is no such key.
        """
        value: Any = self.model_dump(mode="json")
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ParameterError(
                    explain(f"there is no parameter '{key}'", expected="a key of params/base.yml")
                )
            value = value[part]
        return value

    def to_yaml(self) -> str:
        """Write the resolved parameters as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_params(path: str | os.PathLike[str] | None = None, overrides: Iterable[str] = ()) -> Params:
    """Read a parameters file, apply overrides, and check the whole.

    Parameters
    ----------
    path
        A YAML file, such as `params/sample.yml`. None: the defaults.
    overrides
        `key=value` pairs with dotted keys; the value is read as YAML. Paths in them are relative to the
        current folder.

    Returns
    -------
    Params
        Frozen and checked.

    Raises
    ------
    ParameterError
        When the file can't be read, or a key is unknown or of the wrong type.

    Examples
    --------
    >>> load_params(overrides=["matching.accept_probability=0.95"]).matching.accept_probability
    0.95
    """
    where = str(path) if path is not None else "the defaults"
    values = _read_file(Path(path), seen=()) if path is not None else {}
    for override in overrides:
        _apply(values, override)
    try:
        return Params.model_validate(values)
    except ValidationError as wrong:
        raise ParameterError(_describe(wrong, where)) from None


def _read_file(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ParameterError(explain("parameter files extend each other in a circle", where=path))
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as wrong:
        raise ParameterError(
            explain(
                "the parameters file can't be read", where=path, got=wrong, todo="name a file under params/"
            )
        ) from wrong
    except yaml.YAMLError as wrong:
        raise ParameterError(explain("the parameters file isn't YAML", where=path, got=wrong)) from wrong
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ParameterError(
            explain(
                "the parameters file holds no keys",
                where=path,
                expected="key: value",
                got=type(values).__name__,
            )
        )
    base = values.pop("extends", None)
    if base is None:
        return values
    return _merged(_read_file(path.parent / str(base), (*seen, path.resolve())), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ParameterError(
            explain(
                "an override isn't of the form key=value", where=f"-p {override}", expected="-p key=value"
            )
        )
    try:
        value = yaml.safe_load(text) if text else None
    except yaml.YAMLError as wrong:
        raise ParameterError(
            explain("the value of an override isn't YAML", where=f"-p {override}", got=wrong)
        ) from wrong
    *parents, last = key.split(".")
    if last == "path" and isinstance(value, str) and "://" not in value:
        value = str(Path(value).expanduser().absolute())
    target = values
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ParameterError(explain(f"the parameter '{parent}' has no parts", where=f"-p {override}"))
    target[last] = value


def _describe(wrong: ValidationError, where: str) -> str:
    blocks = []
    for error in wrong.errors():
        key = ".".join(str(part) for part in error["loc"]) or "(whole)"
        if error["type"] == "missing" and error["loc"][:2] == ("quality", "gates"):
            # A gate that isn't known is a new one, and a new one has to say what it measures.
            what = f"there is no gate '{error['loc'][2]}', and a new one needs a metric"
            blocks.append(explain(what, where=where, expected=f"one of {', '.join(_default_gates())}"))
            continue
        if error["type"] == "extra_forbidden":
            what, expected = f"there is no parameter '{key}'", _siblings(error["loc"])
        else:
            what, expected = f"the parameter '{key}' is wrong", error["msg"]
        got = json.dumps(error["input"], default=str) if error["type"] != "value_error" else None
        blocks.append(
            explain(what, where=f"{where}, key {key}", expected=expected, got=got, todo="see params/base.yml")
        )
    return "\n".join(blocks)


def _siblings(loc: tuple[int | str, ...]) -> str:
    model: Any = Params
    for part in loc[:-1]:
        inner = model.model_fields.get(str(part)) if hasattr(model, "model_fields") else None
        if inner is None:
            return "a key of params/base.yml"
        model = inner.annotation
    names = getattr(model, "model_fields", {})
    return "one of " + ", ".join(names) if names else "a key of params/base.yml"
