"""Parameters: one frozen, typed object, built once from one file.

Every number that decides something anywhere in the toolkit is a field here, with its unit and its default. A
file under `params/` overrides defaults; `extends:` names the file it builds on; `-p key=value` on the command
line overrides the file. An unknown key or a wrong type is refused with the file, the key, what was expected
and what was found, before anything runs. The resolved object is frozen into each run, so a run can say what
it was told.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.params.alerts import Alerting
from sbir_toolkit.params.performance import Performance
from sbir_toolkit.params.quality import Quality, default_gates
from sbir_toolkit.params.section import Section, lay_over
from sbir_toolkit.params.work import (
    FILE_PARAMETERS,
    Accuracy,
    Compute,
    Fetch,
    Limits,
    Matching,
    Pipeline,
    Source,
    Synthetic,
)

# What a person writes there is a sentence with a colon in it, which YAML would take for something else.
_SENTENCES = "quality.overrule."


class Params(Section):
    """Everything a run can be told."""

    name: str = Field("base", pattern=r"^[A-Za-z0-9_-]+$", description="Short name; part of the run's id.")
    awards: Source = Field(default_factory=Source)
    recipients: Source = Field(default_factory=Source)
    fetch: Fetch = Field(default_factory=Fetch)
    synthetic: Synthetic = Field(default_factory=Synthetic)
    limits: Limits = Field(default_factory=Limits)
    compute: Compute = Field(default_factory=Compute)
    matching: Matching = Field(default_factory=Matching)
    accuracy: Accuracy = Field(default_factory=Accuracy)
    quality: Quality = Field(default_factory=Quality)
    performance: Performance = Field(default_factory=Performance)
    alerts: Alerting = Field(default_factory=Alerting)
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
    told = list(overrides)
    for override in told:
        _apply(values, override)
    try:
        return Params.model_validate(values)
    except ValidationError as wrong:
        raise ParameterError(_describe(wrong, where, told)) from None


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
    return lay_over(_read_file(path.parent / str(base), (*seen, path.resolve())), values)


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ParameterError(
            explain(
                "an override isn't of the form key=value", where=f"-p {override}", expected="-p key=value"
            )
        )
    try:
        value = text if key.startswith(_SENTENCES) else yaml.safe_load(text) if text else None
    except yaml.YAMLError as wrong:
        raise ParameterError(
            explain("the value of an override isn't YAML", where=f"-p {override}", got=wrong)
        ) from wrong
    *parents, last = key.split(".")
    if key in FILE_PARAMETERS.values():
        value = [_absolute(path) for path in value] if isinstance(value, list) else _absolute(value)
    target = values
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ParameterError(explain(f"the parameter '{parent}' has no parts", where=f"-p {override}"))
    target[last] = value


def _absolute(value: Any) -> Any:
    """Give a path from the current folder as one from anywhere; what is no path stays what it is."""
    is_path = isinstance(value, str) and "://" not in value
    return str(Path(value).expanduser().absolute()) if is_path else value


def _describe(wrong: ValidationError, file: str, overrides: Sequence[str]) -> str:
    blocks = []
    for error in wrong.errors():
        key = ".".join(str(part) for part in error["loc"]) or "(whole)"
        where = _whence(key, file, overrides)
        if error["type"] == "missing" and error["loc"][:2] == ("quality", "gates"):
            # A gate that isn't known is a new one, and a new one has to say what it measures.
            what = f"there is no gate '{error['loc'][2]}', and a new one needs a metric"
            todo = "see quality.gates in params/base.yml"
            expected = f"one of {', '.join(default_gates())}"
            blocks.append(explain(what, where=where, expected=expected, todo=todo))
            continue
        if error["type"] == "extra_forbidden":
            what, expected = f"there is no parameter '{key}'", _siblings(error["loc"])
        else:
            what, expected = f"the parameter '{key}' is wrong", _in_our_words(error["msg"])
        got = json.dumps(error["input"], default=str) if error["type"] != "value_error" else None
        blocks.append(explain(what, where=where, expected=expected, got=got, todo="see params/base.yml"))
    return "\n".join(blocks)


def _whence(key: str, file: str, overrides: Sequence[str]) -> str:
    """Say whether a wrong parameter came from the command line or from the file."""
    for override in reversed(overrides):
        given = override.partition("=")[0]
        if f"{given}.".startswith(f"{key}.") or f"{key}.".startswith(f"{given}."):
            return f"-p {override}"
    return f"{file}, key {key}"


def _in_our_words(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _siblings(loc: tuple[int | str, ...]) -> str:
    model: Any = Params
    for part in loc[:-1]:
        inner = model.model_fields.get(str(part)) if hasattr(model, "model_fields") else None
        if inner is None:
            return "a key of params/base.yml"
        model = inner.annotation
    names = getattr(model, "model_fields", {})
    if not names:
        return "a key of params/base.yml"
    near = difflib.get_close_matches(str(loc[-1]), list(names), 1)
    return f"one of {', '.join(names)}{f' (most like it: {near[0]})' if near else ''}"
