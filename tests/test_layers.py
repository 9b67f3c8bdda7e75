"""Imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from sbir_toolkit.versions import LAYERS

PACKAGE = Path(__file__).parents[1] / "sbir_toolkit"
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
HOMES = {
    "dask": {"enrichment"},
    "distributed": {"enrichment"},
    "papermill": {"pipeline"},
    "matplotlib": {"reports"},
    "nbconvert": {"reports"},
    "sqlalchemy": {"performance"},
    "rapidfuzz": {"matching"},
    "pandera": {"tables"},
}
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py"
)


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_imports_only_lower_layers(path: Path) -> None:
    """A room imports itself and rooms below it, never one beside or above it."""
    own = room_of(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "sbir_toolkit" and parts[1] in LEVEL and parts[1] != own:
            assert LEVEL[parts[1]] < LEVEL[own], f"{own} imports {parts[1]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_heavy_library_stays_in_its_room(path: Path) -> None:
    """Each heavy library is imported in the one room named for it."""
    for name in imported(path):
        library = name.split(".")[0]
        if library in HOMES:
            assert room_of(path) in HOMES[library], f"{library} in {room_of(path)}"


def test_every_room_has_its_place() -> None:
    """No room stands outside the order."""
    assert {room_of(path) for path in MODULES} == set(LEVEL)


def test_importing_the_package_is_fast_and_light() -> None:
    """`import sbir_toolkit` takes under 0.5 s and loads no heavy library."""
    code = (
        "import sys, time; start = time.perf_counter(); import sbir_toolkit;"
        "took = time.perf_counter() - start;"
        f"heavy = set({[*HOMES, 'pandas', 'pyarrow', 'scalene']!r}) & set(sys.modules);"
        "print(took, sorted(heavy))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    took, _, heavy = said.strip().partition(" ")
    assert float(took) < 0.5
    assert heavy == "[]"
