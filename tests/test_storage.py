"""Files are whole or not there."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sbir_toolkit import storage


def test_atomic_path_replaces_only_when_the_block_ends_well(tmp_path: Path) -> None:
    """A failure inside the block leaves the old content and no temporary file."""
    path = tmp_path / "file.txt"
    storage.write_text(path, "old")
    with pytest.raises(RuntimeError), storage.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["file.txt"]


def test_appended_lines_read_back_without_a_torn_last_one(tmp_path: Path) -> None:
    """A last line cut off by a crash doesn't count."""
    path = tmp_path / "lines.ndjson"
    storage.append_line(path, {"n": 1})
    storage.append_line(path, {"n": 2}, sync=True)
    with path.open("a") as file:
        file.write('{"n": 3, "to')
    assert storage.read_lines(path) == [{"n": 1}, {"n": 2}]


def test_digest_depends_on_content_only(tmp_path: Path) -> None:
    """Equal bytes have equal digests, others not; a value's key order doesn't matter."""
    for name, content in (("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), ("c", b"x" * 2_999_999)):
        (tmp_path / name).write_bytes(content)
    a, b, c = (storage.digest_file(tmp_path / name) for name in "abc")
    assert a == b != c
    assert storage.digest_value({"p": 1, "q": [2]}) == storage.digest_value({"q": [2], "p": 1})


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """What the system refused is raised, not what follows from it, and no half table is there."""
    table = pa.table({"value": np.random.default_rng(1).random(200_000)})
    path = tmp_path / "table.parquet"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            storage.write_parquet(path, table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    storage.write_parquet(path, table)
    assert path.exists()
