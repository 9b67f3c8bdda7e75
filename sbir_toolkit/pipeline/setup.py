"""The setup of a run: what doesn't change while it goes on.

The project, what it was told, the declared stages, and what its input files hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.params import FILE_PARAMETERS, OPTIONAL_FILES, Params, Source
from sbir_toolkit.pipeline.project import Project, input_path, input_paths, is_synthetic, make_synthetic_input
from sbir_toolkit.pipeline.stages import Pipeline, load_pipeline
from sbir_toolkit.sources import find_files
from sbir_toolkit.storage import digest_file, digest_value

NO_FILE = "none"


@dataclass(frozen=True)
class Setup:
    """Where, told what, which stages, on which inputs.

    Parameters
    ----------
    inputs
        Digest of each input file; one that isn't made yet is missing, one that needn't be there "none".
    """

    project: Project
    params: Params
    pipeline: Pipeline
    inputs: Mapping[str, str] = field(default_factory=dict)


def make_setup(project: Project, params: Params, *, say: Callable[[str], None] | None = None) -> Setup:
    """Read the declaration and digest the input files.

    Parameters
    ----------
    say
        When given, synthetic input that isn't there yet is made, and that is said; otherwise it is left out.

    Raises
    ------
    PipelineError
        When the declaration is wrong.
    InputError
        When a named file isn't there or can't be read.
    """
    pipeline = load_pipeline(project.declaration, params)
    names = dict.fromkeys(name for stage in pipeline.stages for name in stage.inputs)
    if names and say is not None and is_synthetic(params) and make_synthetic_input(project, params):
        wanted = params.synthetic
        say(f"synthetic input written: {wanted.awards:,} awards, {wanted.recipients:,} recipients")
    digests = {name: _digest(project, params, name) for name in names}
    return Setup(project, params, pipeline, {name: digest for name, digest in digests.items() if digest})


def check_filled_in(setup: Setup) -> None:
    """Read what people filled in, so that a list with a fault is refused before the first stage runs.

    Raises
    ------
    InputError
        When the overrides or the labels can't be used, naming their rows.
    """
    named = [name for name in OPTIONAL_FILES if setup.inputs.get(name, NO_FILE) != NO_FILE]
    if named:
        from sbir_toolkit.enrichment.overrides import read_overrides
        from sbir_toolkit.matching import read_labels

        readers: dict[str, Callable[[Path], object]] = {"overrides": read_overrides, "labels": read_labels}
        for name in named:
            readers[name](input_path(setup.project, setup.params, name))


def _digest(project: Project, params: Params, name: str) -> str | None:
    key = FILE_PARAMETERS[name]
    paths = input_paths(project, params, name)
    is_optional = name in OPTIONAL_FILES
    if params.lookup(key) is None and (is_optional or not paths[0].exists()):
        return NO_FILE if is_optional else None
    source = Source() if is_optional else Source.model_validate(params.lookup(name))
    return digest_input(paths, name, source, todo=f"name it with -p {key}=FILE, or in a parameters file")


def digest_input(paths: Sequence[Path], name: str, source: Source, *, todo: str) -> str:
    """Digest what is read from an input.

    Parameters
    ----------
    paths
        The files, or the folders of dumps, in their order.
    name
        What they are, for messages.
    source
        What the parameters say about it.
    todo
        What to do when it isn't there.

    Raises
    ------
    InputError
        When it isn't there, or isn't a file that may be read.
    """
    try:
        digests = [digest_file(file) for path in paths for file in find_files(path, source)]
    except OSError as wrong:
        raise InputError(
            explain(
                f"the input '{name}' can't be read",
                where=wrong.filename or ", ".join(map(str, paths)),
                expected="a file that may be read",
                got=wrong.strerror or wrong,
                todo=todo,
            )
        ) from wrong
    return digests[0] if len(digests) == 1 else digest_value(digests)
