"""The words of the recipients' names, laid out so that a word finds the names it is in.

Each word and each pair of neighbouring words lists its names, unless there are too many to follow. Each
longer word is also listed under the keys it has when one letter is left out, and each name under its plain
words in any order (see `abbreviations`).

The names are gone through block by block, and what has to be in another order is sorted in parts; of all
words together only the distinct ones are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.abbreviations import hash_bags, plain_hashes
from sbir_toolkit.matching.columns import Columns, column_reader
from sbir_toolkit.matching.index import typo_keys, word_bits
from sbir_toolkit.matching.names import word_ends
from sbir_toolkit.matching.namesakes import Namesakes
from sbir_toolkit.matching.ordering import find_groups, sort_in_parts
from sbir_toolkit.matching.texts import Floats, Hashes, Ints, cut_runs, lay_out, powers

_BLOCK = 32_768
_NAMES = 131_072
_MIN_TYPO_LENGTH = 4
# What one item takes while its part is sorted and written, measured and rounded up.
_BYTES_PER_ITEM = 60

Counts = npt.NDArray[np.uint32]


class NameWords:
    """The words of all distinct core names, as they are laid out so far.

    Parameters
    ----------
    folder : pathlib.Path
        The index that is being made; its names are laid out.
    scratch : pathlib.Path
        Where their words are, in the order of the names.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        read, read_words = column_reader(folder), column_reader(scratch / "names")
        self.text, self.text_start = read("name_text"), read("name_text_start")
        self.start: Counts = read("name_words")
        self.hash: Hashes = read_words("hash")
        self.length: Counts = read_words("length")
        self.bearers = read_words("bearers")

    def __len__(self) -> int:
        return len(self.bearers)

    def blocks(self) -> Iterator[Block]:
        """Give the names in blocks that fit into memory; where there are none, one empty block."""
        for first in range(0, max(len(self), 1), _NAMES):
            start = self.start[first : first + _NAMES + 1].astype(np.int64)
            words = slice(int(start[0]), int(start[-1]))
            yield Block(
                names=slice(first, first + len(start) - 1),
                words=words,
                start=start - start[0],
                hash=self.hash[words],
                length=self.length[words],
            )


@dataclass(frozen=True)
class Block:
    """Names that follow each other.

    Parameters
    ----------
    names, words : slice
        Where they and their words are among all.
    start : int64 array of shape (names + 1,)
        Where each name's words are among the block's.
    hash, length : arrays of shape (words,)
    """

    names: slice
    words: slice
    start: Ints
    hash: Hashes
    length: Counts

    @property
    def owner(self) -> Counts:
        """The name that each word is in, among all."""
        return np.repeat(np.arange(self.names.start, self.names.stop, dtype=np.uint32), np.diff(self.start))

    def sum_up(self, values: npt.NDArray[Any]) -> Floats:
        """Add up what stands beside the words, name by name."""
        within = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        return np.bincount(within, values, minlength=len(self.start) - 1).astype(float)


def lay_out_words(folder: Path, scratch: Path, cap: int, room: int) -> None:
    """List the names of each word, and each word under its mistyped forms.

    Parameters
    ----------
    folder, scratch : pathlib.Path
        As for `NameWords`.
    cap : int
        A word in more names than this doesn't list them.
    room : int
        Bytes that what is sorted at once may take.
    """
    words = NameWords(folder, scratch)
    distinct, counts = _count_words(words.hash)
    end, length, namesakes = _number_words(folder, words, distinct, counts)
    last = words.text[end - 1]
    plain = plain_hashes(distinct, length, last)
    texts = cut_runs(words.text, end - length, end)
    write_table(folder / "words.arrow", pa.table({"word": texts}))
    read, most = column_reader(folder), room // _BYTES_PER_ITEM
    with Columns(folder) as out, Columns(scratch) as unsorted:
        out.add(
            word_hash=distinct,
            word_count=counts.astype(np.uint32),
            word_length=np.minimum(length, 255).astype(np.uint8),
            word_plain=plain,
        )
        for block in words.blocks():
            told = read("name_bits")[block.names]
            expected = namesakes.expect(words.bearers[block.names], told, block.sum_up(block.length))
            out.add(name_namesakes=expected.astype(np.float32))
            unsorted.add(bag=hash_bags(plain, read("word_of_name")[block.words], block.start))
    with Columns(folder) as out:
        _list_names(out, words, read("word_of_name"), np.where(counts <= cap, counts, 0), most)
        for part in sort_in_parts(column_reader(scratch)("bag"), most):
            out.add(bag_key=part.keys, bag_name=part.positions)
    _lay_out_typos(folder, scratch, texts, length, most)


