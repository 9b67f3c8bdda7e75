"""Scratch: the folder that a benchmark works in, and the code of another revision in it.

Both are gone when the benchmark is over. One that was killed leaves its folder, and git goes on knowing the
worktree in it; the next benchmark clears that away. Which folder is left over and which is in use tells a
lock beside it: the system frees that when its owner dies.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.locks import is_locked, locked
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.storage import make_folder

_CODE = "code"
_WORKLOAD = Path("sbir_toolkit", "pipeline", "workload.py")


@contextmanager
def scratch_folder(project: Project) -> Iterator[Path]:
    """Have an empty folder for a while; clear away what killed benchmarks left beside it."""
    place = project.store / "bench"
    make_folder(place)
    folder = place / secrets.token_hex(4)
    lock = _lock(folder)
    with locked(lock, "the folder of a benchmark"):
        for other in place.iterdir():
            if other.is_dir() and not is_locked(_lock(other)):
                _clear(project.root, other)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    lock.unlink(missing_ok=True)


@contextmanager
def checked_out(
    project: Path, revision: str | None, scratch: Path, *, is_asked: bool
) -> Iterator[Path | None]:
    """Have a revision's code in a scratch folder for a while; None where that can't be and wasn't asked for.

    Raises
    ------
    ParameterError
        When it was asked for.
    """
    if revision is None:
        yield None
        return
    folder = scratch / _CODE
    made = _git_worktree(project, "add", "--detach", "--force", str(folder), revision)
    try:
        if made.returncode == 0 and (folder / _WORKLOAD).exists():
            yield folder
        elif is_asked:
            got = made.stderr.strip() if made.returncode else "a commit from before there was a benchmark"
            raise ParameterError(
                explain("this revision can't be measured", where=revision, expected="a commit", got=got)
            )
        else:
            yield None
    finally:
        if made.returncode == 0:
            _git_worktree(project, "remove", "--force", str(folder))


def _clear(project: Path, folder: Path) -> None:
    if (folder / _CODE).exists():
        # Twice forced: one that was killed while git filled it is locked, too.
        _git_worktree(project, "remove", "--force", "--force", str(folder / _CODE))
    shutil.rmtree(folder)
    for beside in (_lock(folder), folder.with_suffix(".owner")):
        beside.unlink(missing_ok=True)


def _git_worktree(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    git = ["git", "-C", str(project), "worktree", *words]
    return subprocess.run(git, capture_output=True, text=True, check=False)


def _lock(folder: Path) -> Path:
    return folder.with_suffix(".lock")
