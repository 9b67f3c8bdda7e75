"""Keys: what the result of a stage depends on, and the store of results by key.

A stage's result depends on its notebook, its declaration, the code of the rooms it names, the parameters it
uses, the content of its inputs and tables, and the libraries that decide. Each is one *part* of its key. A
result whose key is known is linked into the new run instead of made again; when it isn't known, comparing the
parts with those of the last result says what changed.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sbir_toolkit.params import FILE_PARAMETERS
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.pipeline.setup import Setup
from sbir_toolkit.pipeline.stages import Stage
from sbir_toolkit.storage import digest_file, digest_value, read_json, write_json
from sbir_toolkit.versions import DECIDING_LIBRARIES, code_digest, library_versions

# Results that another version of the toolkit stored in another form stand beside these and aren't looked at.
_FORMAT = 1


@dataclass(frozen=True)
class StageKey:
    """What a stage's result depends on, part by part."""

    parts: dict[str, Any]

    @property
    def digest(self) -> str:
        """The key itself."""
        return digest_value(self.parts)

    @property
    def source(self) -> str:
        """What is known without any table or run: notebook, code, parameters, libraries."""
        return digest_value(
            {
                name: value
                for name, value in self.parts.items()
                if name != "run" and not name.startswith("table ")
            }
        )

    def changes_since(self, before: Mapping[str, Any]) -> list[str]:
        """Say in words which parts differ from an earlier key's."""
        changes = []
        for part in dict.fromkeys([*self.parts, *before]):
            old, new = before.get(part), self.parts.get(part)
            if old == new:
                continue
            if part == "parameters" and isinstance(old, dict) and isinstance(new, dict):
                changes += _parameter_changes("", old, new)
            elif part == "libraries" and isinstance(old, dict) and isinstance(new, dict):
                changes += [
                    f"{name} {old.get(name)} -> {new[name]}" for name in new if old.get(name) != new[name]
                ]
            else:
                changes.append(f"{part} changed")
        return changes


@dataclass(frozen=True)
class StoredTable:
    """One table of a stored result; its path is relative to the outputs folder."""

    path: str
    rows: int
    digest: str
    bytes: int


@dataclass(frozen=True)
class StoredResult:
    """The result of a stage, as kept in the store."""

    stage: str
    key: str
    parts: dict[str, Any]
    run_id: str
    params: str
    created: float
    tables: dict[str, StoredTable] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def stage_key(stage: Stage, setup: Setup, tables: Mapping[str, str], run_id: str | None) -> StageKey:
    """Work out what a stage's result depends on.

    Parameters
    ----------
    tables
        Digests of the tables it reads.
    run_id
        The run; part of the key only for a stage that measures the run.
    """
    parts: dict[str, Any] = {
        "notebook": digest_notebook(setup.pipeline.folder / stage.notebook),
        "declaration": digest_value([stage.writes, stage.conserves]),
        "code": code_digest(*stage.rooms),
        "parameters": {key: _without_files(key, setup.params.lookup(key)) for key in stage.uses},
        "libraries": library_versions(DECIDING_LIBRARIES),
        **{f"input {name}": setup.inputs[name] for name in stage.inputs},
        **{f"table {name}": tables[name] for name in stage.reads},
    }
    if stage.measures_run:
        parts["run"] = run_id
    return StageKey(parts)


def digest_notebook(path: Path) -> str:
    """Digest a notebook's cells; outputs and metadata don't matter."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return digest_value([[cell["cell_type"], "".join(cell["source"])] for cell in cells])


def stored_result(
    stage: Stage,
    key: StageKey,
    run: RunFolder,
    project: Project,
    outputs: Mapping[str, Mapping[str, Any]],
    *,
    params: str,
) -> StoredResult:
    """Describe a stage's result in a run's folder, for the store."""

    def relative(path: Path) -> str:
        return path.relative_to(project.outputs).as_posix()

    files = {
        kind: relative(path)
        for kind, path in {
            "metrics": run.metrics(stage.name),
            "notebook": run.notebook(stage.notebook),
            **{name: run.path / "reports" / name for name in stage.files},
        }.items()
        if path.exists()
    }
    # The report is rendered while the next stage runs; until then whoever links it does without.
    files["report"] = relative(run.report(stage.notebook))
    tables = {
        name: StoredTable(relative(run.table(name)), made["rows"], made["digest"], made["bytes"])
        for name, made in outputs.items()
    }
    return StoredResult(stage.name, key.digest, key.parts, run.run_id, params, time.time(), tables, files)


class ResultStore:
    """Results of stages by key."""

    def __init__(self, project: Project) -> None:
        self._outputs = project.outputs
        self._folder = project.store / f"stages-{_FORMAT}"

    def find(self, stage: str, key: str) -> StoredResult | None:
        """Find a result whose tables are all there, unchanged to the byte."""
        result = _read_note(self._path(stage, key))
        return result if result is not None and self._is_whole(result) else None

    def newest(self, stage: str, params: str) -> StoredResult | None:
        """The last result of a stage, whatever its key; rather one made with parameters of the same name."""
        notes = [_read_note(path) for path in (self._folder / stage).glob("*.json")]
        return max(
            (note for note in notes if note is not None),
            key=lambda result: (result.params == params, result.created, result.key),
            default=None,
        )

    def add(self, result: StoredResult) -> None:
        """Keep a result."""
        write_json(self._path(result.stage, result.key), asdict(result))

    def link(self, result: StoredResult, run: RunFolder) -> None:
        """Put a result's files into another run's folder, without a copy where the file system can."""
        for relative in [*(table.path for table in result.tables.values()), *result.files.values()]:
            source = self._outputs / relative
            target = run.path / Path(*Path(relative).parts[2:])
            if source.exists() and source != target:
                _link(source, target)

    def _is_whole(self, result: StoredResult) -> bool:
        return all(
            (self._outputs / table.path).exists() and digest_file(self._outputs / table.path) == table.digest
            for table in result.tables.values()
        )

    def _path(self, stage: str, key: str) -> Path:
        return self._folder / stage / f"{key.removeprefix('sha256:')[:32]}.json"


def _without_files(section: str, values: Any) -> Any:
    # A file counts by its content, as an input of the stage that reads it, and not by its name.
    files = {key.rpartition(".")[2] for key in FILE_PARAMETERS.values() if key.startswith(f"{section}.")}
    return {name: value for name, value in values.items() if name not in files} if files else values


def _read_note(path: Path) -> StoredResult | None:
    # A note that is gone or damaged vouches for nothing: the stage runs again.
    try:
        values = read_json(path)
        tables = {name: StoredTable(**table) for name, table in values.pop("tables").items()}
        return StoredResult(**values, tables=tables)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _link(source: Path, target: Path) -> None:
    # Files in a run's folder are only ever replaced, never written in place, so sharing one is safe.
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _parameter_changes(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    changes = []
    for name in dict.fromkeys([*new, *old]):
        key = f"{prefix}{name}"
        before, now = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            changes += _parameter_changes(f"{key}.", before, now)
        elif before != now:
            changes.append(f"parameter {key}: {before} -> {now}")
    return changes