def lay_out_pairs(folder: Path, scratch: Path, cap: int, room: int) -> None:
    """Key two neighbours as one word: for NANO TECH beside NANOTECH, and for common words only.

    Parameters are those of `lay_out_words`.
    """
    words, scratch = NameWords(folder, scratch), scratch / "pairs"
    with Columns(scratch) as unsorted:
        for block in words.blocks():
            owner = block.owner
            left = np.flatnonzero(owner[1:] == owner[:-1])
            joined = powers(int(block.length.max(initial=0)) + 1)[block.length[left]]
            joined *= block.hash[left + 1]
            joined += block.hash[left]
            unsorted.add(joined=joined, owner=owner[left])
    read = column_reader(scratch)
    owner = read("owner")
    with Columns(folder) as out:
        for part in sort_in_parts(read("joined"), room // _BYTES_PER_ITEM):
            first = find_groups(part.keys)
            counts = np.diff(np.append(first, len(part.keys)))
            is_kept = counts <= cap
            out.add(pair_hash=part.keys[first])
            out.add(pair_postings=owner[part.positions[np.repeat(is_kept, counts)]])
            out.add_starts("pair_start", np.where(is_kept, counts, 0), np.uint32)


def _count_words(hashes: Hashes) -> tuple[Hashes, Ints]:
    """Give the distinct words in the order of their hashes, and how often each is met."""
    met = pc.value_counts(pa.array(hashes))
    distinct, counts = (met.field(name).to_numpy() for name in ("values", "counts"))
    order = np.argsort(distinct)
    return distinct[order], counts[order]


def _number_words(
    folder: Path, words: NameWords, distinct: Hashes, counts: Ints
) -> tuple[Ints, Ints, Namesakes]:
    """Write each word's number and what the names tell; also give where each distinct word's text ends."""
    end, length = np.full(len(distinct), -1), np.zeros(len(distinct), np.int64)
    bits, namesakes = word_bits(counts, len(words)), Namesakes(len(words))
    with Columns(folder) as out:
        for block in words.blocks():
            code = pc.index_in(pa.array(block.hash), value_set=pa.array(distinct)).to_numpy()
            weight = block.sum_up(bits[code]).astype(np.float32)
            out.add(word_of_name=code.astype(np.uint32), name_bits=weight)
            namesakes.learn(words.bearers[block.names], weight, block.sum_up(block.length))
            # Where a word is met first stands last here, and so is what stays.
            new = np.flatnonzero(end[code] < 0)[::-1]
            end[code[new]] = words.text_start[block.names.start] + word_ends(block.start, block.length)[new]
            length[code[new]] = block.length[new]
    return end, length, namesakes


def _list_names(out: Columns, words: NameWords, code: Counts, counts: Ints, most: int) -> None:
    """List the names of each word that has `counts` to list, word by word."""
    out.add_starts("word_start", counts, np.uint32)
    total = np.cumsum(counts)
    bounds = np.unique(np.searchsorted(total, np.arange(most, total[-1] if len(total) else 0, most)))
    is_listed = counts > 0
    out.add(word_postings=np.zeros(0, np.uint32))
    for low, high in zip([0, *bounds], [*bounds, len(counts)], strict=True):
        found = []
        for block in words.blocks():
            inside = code[block.words]
            is_wanted = is_listed[inside]
            if high - low < len(counts):
                is_wanted &= (inside >= low) & (inside < high)
            # Word and name share one number, so that one plain sort orders them.
            listed = inside[is_wanted].astype(np.uint64) << np.uint64(32)
            listed |= block.owner[is_wanted]
            found.append(listed)
        packed = np.concatenate(found)
        del found
        packed.sort()
        out.add(word_postings=packed.astype(np.uint32))


def _lay_out_typos(folder: Path, scratch: Path, texts: pa.Array, length: Ints, most: int) -> None:
    """List each longer word under its own hash and under that of each form with one letter left out."""
    wanted = np.flatnonzero((length >= _MIN_TYPO_LENGTH) & (length <= 32)).astype(np.uint32)
    with Columns(scratch) as unsorted:
        unsorted.add(typo=np.zeros(0, np.uint64), typo_word=np.zeros(0, np.uint32))
        for low in range(0, len(wanted), _BLOCK):
            part = wanted[low : low + _BLOCK]
            found, owner = typo_keys(*lay_out(texts.take(pa.array(part))))
            unsorted.add(typo=found, typo_word=part[owner])
    read = column_reader(scratch)
    words = read("typo_word")
    with Columns(folder) as out:
        for keys in sort_in_parts(read("typo"), most):
            out.add(typo_hash=keys.keys, typo_word=words[keys.positions])


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table in the form that can be mapped into memory."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
