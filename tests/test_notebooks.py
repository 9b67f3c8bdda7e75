"""The notebooks keep to their form."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

import sbir_toolkit
from sbir_toolkit.pipeline.stages import notebook_parameters

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LIBRARIES = {"sbir_toolkit", "pandas", "matplotlib"}


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def sources(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(path, "code")]


def test_there_are_eight() -> None:
    """One for each stage, numbered."""
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(1, 9)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean(path: Path) -> None:
    """No outputs, no counts, one parameters cell that comes first and says what each literal means."""
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(path, "code"))
    assert set(notebook_parameters(path)) == {"run_id", "params_file"}
    assert all("  # " in line for line in sources(path)[0].splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_opens_with_its_question_and_ends_with_its_verdict(path: Path) -> None:
    """The first cell asks a question and says what is read and written; the last one checks the tables."""
    first = "".join(cells(path, "markdown")[0]["source"])
    assert first.startswith("# ")
    assert all(word in first for word in ("**Question.**", "*Reads*", "*Writes*"))
    assert sources(path)[-1].endswith("stage.finish()")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short_calls_into_the_library(path: Path) -> None:
    """No definitions, no loops, few lines; only public names of the toolkit, pandas and matplotlib."""
    for source in sources(path):
        tree = ast.parse(source)
        assert len(source.splitlines()) <= 10
        assert not [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= LIBRARIES
            assert not isinstance(node, ast.ImportFrom) or node.module in LIBRARIES
        assert set(re.findall(r"\bsbir\.(\w+)", source)) <= set(sbir_toolkit.__all__)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_result_has_a_sentence_before_it(path: Path) -> None:
    """A section's heading, and where it needs one an explanation, stands before its code."""
    kinds = [cell["cell_type"] for cell in json.loads(path.read_text())["cells"]]
    assert kinds[0] == "markdown"
    assert "".join(cells(path, "markdown")[-1]["source"]).startswith("## Verdict")
