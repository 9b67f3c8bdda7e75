"""The journal: which chunks are done, and proof that they are.

The line is the commit. A chunk's part file is written whole under a name made from the chunk's key; then one
line with key, rows and digest is appended and flushed. A part without a line doesn't exist. A line whose part
is missing or has another digest is as if it had never been written, and the chunk is done again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from sbir_toolkit.storage import append_line, digest_file, drop_temporaries, make_folder, read_lines


@dataclass(frozen=True)
class Commit:
    """One committed chunk.

    `rejected` are the companies in it that can't be matched, each with the reason; `plan` is the digest of
    the plan that it was made for.
    """

    key: str
    rows: int
    digest: str
    elapsed_s: float
    cpu_s: float
    worker: str
    plan: str = ""
    rejected: dict[str, str] = field(default_factory=dict)


_KNOWN = {one.name for one in fields(Commit)}
_NEEDED = _KNOWN - {"plan", "rejected"}


class Journal:
    """The committed chunks of one folder.

    Parameters
    ----------
    folder
        Holds `journal.ndjson` and the part files; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)
        self._path = folder / "journal.ndjson"
        _mend_last_line(self._path)

    def part(self, key: str) -> Path:
        """Where the part of a chunk stands."""
        return self.folder / f"part-{key}.parquet"

    def whole(self) -> list[Commit]:
        """Give all commits whose parts are there with their digests, in the order they were made."""
        return [commit for commit in self._lines().values() if self._is_whole(commit)]

    def commit(self, commit: Commit) -> None:
        """Append one line and flush it; from here on the chunk is done."""
        append_line(self._path, asdict(commit), sync=True)

    def drop_strays(self) -> None:
        """Remove what killed writers left: temporary files, and parts that no line vouches for.

        Which chunks it had begun stays marked.
        """
        drop_temporaries(self.folder)
        vouched_for = {self.part(key) for key in self._lines()}
        for part in self.folder.glob("part-*.parquet"):
            if part not in vouched_for:
                part.unlink(missing_ok=True)

    def _lines(self) -> dict[str, Commit]:
        whole = [line for line in read_lines(self._path) if _NEEDED <= line.keys() <= _KNOWN]
        return {line["key"]: Commit(**line) for line in whole}

    def _is_whole(self, commit: Commit) -> bool:
        part = self.part(commit.key)
        return part.exists() and digest_file(part) == commit.digest


def _mend_last_line(path: Path) -> None:
    # A crash while appending leaves half a line; the next one must not be glued to it.
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
