"""Pruning: what nobody has used for a while is removed from the store.

The store only saves work. It grows with every version of a file at an address, every set of recipients, every
release of the matcher and every size of sample; all of it can be fetched or made again, and none is the only
copy of a result, as those are in the folders of the runs. Whatever uses a piece of it notes the time
(`storage.mark_used`), and a piece goes when that is long ago.

Nothing goes that is needed: what was used since the oldest run began that can still be resumed stays, however
long ago that is, and so does a piece that another process holds the lock of. The metrics of accepted runs and
the notes on results, small and the memory of the gates and of reuse, are never touched.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sbir_toolkit.errors import BusyError, ParameterError, explain
from sbir_toolkit.locks import locked
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import list_runs, read_run
from sbir_toolkit.pipeline.start import is_settled

DAY_S = 86_400.0
# Where pieces are in the outputs, and the lock of each, seen from it; None: it is never written to again.
_PIECES = (
    ("store/index/*", "../{name}.lock"),
    ("store/synthetic/*", "../{name}.lock"),
    ("store/matching/*", "writer.lock"),
    ("store/recipients/*", None),
    ("store/remote/*/*", None),
    # What a run that was asked to start afresh kept for itself.
    ("runs/*/store/index/*", "../{name}.lock"),
    ("runs/*/store/matching/*", "writer.lock"),
)


@dataclass(frozen=True)
class Piece:
    """A folder of the store: when it was last used, its size, and the lock that its users hold."""

    path: Path
    used: float
    bytes: int
    lock: Path | None


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes
    ----------
    pieces
        The one longest unused first.
    kept_bytes
        What the pieces that stay hold.
    resumable
        The oldest run that can be resumed, where it kept something from being removed.
    is_done
        Whether they are gone.
    """

    pieces: tuple[Piece, ...]
    kept_bytes: int
    resumable: str | None
    is_done: bool

    def __repr__(self) -> str:
        lines = [
            f"{piece.bytes / 1e6:10,.1f} MB  last used {_day(piece.used)}  {piece.path}"
            for piece in self.pieces
        ]
        word = "removed" if self.is_done else "would be removed"
        total = sum(piece.bytes for piece in self.pieces)
        lines.append(
            f"{len(lines)} piece(s), {total / 1e6:,.1f} MB {word}; {self.kept_bytes / 1e6:,.1f} MB stay"
        )
        if self.resumable:
            lines.append(
                f"what was used since run {self.resumable} began stays, as it can be resumed; "
                "finish it, or remove its folder"
            )
        return "\n".join(lines)


def prune_store(project: Project, *, days: float, is_dry: bool = False) -> Pruned:
    """Remove what no run and no `match` has used for so many days.

    Parameters
    ----------
    days
        More than nothing: what was used since then stays.
    is_dry
        Only say what would go.

    Raises
    ------
    ParameterError
        When the number of days isn't positive.
    """
    if not days > 0:
        raise ParameterError(explain("pruning keeps what was used of late", expected="days > 0", got=days))
    asked = time.time() - days * DAY_S
    open_runs = [
        (float(record["created"]), folder.run_id)
        for folder in list_runs(project)
        if not is_settled(record := read_run(folder))
    ]
    oldest, resumable = min(open_runs, default=(asked, ""))
    limit = min(asked, oldest)
    pieces = sorted(_find_pieces(project.outputs), key=lambda piece: (piece.used, piece.path))
    unused = [piece for piece in pieces if piece.used < limit]
    gone = tuple(piece for piece in unused if is_dry or _remove(piece, limit))
    return Pruned(
        gone,
        sum(piece.bytes for piece in pieces) - sum(piece.bytes for piece in gone),
        resumable if any(limit <= piece.used < asked for piece in pieces) else None,
        is_done=not is_dry,
    )


def _find_pieces(outputs: Path) -> Iterator[Piece]:
    for pattern, lock in _PIECES:
        for path in outputs.glob(pattern):
            files = [found.stat() for found in path.rglob("*") if found.is_file()]
            size = sum(file.st_size for file in files)
            if path.is_dir() and size:
                used = max([path.stat().st_mtime, *(file.st_mtime for file in files)])
                is_left_over = path.name.startswith(".")
                held_by = path / lock.format(name=path.name) if lock and not is_left_over else None
                yield Piece(path, used, size, held_by)


def _remove(piece: Piece, limit: float) -> bool:
    """Remove a piece, unless somebody holds it or has used it since it was looked at."""
    try:
        with locked(piece.lock, "a piece of the store") if piece.lock else contextlib.nullcontext():
            if piece.lock and piece.lock.parent == piece.path:
                _empty(piece.path, spare=piece.lock)
                return True
            if piece.path.stat().st_mtime >= limit:
                return False
            _take_away(piece.path)
    except BusyError:
        return False
    above = piece.path.parent
    if above.parent.name == "remote" and not any(path.is_dir() for path in above.iterdir()):
        _take_away(above)  # the name under which the newest version is fetched, and the note on it
    return True


def _empty(folder: Path, *, spare: Path) -> None:
    """Remove what is in a folder but its lock, which somebody may be waiting for; the journal first."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stem != spare.stem:
            path.unlink()


def _take_away(folder: Path) -> None:
    """Remove a folder that must never be seen half empty."""
    aside = folder.with_name(f".{folder.name.lstrip('.')}.pruned")
    folder.rename(aside)
    shutil.rmtree(aside)


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))
