"""The declared pipeline: stages, what they read and write, and the order that follows.

`notebooks/pipeline.yml` says for each stage which notebook it is, which tables it reads and which it writes.
Nobody writes down an order: it follows from the data. What can't work is refused before anything runs: a
cycle, a table nobody makes, a table that two make, a notebook that isn't there or doesn't take the parameters
it will be given, a parameter that doesn't exist.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sbir_toolkit.errors import ParameterError, PipelineError, explain
from sbir_toolkit.params import FILE_PARAMETERS, Params
from sbir_toolkit.tables import TABLES, VERDICTS
from sbir_toolkit.versions import LAYERS

if TYPE_CHECKING:
    from sbir_toolkit.performance import StagePath

PARAMETERS = ("run_id", "params_file")


class Stage(BaseModel):
    """One stage, as declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    notebook: str
    inputs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needs_gates: bool | tuple[str, ...] = False
    when: dict[str, tuple[str, ...]] = Field(default={})
    measures_run: bool = False
    conserves: tuple[str, ...] = Field(default=())

    @property
    def asks_gates(self) -> bool:
        """Whether it depends on the gates' verdicts, by its own declaration."""
        return bool(self.needs_gates or self.when)


@dataclass(frozen=True)
class Pipeline:
    """All stages, in an order in which each comes after what it needs.

    Parameters
    ----------
    stages
        In that order; stages that could go in either order keep that of the file.
    folder
        Where the notebooks are.
    blockable
        Stages that gates name as those they block.
    """

    stages: tuple[Stage, ...]
    folder: Path
    blockable: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Stage:
        self.require([name])
        return next(stage for stage in self.stages if stage.name == name)

    def require(self, names: Iterable[str]) -> None:
        """Refuse names of stages that don't exist.

        Raises
        ------
        ParameterError
            With the names that do.
        """
        for name in sorted(set(names) - set(self.names)):
            known = f"one of: {', '.join(self.names)}"
            raise ParameterError(explain(f"there is no stage '{name}'", expected=known, got=name))

    @property
    def names(self) -> list[str]:
        """The stages' names, in order."""
        return [stage.name for stage in self.stages]

    def path(self, stage: Stage) -> StagePath:
        """What the speed of a stage depends on: its code, its parameters, the inputs that reach it."""
        from sbir_toolkit.performance import StagePath

        reached = {stage.name}
        for other in reversed(self.stages):
            if other.name in reached:
                reached |= set(self.upstream(other))
        inputs = [name for other in self.stages if other.name in reached for name in other.inputs]
        return StagePath(tuple(stage.rooms), tuple(stage.uses), tuple(inputs))

    def asks_gates(self, stage: Stage) -> bool:
        """Whether the gates' verdicts may hold a stage up."""
        return stage.asks_gates or stage.name in self.blockable

    def producer(self, table: str) -> Stage | None:
        """The stage that writes a table."""
        return next((stage for stage in self.stages if table in stage.writes), None)

    def upstream(self, stage: Stage) -> list[str]:
        """The stages whose tables it reads, in order."""
        made_by = {table: other.name for other in self.stages for table in other.writes}
        needed = {made_by[table] for table in stage.reads}
        return [name for name in self.names if name in needed]

    def before(self, stage: Stage) -> list[str]:
        """The stages that must have ended before it: those it reads from, comes after, or asks for gates."""
        gates = self.producer("gates")
        waits = {*self.upstream(stage), *stage.after}
        if gates is not None and self.asks_gates(stage):
            waits.add(gates.name)
        return [name for name in self.names if name in waits]

    def dependants(self, name: str) -> list[str]:
        """The stages that read, directly or not, what a stage writes, in order."""
        found: set[str] = {name}
        for stage in self.stages:
            if found & set(self.upstream(stage)):
                found.add(stage.name)
        return [other for other in self.names if other in found and other != name]


def load_pipeline(path: Path, params: Params) -> Pipeline:
    """Read the declaration, check it, and put the stages into order.

    Parameters
    ----------
    path
        `notebooks/pipeline.yml`.
    params
        To check that the parameters which stages use exist.

    Returns
    -------
    Pipeline
        Checked and ordered.

    Raises
    ------
    PipelineError
        Naming the stage, the key, and what is wrong with it.
    """
    declared = _declared(path)
    blockable = frozenset(name for gate in params.quality.gates.values() for name in gate.blocks)
    names = [stage.name for stage in declared]
    _require(sorted(blockable), names, "a gate blocks the stage '{}', which isn't there", "quality.gates")
    for stage in declared:
        _check_names(stage, declared, blockable, path)
        _check_gates(stage, params, path)
        _check_parameters(stage, params, path)
        _check_notebook(stage, path.parent / stage.notebook)
    return Pipeline(_ordered(declared, blockable, path), path.parent, blockable)


