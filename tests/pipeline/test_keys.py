"""The store of results: a result is whole or not there, whatever happened to the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sbir_toolkit.pipeline.keys import ResultStore, StageKey, StoredResult, StoredTable
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.storage import digest_file
from tests.enrichment.crashes import Disk, lay_out


def store_result(project: Project) -> StoredResult:
    """Describe a stage's result: one table, whose file is there."""
    table = project.runs / "r" / "data" / "awards.parquet"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_bytes(b"rows")
    stored = StoredTable(table.relative_to(project.outputs).as_posix(), 1, digest_file(table), 4)
    parts = {"code": "c"}
    return StoredResult("load", StageKey(parts).digest, parts, "r", "p", 1.0, {"awards": stored})


def test_every_state_that_a_crash_can_leave_has_the_result_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write, flush and rename while a result is kept; once it is kept, it stays."""
    project = Project(tmp_path, tmp_path / "outputs")
    result = store_result(project)
    folder = project.store / "stages-1" / "load"
    folder.mkdir(parents=True)
    kept: list[str] = []
    disk = Disk(folder, lambda: frozenset(kept))
    with disk.listening(monkeypatch):
        ResultStore(project).add(result)
        kept.append(result.key)
    assert disk.steps >= 3
    for state, promised in disk.states.items():
        shutil.rmtree(folder)
        lay_out(state, folder)
        found = ResultStore(project).find("load", result.key)
        assert found == result if promised else found in (None, result)
        assert ResultStore(project).newest("load", "p") in (None, result)


@pytest.mark.parametrize("content", [b"", b'{"stage": "load", "ke', b"[]", b'{"tables": {}}', b"\xff\x00"])
def test_a_damaged_note_vouches_for_nothing(tmp_path: Path, content: bytes) -> None:
    """The stage runs again; nobody has to delete anything."""
    project = Project(tmp_path, tmp_path / "outputs")
    result = store_result(project)
    ResultStore(project).add(result)
    (note,) = project.store.glob("stages-1/load/*.json")
    note.write_bytes(content)
    assert ResultStore(project).find("load", result.key) is None
    assert ResultStore(project).newest("load", "p") is None
    ResultStore(project).add(result)
    assert ResultStore(project).find("load", result.key) == result


def test_a_damaged_table_is_no_result(tmp_path: Path) -> None:
    """The digest is looked at, not the name."""
    project = Project(tmp_path, tmp_path / "outputs")
    result = store_result(project)
    ResultStore(project).add(result)
    (project.runs / "r" / "data" / "awards.parquet").write_bytes(b"raws")
    assert ResultStore(project).find("load", result.key) is None
