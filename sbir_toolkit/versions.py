"""What code and which libraries made a result.

A result may be reused only while what made it is the same. For the toolkit's own code that is a digest of the
source files of the rooms that decide the result, and of every room below them, since those are imported. For
libraries it is their installed versions.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent

# The libraries whose version may change a result; a result made with another one isn't reused.
DECIDING_LIBRARIES = ("numpy", "pandas", "pyarrow", "rapidfuzz")

# Lowest first. A room may import those before it and nothing else; the layer test holds this order.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("params",),
    ("tables", "storage", "versions", "memory"),
    ("meter",),
    ("locks",),
    ("sources",),
    ("matching",),
    ("enrichment",),
    ("quality", "performance"),
    ("reports",),
    ("pipeline",),
    ("cli",),
)


@functools.cache
def code_digest(*rooms: str) -> str:
    """Digest the source of some rooms and of `tables`, which says what they write.

    Parameters
    ----------
    *rooms
        Names of rooms or modules of the package, such as "matching".

    Returns
    -------
    str
        `sha256:` and 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for room in sorted({*rooms, "tables"}):
        single = _PACKAGE / f"{room}.py"
        files = [single] if single.exists() else sorted((_PACKAGE / room).rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0".encode())
                digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Look up the installed versions of some libraries."""
    return {name: metadata.version(name) for name in names}


def code_version(project: Path) -> dict[str, Any]:
    """Say which version of the toolkit this is: release, git commit, uncommitted changes, digests.

    Parameters
    ----------
    project
        The project's folder; when it is no git checkout, `commit` and `is_dirty` are None.
    """
    commit = _git(project, "rev-parse", "HEAD")
    changes = _git(project, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "release": metadata.version("sbir-toolkit"),
        "commit": commit,
        "is_dirty": None if changes is None else bool(changes),
        "digest": code_digest(*(name for layer in LAYERS for name in layer)),
        "rooms": {name: code_digest(name) for layer in LAYERS for name in layer},
    }


def commits_between(project: Path, before: str, after: str, rooms: Iterable[str]) -> tuple[str, ...]:
    """Name the commits after one and up to another that touched some rooms, the newest first.

    Parameters
    ----------
    project
        The project's folder; when it is no git checkout, or doesn't know the commits, none are named.
    """
    said = _git(project, "log", "--no-merges", "--format=%h %s", f"{before}..{after}", "--", *_paths(rooms))
    return tuple(said.splitlines()) if said else ()


def files_between(project: Path, before: str, after: str, rooms: Iterable[str]) -> tuple[str, ...]:
    """Name the files of some rooms that differ between two commits, from the package's folder on.

    Parameters
    ----------
    project
        As in `commits_between`.
    """
    said = _git(
        project, "diff", "--name-only", "--relative=sbir_toolkit", before, after, "--", *_paths(rooms)
    )
    return tuple(said.splitlines()) if said else ()


def _paths(rooms: Iterable[str]) -> list[str]:
    return [f"sbir_toolkit/{room}{suffix}" for room in rooms for suffix in ("", ".py")]


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