def notebook_parameters(path: Path) -> dict[str, Any]:
    """Read the names and defaults in a notebook's `parameters` cell without running it.

    Raises
    ------
    PipelineError
        When the notebook can't be read, has no such cell or more than one, or a default isn't a literal.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
        sources = ["".join(cell["source"]) for cell in tagged]
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise PipelineError(explain("the notebook can't be read", where=path, got=wrong)) from wrong
    if len(sources) != 1:
        raise PipelineError(
            explain(
                "a notebook needs one cell tagged 'parameters'",
                where=path,
                expected="1",
                got=f"{len(sources)} of them",
            )
        )
    found = {}
    for line in ast.parse(sources[0]).body:
        if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
            raise PipelineError(
                explain("the parameters cell may hold literals only", where=path, got=ast.unparse(line))
            )
        try:
            found[line.targets[0].id] = ast.literal_eval(line.value)
        except ValueError:
            raise PipelineError(
                explain("the parameters cell may hold literals only", where=path, got=ast.unparse(line))
            ) from None
    return found


def _declared(path: Path) -> list[Stage]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        stages = content["stages"].items()
    except OSError as wrong:
        raise PipelineError(
            explain("the pipeline's declaration can't be read", where=path, got=wrong)
        ) from wrong
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as wrong:
        raise PipelineError(
            explain(
                "the pipeline's declaration is malformed", where=path, expected="stages: by name", got=wrong
            )
        ) from wrong
    try:
        return [Stage(name=name, **(values or {})) for name, values in stages]
    except (ValidationError, TypeError) as wrong:
        raise PipelineError(explain("a stage's declaration is wrong", where=path, got=wrong)) from wrong


def _check_names(stage: Stage, stages: list[Stage], blockable: frozenset[str], path: Path) -> None:
    where = f"{path}, stage {stage.name}"
    made = [table for other in stages for table in other.writes]
    rooms = sorted({room for layer in LAYERS for room in layer})
    _require(stage.writes, TABLES, "the table '{}' has no contract", where)
    _require(stage.reads, made, "no stage writes the table '{}'", where)
    _require(stage.after, [other.name for other in stages], "there is no stage '{}'", where)
    _require(stage.rooms, rooms, "there is no room '{}'", where)
    is_asking = stage.asks_gates or stage.name in blockable
    _require(["gates"] if is_asking else [], made, "no stage writes the table '{}'", where)
    for table in stage.writes:
        if made.count(table) > 1:
            makers = " and ".join(other.name for other in stages if table in other.writes)
            raise PipelineError(explain(f"two stages write the table '{table}'", where=where, got=makers))


def _check_gates(stage: Stage, params: Params, path: Path) -> None:
    where = f"{path}, stage {stage.name}"
    named = stage.needs_gates if isinstance(stage.needs_gates, tuple) else ()
    _require([*named, *stage.when], params.quality.gates, "there is no gate '{}'", where)
    for wanted in stage.when.values():
        _require(wanted, VERDICTS, "there is no verdict '{}'", where)


def _require(names: Iterable[str], known: Collection[str], complaint: str, where: str) -> None:
    for name in names:
        if name not in known:
            raise PipelineError(explain(complaint.format(name), where=where, expected=", ".join(known)))


def _check_parameters(stage: Stage, params: Params, path: Path) -> None:
    for key in (*stage.uses, *(FILE_PARAMETERS.get(name, f"{name}.path") for name in stage.inputs)):
        try:
            params.lookup(key)
        except ParameterError as wrong:
            raise PipelineError(f"{wrong}\n  in:       {path}, stage {stage.name}") from wrong


def _check_notebook(stage: Stage, notebook: Path) -> None:
    missing = set(PARAMETERS) - set(notebook_parameters(notebook))
    if missing:
        raise PipelineError(
            explain(
                "a notebook doesn't take a parameter that it will be given",
                where=notebook,
                expected=", ".join(PARAMETERS),
                got=f"no {', '.join(sorted(missing))} in its parameters cell",
            )
        )


def _ordered(stages: list[Stage], blockable: frozenset[str], path: Path) -> tuple[Stage, ...]:
    unordered = Pipeline(tuple(stages), path.parent, blockable)
    sorter: TopologicalSorter[str] = TopologicalSorter(
        {stage.name: unordered.before(stage) for stage in stages}
    )
    try:
        sorter.prepare()
    except CycleError as wrong:
        circle = " -> ".join(wrong.args[1])
        raise PipelineError(
            explain("the stages wait for each other in a circle", where=path, got=circle)
        ) from None
    order: list[Stage] = []
    while len(order) < len(stages):
        # Of those whose turn it may be, the one that stands first in the file.
        placed = {stage.name for stage in order}
        waiting = (stage for stage in stages if stage.name not in placed)
        order.append(next(stage for stage in waiting if set(unordered.before(stage)) <= placed))
    return tuple(order)
