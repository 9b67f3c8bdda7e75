"""The child: executes one notebook with papermill and tells the truth about how it ended.

It runs in a process of its own, so that the pipeline can measure it, stop it, and survive it. When a kernel
is killed, papermill marks the killed cell and all the cells after it "completed"; the child takes that back,
and notes the signal that the kernel died of.

It is started through `sbir_toolkit.pipeline.entry`.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook

from sbir_toolkit.pipeline.kernel import WaitingKernel, make_manager
from sbir_toolkit.pipeline.runner import describe_exit
from sbir_toolkit.storage import atomic_path, read_json, write_json

# What kernels, notebooks and libraries import only when they first need it.
_IMPORTED_LATE = (
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "matplotlib.backends.backend_agg",
    "openpyxl",
    "pandera.backends.pandas.array",
    "pandera.backends.pandas.container",
    "pandera.backends.pandas.builtin_checks",
    "pyarrow.dataset",
    "sqlalchemy.dialects.sqlite",
    "sqlite3",
)


class KernelDiedError(Exception):
    """The kernel ended without an answer; carries the exit code its process left."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__("the kernel died")
        self.exit_code = exit_code


class SupervisedEngine(NBClientEngine):
    """papermill's engine, but one that still knows the exit code of a kernel that died."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute the notebook; raises `KernelDiedError` when its kernel dies."""
        manager = make_manager(kernel_name, options["waiting"])
        client = PapermillNotebookClient(
            nb_man, km=manager, timeout=None, startup_timeout=options.get("start_timeout", 60)
        )
        try:
            client.execute(cleanup_kc=False)
        except DeadKernelError:
            process = getattr(manager.provisioner, "process", None)
            raise KernelDiedError(process.poll() if process is not None else None) from None
        finally:
            if manager.has_kernel:
                run_sync(manager.shutdown_kernel)(now=True)


def warm_up() -> None:
    """Import what stages, their kernels and their notebooks need, for all that will be forked from here."""
    for module in _IMPORTED_LATE:
        importlib.import_module(module)
    nbformat.validate(nbformat.v4.new_notebook())  # compiles the format's schema
    public = importlib.import_module(__name__.partition(".")[0])
    for name in public.__all__:
        getattr(public, name)


def execute_job(job_file: str, waiting: WaitingKernel) -> int:
    """Do the job described in a JSON file, on the kernel that waits, and write the outcome beside it."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)
    job = read_json(Path(job_file))
    papermill_engines.register("supervised", SupervisedEngine)
    notebook = Path(job["output"])
    outcome = _execute(job, notebook, waiting)
    write_json(Path(job["outcome"]), outcome)
    return 0 if outcome["status"] == "done" else 1


def _execute(job: dict[str, Any], notebook: Path, waiting: WaitingKernel) -> dict[str, Any]:
    notebook.parent.mkdir(parents=True, exist_ok=True)
    working = notebook.with_name(f".{notebook.name}")
    outcome: dict[str, Any] = {"status": "done"}
    try:
        execute_notebook(
            job["notebook"],
            str(working),
            parameters=job["parameters"],
            engine_name="supervised",
            waiting=waiting,
            kernel_name=job["kernel"],
            cwd=job["cwd"],
            progress_bar=False,
        )
    except PapermillExecutionError as wrong:
        outcome = {
            "status": "failed",
            "error": wrong.ename,
            "message": str(wrong.evalue),
            "cell": wrong.exec_count,
        }
    except KernelDiedError as died:
        cell = _take_back_statuses(working)
        outcome = {
            "status": "died",
            "message": describe_exit("the notebook's kernel", died.exit_code),
            "cell": cell,
        }
    with atomic_path(notebook) as whole:
        whole.write_bytes(working.read_bytes())
    working.unlink()
    return outcome


def _take_back_statuses(path: Path) -> int:
    # The last cell that was started is the one that died; those after it never ran.
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started = [number for number, cell in enumerate(code) if cell.metadata.papermill.get("start_time")]
    died_at = started[-1] if started else 0
    code[died_at].metadata.papermill.update(status="died", exception=True)
    for cell in code[died_at + 1 :]:
        cell.metadata.papermill.update(status="not run")
    nbformat.write(notebook, path)
    return died_at
