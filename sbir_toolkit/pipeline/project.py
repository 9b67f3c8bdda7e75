"""Where things are: the project's folders and the run's files.

The project is the folder that holds `notebooks/pipeline.yml`; it is found from wherever one stands, so that a
notebook opened in JupyterLab and a command typed in another folder mean the same one. Results go to
`outputs/` inside it unless SBIR_OUTPUTS or `--outputs` says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.locks import LONGEST_WAIT_S, locked
from sbir_toolkit.params import FILE_PARAMETERS, OPTIONAL_FILES, Params
from sbir_toolkit.storage import mark_used
from sbir_toolkit.versions import code_digest

OUTPUTS_VARIABLE = "SBIR_OUTPUTS"
OVERRIDES = "overrides"
_MARK = Path("notebooks") / "pipeline.yml"


@dataclass(frozen=True)
class Project:
    """The folders of a project.

    Parameters
    ----------
    root
        Holds `notebooks/` and `params/`.
    outputs
        Holds `runs/`, `store/`, `history.sqlite` and `index.html`.
    """

    root: Path
    outputs: Path

    @property
    def declaration(self) -> Path:
        """The pipeline's declaration."""
        return self.root / _MARK

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.outputs / "runs"

    @property
    def store(self) -> Path:
        """What is kept from run to run: indexes, committed chunks, synthetic input, stage results by key."""
        return self.outputs / "store"

    @property
    def history(self) -> Path:
        """The database of all runs' figures."""
        return self.outputs / "history.sqlite"


def find_project(outputs: str | os.PathLike[str] | None = None, start: Path | None = None) -> Project:
    """Find the project that a folder is in.

    Parameters
    ----------
    outputs
        Where results go; None: SBIR_OUTPUTS, or `outputs/` in the project.
    start
        The folder to look from, upwards; None: the current one.

    Raises
    ------
    ParameterError
        When no folder above holds `notebooks/pipeline.yml`, or the outputs can't be a folder.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / _MARK).is_file():
            chosen = outputs or os.environ.get(OUTPUTS_VARIABLE)
            return Project(folder, _check_outputs(Path(chosen).absolute()) if chosen else folder / "outputs")
    raise ParameterError(
        explain(
            "this folder isn't in a project",
            where=here,
            expected=f"{_MARK.as_posix()} here or in a folder above",
            todo="change into the project's folder",
        )
    )


def _check_outputs(outputs: Path) -> Path:
    there = next(folder for folder in (outputs, *outputs.parents) if folder.exists())
    if not there.is_dir():
        raise ParameterError(
            explain(
                "outputs can't be written",
                where=outputs,
                expected="a folder, or where one can be made",
                got=f"{there} is no folder",
                todo=f"name another: --outputs DIR, or {OUTPUTS_VARIABLE}",
            )
        )
    return outputs


def find_params_file(project: Project, name: str | os.PathLike[str]) -> Path:
    """Find a parameters file, named from the current folder, the project's, its `notebooks/` or `params/`."""
    for base in (Path.cwd(), project.root, project.root / "notebooks", project.root / "params"):
        candidate = base / Path(name)
        if candidate.is_file():
            return candidate.resolve()
    raise ParameterError(
        explain(
            "there is no such parameters file",
            where=name,
            expected=", ".join(
                sorted(str(path.relative_to(project.root)) for path in project.root.glob("params/*.yml"))
            ),
            todo="name one of these, or write a file of your own beside them",
        )
    )


def is_synthetic(params: Params) -> bool:
    """Tell whether the run makes its own input.

    Raises
    ------
    ParameterError
        When one input is named and the other isn't: made-up recipients say nothing about real awards.
    """
    named = [params.awards.path is not None, params.recipients.path is not None]
    if any(named) and not all(named):
        raise ParameterError(
            explain(
                "one input is a file and the other isn't",
                where="awards.path, recipients.path",
                expected="both, or neither for synthetic input",
                got=f"awards.path={params.awards.path}, recipients.path={params.recipients.path}",
                todo="name the other one too, with -p awards.path=... or -p recipients.path=...",
            )
        )
    return not any(named)


def input_path(project: Project, params: Params, name: str) -> Path:
    """Where an input is: the named file, or the synthetic one, which may not be made yet."""
    if name not in OPTIONAL_FILES and is_synthetic(params):
        return _synthetic_folder(project, params) / f"{name}.csv"
    return project.root / str(params.lookup(FILE_PARAMETERS[name]))


def input_paths(project: Project, params: Params, name: str) -> tuple[Path, ...]:
    """Where an input's files are; of one that may be several files, all of them in their order."""
    named = params.lookup(FILE_PARAMETERS[name])
    if isinstance(named, list):
        return tuple(project.root / path for path in named)
    return (input_path(project, params, name),)


def with_overrides(project: Project, params: Params) -> Params:
    """Give the parameters with the overrides' file named so that it is found from anywhere."""
    if params.matching.overrides is None:
        return params
    path = str(input_path(project, params, OVERRIDES))
    return params.model_copy(update={"matching": params.matching.model_copy(update={OVERRIDES: path})})


def fetch_inputs(project: Project, params: Params, *, say: Callable[[str], None]) -> Params:
    """Fetch the inputs that are at a URL, and give the parameters with their files here in place of it.

    What is frozen into a run is the very version that it reads, so resuming it needs no network and meets no
    newer file.
    """
    from sbir_toolkit.sources.remote import fetch_input, is_url

    def local(path: str) -> str:
        return str(fetch_input(path, project.store, params.fetch, say=say)) if is_url(path) else path

    values = params.model_dump()
    for key in FILE_PARAMETERS.values():
        section, field = key.split(".")
        named = values[section][field]
        if isinstance(named, str):
            values[section][field] = local(named)
        elif named is not None:
            values[section][field] = tuple(local(path) for path in named)
    return Params.model_validate(values)


def make_synthetic_input(project: Project, params: Params) -> bool:
    """Write the synthetic input, unless it is there already; tells whether it had to be made."""
    from sbir_toolkit.meter import phase
    from sbir_toolkit.sources.synthetic import write_synthetic

    folder = _synthetic_folder(project, params)
    done = folder / "done"
    with locked(folder.with_suffix(".lock"), "the synthetic input", wait_s=LONGEST_WAIT_S):
        if done.exists():
            mark_used(folder)
            return False
        with phase("synthesise", rows=params.synthetic.awards + params.synthetic.recipients):
            write_synthetic(
                folder,
                awards=params.synthetic.awards,
                recipients=params.synthetic.recipients,
                seed=params.synthetic.seed,
            )
        done.touch()
    return True


def _synthetic_folder(project: Project, params: Params) -> Path:
    wanted = params.synthetic
    code = code_digest("sources/synthetic")[7:15]
    return project.store / "synthetic" / f"{wanted.awards}x{wanted.recipients}-{wanted.seed}-{code}"
