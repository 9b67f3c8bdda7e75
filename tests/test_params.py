"""Parameters are typed, complete, and refuse what they don't know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from sbir_toolkit import Params, ToolkitError, load_params
from sbir_toolkit.errors import ParameterError
from sbir_toolkit.params.section import Section

PARAMS = Path(__file__).parents[1] / "params"


def test_base_file_lists_every_parameter_with_its_default() -> None:
    """`params/base.yml` is complete: it says just what the defaults are."""
    assert yaml.safe_load((PARAMS / "base.yml").read_text()) == Params().model_dump(mode="json")


def test_base_file_says_what_every_parameter_means() -> None:
    """Beside each key, where it stands first, stands what the model says of it."""
    text = (PARAMS / "base.yml").read_text()

    def check(model: type[Section]) -> None:
        for name, field in model.model_fields.items():
            if field.description and re.search(rf"^ *{name}:", text, re.MULTILINE):
                assert f"# {field.description}" in text, name
            for part in (field.annotation, *get_args(field.annotation)):
                if isinstance(part, type) and issubclass(part, Section):
                    check(part)

    check(Params)


@pytest.mark.parametrize("name", ["sample", "full", "cluster"])
def test_files_load(name: str) -> None:
    """Each shipped file is valid and carries its own name."""
    assert load_params(PARAMS / f"{name}.yml").name == name


def test_extends_builds_on_another_file(tmp_path: Path) -> None:
    """A file overrides the one it extends, key by key."""
    (tmp_path / "below.yml").write_text("matching: {accept_probability: 0.8, review_probability: 0.3}\n")
    (tmp_path / "above.yml").write_text("extends: below.yml\nmatching: {accept_probability: 0.7}\n")
    matching = load_params(tmp_path / "above.yml").matching
    assert (matching.accept_probability, matching.review_probability) == (0.7, 0.3)


def test_overrides_win_and_are_read_as_yaml() -> None:
    """`-p key=value` beats the file, and the value has the type it looks like."""
    params = load_params(PARAMS / "sample.yml", ["synthetic.awards=7", "compute.scheduler=processes"])
    assert (params.synthetic.awards, params.compute.scheduler) == (7, "processes")


def test_override_paths_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path typed on the command line means a file where one stands."""
    monkeypatch.chdir(tmp_path)
    assert load_params(overrides=["awards.path=a.csv"]).awards.path == str(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("matching.acept_probability=0.9", "there is no parameter 'matching.acept_probability'"),
        ("nonsense=1", "there is no parameter 'nonsense'"),
        ("synthetic.awards=many", 'got:      "many"'),
        ("synthetic.awards=0", "greater than or equal to 1"),
        ("compute.scheduler=slurm", "compute.scheduler"),
        ("compute.scheduler=tcp://nowhere", "compute.scheduler"),
        ("matching.review_probability=0.99", "must not exceed"),
        ("quality.gates.match_rate.fail_below=", "can never fail"),
        ("awards", "key=value"),
        ("name.first=x", "has no parts"),
        ("limits.memory_mb=[", "isn't YAML"),
    ],
)
def test_mistakes_are_named(override: str, said: str) -> None:
    """A wrong key or value is refused with the key, what was expected and what was found."""
    with pytest.raises(ParameterError) as caught:
        load_params(PARAMS / "base.yml", [override])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [("- a\n- b\n", "holds no keys"), ("a: [", "isn't YAML"), ("extends: this.yml\n", "in a circle")],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, said: str) -> None:
    """A file that is no mapping, no YAML, or extends itself is refused."""
    path = tmp_path / "this.yml"
    path.write_text(content)
    with pytest.raises(ToolkitError, match=said):
        load_params(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that isn't there is named."""
    with pytest.raises(ParameterError, match=r"gone\.yml"):
        load_params(tmp_path / "gone.yml")


def test_params_survive_being_frozen_into_a_run(tmp_path: Path) -> None:
    """What a run writes down reads back as the same object."""
    params = load_params(PARAMS / "sample.yml", ["matching.min_margin=0.15"])
    (tmp_path / "params.yml").write_text(params.to_yaml())
    assert load_params(tmp_path / "params.yml") == params
