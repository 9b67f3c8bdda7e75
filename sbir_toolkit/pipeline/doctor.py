"""What would go wrong here: versions, disk, memory, the notebook kernel, the declaration, the inputs.

Each finding is a fact with a verdict and, where it is bad, what to do about it.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import metadata

import psutil

from sbir_toolkit.errors import ToolkitError
from sbir_toolkit.params import Params, load_params
from sbir_toolkit.pipeline.project import Project, input_paths, is_synthetic
from sbir_toolkit.pipeline.stages import load_pipeline

_NEEDED_DISK = 10_000_000_000
_NEEDED_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_good: bool
    found: str
    todo: str = ""

    def __str__(self) -> str:
        words = f"{'ok ' if self.is_good else 'BAD'}  {self.what:<22} {self.found}"
        return words if self.is_good or not self.todo else f"{words}\n     to do: {self.todo}"


def examine(project: Project) -> list[Finding]:
    """Look at everything a run needs.

    Returns
    -------
    list of Finding
        In the order in which a run would stumble over them.
    """
    params = Params()
    return [
        _python(),
        _libraries(),
        _kernel(params),
        _declaration(project),
        *(_params_file(project, name) for name in ("sample", "full", "cluster")),
        _memory(params),
        _disk(project),
        _writable(project),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= _NEEDED_PYTHON, version, "use Python 3.11 or newer")


def _libraries() -> Finding:
    missing = []
    for line in metadata.requires("sbir-toolkit") or []:
        if "extra ==" in line:
            continue
        name = line.split(">")[0].split("=")[0].split(";")[0].strip()
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    found = f"missing: {', '.join(missing)}" if missing else "all there"
    return Finding("libraries", not missing, found, "make install")


def _kernel(params: Params) -> Finding:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    name = params.pipeline.kernel
    try:
        spec = KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        return Finding(
            "notebook kernel", False, f"no kernel '{name}'", "python -m ipykernel install --sys-prefix"
        )
    return Finding("notebook kernel", True, f"{name}: {spec.argv[0]}")


def _declaration(project: Project) -> Finding:
    try:
        pipeline = load_pipeline(project.declaration, Params())
    except ToolkitError as wrong:
        return Finding("pipeline", False, str(wrong))
    return Finding("pipeline", True, f"{len(pipeline.stages)} stages: {', '.join(pipeline.names)}")


def _params_file(project: Project, name: str) -> Finding:
    what = f"params/{name}.yml"
    try:
        params = load_params(project.root / "params" / f"{name}.yml")
        if is_synthetic(params):
            return Finding(what, True, "makes its own input")
        missing = [
            path
            for part in ("awards", "recipients")
            for path in input_paths(project, params, part)
            if not path.exists()
        ]
    except ToolkitError as wrong:
        return Finding(what, False, str(wrong))
    if missing:
        # Not having the real files yet is how everybody starts.
        return Finding(what, True, f"inputs not there yet: {', '.join(str(path) for path in missing)}")
    return Finding(what, True, "inputs are there")


def _memory(params: Params) -> Finding:
    free = psutil.virtual_memory().available
    limit = params.limits.memory_mb * 1_000_000
    found = f"{free / 1e9:.1f} GB available, limits.memory_mb = {params.limits.memory_mb:,}"
    return Finding("memory", free > limit, found, "close other programs, or lower limits.memory_mb")


def _disk(project: Project) -> Finding:
    folder = next(path for path in (project.outputs, *project.outputs.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return Finding(
        "disk",
        free > _NEEDED_DISK,
        f"{free / 1e9:.0f} GB free at {folder}",
        "full size needs 10 GB; use --outputs",
    )


def _writable(project: Project) -> Finding:
    probe = project.outputs / ".doctor"
    try:
        project.outputs.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as wrong:
        return Finding(
            "outputs", False, f"{project.outputs}: {wrong.strerror}", "name another folder with --outputs"
        )
    return Finding("outputs", True, f"{project.outputs} can be written")
