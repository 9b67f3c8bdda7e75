"""The README tells the truth: every command, target, file and public name in it exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sbir_toolkit
from sbir_toolkit.cli import make_parser
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.tables import TABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def commands() -> dict[str, str]:
    """Each command with its help."""
    (subparsers,) = (
        action for action in make_parser()._actions if hasattr(action, "choices") and action.choices
    )
    return {name: parser.format_help() for name, parser in dict(subparsers.choices).items()}


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_explained(name: str) -> None:
    """A command of the command line stands in the README."""
    assert f"sbir-toolkit {name}" in README


def test_no_command_is_promised_that_is_not_there() -> None:
    """What the README, the changelog and the Makefile call is a command, with options that it has."""
    texts = README + CHANGELOG + (ROOT / "Makefile").read_text()
    for name, rest in re.findall(r"^\s*(?:\$ |\$\(BIN\)/)?sbir-toolkit ([a-z]+)([^\n#]*)", texts, re.M):
        assert name in commands(), name
        for option in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", rest):
            assert option in commands()[name] or option == "--outputs", (name, option)


def test_every_make_target_is_explained_and_exists() -> None:
    """`make help` lists just the targets that the README uses and no target is hidden."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.M)) <= targets
    command = ["make", "--no-print-directory", "help"]
    helped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in helped.splitlines()} == targets


@pytest.mark.parametrize("name", sbir_toolkit.__all__)
def test_public_names_exist_and_say_what_they_do(name: str) -> None:
    """Each name that the package promises can be had and has a docstring."""
    assert (getattr(sbir_toolkit, name).__doc__ or "").strip()


def test_public_names_are_sorted_and_nothing_else_is_there() -> None:
    """`__all__` is what `dir` shows, and asking for anything else is an error that lists it."""
    assert sbir_toolkit.__all__ == sorted(sbir_toolkit.__all__)
    assert set(sbir_toolkit.__all__) <= set(dir(sbir_toolkit))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert sbir_toolkit.__version__ == declared
    with pytest.raises(AttributeError, match="read_awards"):
        _ = sbir_toolkit.read_awads


def test_tables_of_the_pipeline_are_in_the_readme() -> None:
    """Every table a stage writes is named in the README with what a row of it is."""
    pipeline = load_pipeline(ROOT / "notebooks" / "pipeline.yml", sbir_toolkit.Params())
    for stage in pipeline.stages:
        assert stage.notebook.removesuffix(".ipynb") in README
        for table in stage.writes:
            assert f"`{table}`" in README
            assert TABLES[table].meaning.rstrip(".") in README


def test_files_named_in_the_readme_exist() -> None:
    """Paths of the project that the README shows are there."""
    for path in re.findall(r"`((?:notebooks|params|sbir_toolkit|tests)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path


def test_python_examples_of_the_readme_run(tmp_path: Path) -> None:
    """The examples in Python do what they say, on files made by the toolkit itself."""
    sbir_toolkit.write_synthetic(tmp_path, awards=200, recipients=800, seed=1)
    for block in re.findall(r"```python\n(.*?)```", README, re.S):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
