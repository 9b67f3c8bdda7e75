"""The index: the same bytes, whole or not at all, and the same in another process."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from sbir_toolkit.errors import InputError
from sbir_toolkit.matching import (
    blocks,
    build_index,
    layout,
    match_companies,
    open_index,
    vocabulary,
)
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import RECIPIENTS
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies, make_frame


def digest(folder: Path) -> dict[str, str]:
    """Digest every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_recipients_give_the_same_bytes(make_index: Make) -> None:
    """Two indices of the same recipients are equal, byte by byte."""
    rows = make_background(300)
    assert digest(make_index(rows).folder) == digest(make_index(rows).folder)


def test_recipients_in_pieces_give_the_same_bytes(make_index: Make, tmp_path: Path) -> None:
    """It doesn't matter whether the recipients come from a file or piece by piece, nor how they are cut."""
    rows = make_background(300)
    table = RECIPIENTS.arrow(make_frame(RECIPIENTS, rows))
    pieces = (table.slice(first, 7) for first in range(0, 300, 7))
    assert digest(build_index(pieces, tmp_path / "pieces", Matching()).folder) == digest(
        make_index(rows).folder
    )


def test_the_size_of_a_block_does_not_matter(make_index: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worked on in blocks of any size the recipients give the same arrays, and the same rows to show."""
    rows = make_background(300)
    whole = make_index(rows)
    monkeypatch.setattr(blocks, "BLOCK", 41)
    monkeypatch.setattr(vocabulary, "_NAMES", 37)
    cut = make_index(rows)
    assert list(whole.arrays) == list(cut.arrays)
    assert all(np.array_equal(whole[name], cut[name]) for name in whole.arrays)
    assert all(whole.tables[name].equals(cut.tables[name]) for name in whole.tables)


@pytest.mark.parametrize("share", [2e-4, 2e-5, 1e-6])
def test_the_memory_allowed_does_not_matter(
    make_index: Make, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Sorted whole, in a few parts or in parts of a handful each, the recipients give the same bytes."""
    rows = make_background(300)
    rows += [{"recipient_name": "Same Name Inc", "city": "Reno", "state": "NV", "zip5": "89501"}] * 50
    whole = make_index(rows)
    monkeypatch.setattr(layout, "MEMORY_SHARE", share)
    assert digest(make_index(rows).folder) == digest(whole.folder)


def test_an_index_travels_as_its_path(make_index: Make) -> None:
    """A pickled index is small, and opens to the same arrays."""
    index = make_index(make_background(300))
    sent = pickle.dumps(index)
    again = pickle.loads(sent)
    assert len(sent) < 1_000
    assert again.rows == index.rows == 300
    assert np.array_equal(again["name_joined"], index["name_joined"])


def test_a_half_built_index_is_no_index(tmp_path: Path) -> None:
    """When building fails nothing is left; an empty folder isn't taken for an index."""
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="can't be read"):
        build_index(broken, tmp_path / "index", Matching())
    assert [path.name for path in tmp_path.iterdir()] == ["broken.parquet"]
    with pytest.raises(InputError, match="no recipient index"):
        open_index(tmp_path)


def test_an_index_counts_as_built_when_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it gets its name, each file is flushed as it is, and so is the folder that lists them."""
    flushed: dict[Path, bytes | set[str]] = {}
    left: list[dict[str, bytes]] = []
    sync, rename = os.fsync, os.replace

    def note_flush(descriptor: int) -> None:
        sync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed[path] = {one.name for one in path.iterdir()} if path.is_dir() else path.read_bytes()

    def note_rename(source: Path, target: Path) -> None:
        if Path(source).is_dir():
            held = flushed.get(Path(source), set())
            names = held if isinstance(held, set) else set()
            contents = {name: flushed.get(Path(source) / name, b"") for name in names}
            left.append({name: one for name, one in contents.items() if isinstance(one, bytes)})
        elif Path(source) in flushed:
            flushed[Path(target)] = flushed[Path(source)]
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "replace", note_rename)
    table = RECIPIENTS.arrow(make_frame(RECIPIENTS, make_background(60)))
    folder = tmp_path / "indices" / "index"
    build_index([table], folder, Matching())
    (survived,) = left
    assert {name: hashlib.sha256(content).hexdigest() for name, content in survived.items()} == digest(folder)
    assert flushed[folder.parent] == {"index"}
    assert "indices" in flushed[tmp_path]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """Recipients without a column that is needed are refused with its name."""
    table = RECIPIENTS.arrow(make_frame(RECIPIENTS, make_background(3))).drop_columns(["duns"])
    write_parquet(tmp_path / "recipients.parquet", table)
    with pytest.raises(InputError, match="no duns"):
        build_index(tmp_path / "recipients.parquet", tmp_path / "index", Matching())


def test_alternate_names_lead_to_their_recipient(make_index: Make) -> None:
    """A former or trade name finds the recipient, under its legal name."""
    index = make_index(
        [
            *make_background(300),
            {
                "recipient_id": "it",
                "recipient_name": "Axon Zirconia Inc",
                "alternate_names": "TASER KITES INC|AXZ",
            },
        ]
    )
    found = match_companies(make_companies({"company": "Taser Kites, Inc."}), index, Matching()).iloc[0]
    assert (found["recipient_id"], found["recipient_name"], found["decision"]) == (
        "it",
        "Axon Zirconia Inc",
        "accept",
    )
