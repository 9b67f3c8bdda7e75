"""The recipients, laid out so that names, places and identifiers find them without a scan.

What the matcher asks of the recipients is kept in plain arrays in a folder, one file each (`layout` writes
them). The folder is opened by mapping the files into memory, which takes milliseconds and shares one copy
among all threads and processes. An index handed to another process travels as its path.

The arrays, by the first part of their names:

- `name_*`: each distinct core name, in the order of its hash, its words and its bearers;
- `entry_*`: each bearing of a name by a recipient, with the legal form and whether it's an alternate name;
- `row_*`, `place_*`: each recipient, by row;
- `word_*`, `pair_*`: each word, and each pair of neighbouring words, with the names it is in;
- `typo_*`: each longer word with one letter left out, for finding mistyped ones;
- `uei_*`, `duns_*`, and `place_key`, `place_rows`: sorted keys and the rows they lead to;
- `contract_*`: the same for contract numbers, and whether each is coded as SBIR or STTR.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.matching.abbreviations import bag_hashes
from sbir_toolkit.matching.columns import read_column
from sbir_toolkit.matching.places import Places
from sbir_toolkit.matching.texts import (
    Bytes,
    Floats,
    Hasher,
    Hashes,
    Ints,
    expand,
    take_from_each,
    view_strings,
)
from sbir_toolkit.storage import read_json

INDEX_VERSION = 3
# At a page for each of a row's texts these are a hundred megabytes at most.
_MAPPED_ROWS = 4_096


@dataclass(eq=False)
class ShownTexts:
    """The file of what is shown of recipients: its pages are let go of once many rows were looked at.

    These texts are a large part of the index, and hardly any row is shown twice.
    """

    file: mmap.mmap
    rows: int = 0

    def looked_at(self, rows: int) -> None:
        """Count rows whose texts were taken."""
        self.rows += rows
        if self.rows >= _MAPPED_ROWS and hasattr(mmap, "MADV_DONTNEED"):
            self.file.madvise(mmap.MADV_DONTNEED)
            self.rows = 0


@dataclass(frozen=True, eq=False)
class RecipientIndex:
    """The recipients as memory-mapped arrays; see `layout.build_index` and `open_index`.

    Parameters
    ----------
    folder : pathlib.Path
        Where the arrays are.
    rows : int
        How many recipients there are.
    names : int
        How many distinct core names they bear.
    """

    folder: Path
    rows: int
    names: int
    max_word_postings: int
    arrays: dict[str, npt.NDArray[Any]] = field(repr=False)
    tables: dict[str, pa.Table] = field(repr=False)
    shown_texts: ShownTexts = field(repr=False)

    def __reduce__(self) -> tuple[Callable[[Path], RecipientIndex], tuple[Path]]:
        return open_index, (self.folder,)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]

    @property
    def places(self) -> Places:
        """The recipients' places, by row."""
        return Places(*(self[f"place_{part}"] for part in ("zip5", "number", "street", "city", "state")))

    def entries_of(self, rows: Ints) -> tuple[Ints, Ints]:
        """List the names that recipients bear.

        Parameters
        ----------
        rows : int64 array of shape (n,)

        Returns
        -------
        at : int64 array
            Position among `rows`.
        entry : int64 array
            The bearing of a name, a place in the arrays `entry_*`.
        """
        first = self["row_start"][rows].astype(np.int64)
        count = self["row_start"][rows + 1].astype(np.int64) - first
        entry = self["row_entry"][expand(first, count)].astype(np.int64)
        return np.repeat(np.arange(len(rows)), count), entry

    def shown(self, rows: Ints) -> pa.Table:
        """Give what a person wants to see of some recipients; nulls for row -1."""
        table = self.tables["recipients"]
        known = np.unique(rows[rows >= 0])
        if len(known) == 0:
            return table.slice(0, 0).combine_chunks().take(pa.array(rows, mask=rows < 0))
        # Rows are taken from the stored batch each is in; from the whole table it takes ten times longer.
        parts = []
        for part in take_from_each(table.to_batches(), known):
            parts.append(part)
            self.shown_texts.looked_at(len(part))
        found = pa.Table.from_batches(parts).combine_chunks()
        return found.take(pa.array(np.searchsorted(known, rows), mask=rows < 0))

    def core_names(self, names: Ints) -> list[str]:
        """Give the texts of some core names."""
        texts = view_strings(self["name_text"], self["name_text_start"])
        return list(texts.take(pa.array(names)).to_pylist())

    def bags(self, names: Ints) -> Hashes:
        """Give core names with the same plain words the same key; those of stop words only their own."""
        first = self["name_words"][names].astype(np.int64)
        count = self["name_words"][names + 1] - first
        word = self["word_of_name"][expand(first, count)]
        bags = bag_hashes(self["word_plain"][word], np.append(0, np.cumsum(count)))
        return np.where(bags == 0, names.astype(np.uint64), bags)

    def words(self, words: Ints) -> list[str]:
        """Give the texts of some words."""
        return list(self.tables["words"].column("word").take(pa.array(words)).to_pylist())


def open_index(folder: Path) -> RecipientIndex:
    """Open an index that `build_index` made.

    Parameters
    ----------
    folder : pathlib.Path
        The index.

    Returns
    -------
    RecipientIndex
        Its arrays mapped into memory, not read.

    Raises
    ------
    InputError
        When there is no whole index of this version in the folder.
    """
    try:
        facts = read_json(folder / "index.json")
    except (OSError, ValueError) as wrong:
        raise InputError(
            explain("there is no recipient index", where=folder, got=wrong, todo="build it with build_index")
        ) from wrong
    if facts["version"] != INDEX_VERSION:
        raise InputError(
            explain(
                "the recipient index is of another version",
                where=folder,
                expected=INDEX_VERSION,
                got=facts["version"],
                todo="build it again with build_index",
            )
        )
    arrays = {path.stem: read_column(path) for path in sorted(folder.glob("*.npy"))}
    files = {path.stem: _map(path) for path in sorted(folder.glob("*.arrow"))}
    tables = {name: pa.ipc.open_file(pa.py_buffer(file)).read_all() for name, file in files.items()}
    return RecipientIndex(
        folder,
        facts["rows"],
        facts["names"],
        facts["max_word_postings"],
        arrays,
        tables,
        ShownTexts(files["recipients"]),
    )


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def duns_numbers(duns: pa.Array) -> npt.NDArray[np.uint32]:
    """Read DUNS as numbers; 0 where there is none."""
    return np.asarray(pc.cast(duns.fill_null("0"), pa.uint32()).to_numpy(zero_copy_only=False), np.uint32)


def word_bits(counts: npt.NDArray[Any], names: int) -> Floats:
    """Say in bits how much it tells that two names share a word that is in `counts` of `names` names."""
    bits: Floats = np.log2((names + 1) / (counts + 0.5))
    return bits


def typo_keys(data: Bytes, offsets: Ints) -> tuple[Hashes, Ints]:
    """Hash words whole and with each letter left out; those that share a key are two edits apart at most."""
    hasher = Hasher(data)
    without, owner = hasher.without_one(offsets[:-1], offsets[1:])
    whole = hasher.run(offsets[:-1], offsets[1:])
    return np.concatenate([whole, without]), np.concatenate([np.arange(len(whole)), owner])


def place_key(zip5: npt.NDArray[np.uint32], number: npt.NDArray[np.uint32]) -> Hashes:
    """Put ZIP and street number into one number, ZIP first; 0 where there is no ZIP."""
    key: Hashes = (zip5.astype(np.uint64) << np.uint64(20)) | number
    return np.where(zip5 == 0, np.uint64(0), key)
