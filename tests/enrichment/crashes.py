"""What a disk may hold after a crash: every state that what was flushed, and what wasn't, allows.

`Disk` listens to the calls that change or flush a folder (`os.write`, `os.fsync`, `os.replace`) while the
real code runs. It knows what is durable: a file's bytes once they were flushed, a name once its folder was.
Before each call, and in the middle of each write, it notes every state that a crash at this moment could
leave behind: each name as it is or as it was when the folder was last flushed, each file whole, as it was
last flushed, or torn in half.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

State = frozenset[tuple[str, bytes]]


@dataclass
class Disk:
    """One folder, listened to; `states` has each with what had been promised when it was possible."""

    folder: Path
    promised: Callable[[], frozenset[str]]
    states: dict[State, frozenset[str]] = field(default_factory=dict)
    steps: int = 0
    _names: dict[str, int] = field(default_factory=dict)
    _flushed: dict[int, bytes] = field(default_factory=dict)
    _held: ExitStack = field(default_factory=ExitStack)
    _seen: set[int] = field(default_factory=set)

    @contextmanager
    def listening(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Note the states while the block runs."""
        with self._held:
            with patch.context() as patched:
                for name in ("write", "fsync", "replace"):
                    patched.setattr(os, name, self._heard(name, getattr(os, name)))
                yield
            self._note()

    def _heard(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def heard(first: Any, *more: Any, **named: Any) -> Any:
            path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else Path(first)
            if self.folder not in (path, path.parent):
                return call(first, *more, **named)
            self.steps += 1
            self._note()
            if name == "write":
                half = len(more[0]) // 2
                call(first, more[0][:half])
                self._note()
                return half + int(call(first, more[0][half:]))
            done = call(first, *more, **named)
            if name == "fsync" and path == self.folder:
                self._names = {file.name: file.stat().st_ino for file in self._files()}
            elif name == "fsync":
                self._flushed[path.stat().st_ino] = path.read_bytes()
            return done

        return heard

    def _note(self) -> None:
        present = {file.name: file.stat().st_ino for file in self._files()}
        for name in [name for name, node in present.items() if node not in self._seen]:
            # While a file is open its number isn't given to another one, so a number means one file.
            self._held.enter_context((self.folder / name).open("rb"))
            self._seen.add(present[name])
        bytes_of = {file.stat().st_ino: file.read_bytes() for file in self._files()}
        choices = []
        for name in sorted(present.keys() | self._names.keys()):
            nodes = {present.get(name), self._names.get(name)}
            found = {content for node in nodes for content in self._contents(node, bytes_of)}
            choices.append([(name, content) for content in sorted(found, key=lambda one: one or b"")])
        promised = self.promised()
        for chosen in itertools.product(*choices):
            state = frozenset((name, content) for name, content in chosen if content is not None)
            self.states[state] = self.states.get(state, promised) | promised

    def _contents(self, node: int | None, bytes_of: dict[int, bytes]) -> set[bytes | None]:
        if node is None:
            return {None}
        flushed = self._flushed.get(node, b"")
        now = bytes_of.get(node, flushed)
        kept = len(flushed) if now.startswith(flushed) else 0
        return {now, flushed, now[: (kept + len(now)) // 2]}

    def _files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_file()]


def lay_out(state: State, folder: Path) -> Path:
    """Make a folder as a crash left it."""
    folder.mkdir(parents=True)
    for name, content in state:
        (folder / name).write_bytes(content)
    return folder
