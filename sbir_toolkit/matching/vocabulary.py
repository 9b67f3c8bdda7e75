"""The words of the recipients' names, laid out so that a word finds the names it is in.

Each word and each pair of neighbouring words lists its names, unless there are too many to follow. Each
longer word is also listed under the keys it has when one letter is left out, and each name under its plain
words in any order (see `abbreviations`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.abbreviations import hash_bags, plain_hashes
from sbir_toolkit.matching.index import typo_keys, word_bits
from sbir_toolkit.matching.names import word_ends
from sbir_toolkit.matching.namesakes import lay_out_namesakes
from sbir_toolkit.matching.ordering import find_groups, sort_keys
from sbir_toolkit.matching.texts import Flags, Hashes, Ints, cut_runs, lay_out, powers

_BLOCK = 32_768
_MIN_TYPO_LENGTH = 4

Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class NameWords:
    """The words of all distinct core names.

    Parameters
    ----------
    core : pyarrow string array of length n
        The core names.
    start : uint32 array of length n + 1
        Where each name's words are in the arrays below.
    hash, length : arrays over all words
    """

    core: pa.Array
    start: Counts
    hash: Hashes
    length: Counts

    def __len__(self) -> int:
        return len(self.core)

    def owner(self) -> Counts:
        """The name that each word is in."""
        return np.repeat(np.arange(len(self), dtype=np.uint32), np.diff(self.start))


def lay_out_words(folder: Path, words: NameWords, cap: int) -> None:
    """List the names of each word, and each word under its mistyped forms."""
    np.save(folder / "name_words.npy", words.start)
    distinct, sample, code = _number_words(words.hash)
    counts = np.bincount(code, minlength=len(distinct))
    np.save(folder / "word_of_name.npy", code)
    np.save(folder / "word_hash.npy", distinct)
    np.save(folder / "word_count.npy", counts.astype(np.uint32))
    owner = words.owner()
    is_kept = counts <= cap
    is_listed = is_kept[code]
    listed = code[is_listed].astype(np.uint64) << np.uint64(32)
    listed |= owner[is_listed]
    listed.sort()
    _write_postings(folder, "word", listed.astype(np.uint32), counts, is_kept)
    del listed, is_listed
    weight = np.bincount(owner, word_bits(counts, len(words))[code], minlength=len(words))
    np.save(folder / "name_bits.npy", weight.astype(np.float32))
    letters = np.bincount(owner, words.length, minlength=len(words)).astype(np.int64)
    lay_out_namesakes(folder, letters)
    del weight, letters, owner
    data, _ = lay_out(words.core)
    length = words.length[sample].astype(np.int64)
    end = word_ends(words.start, words.length)[sample]
    np.save(folder / "word_length.npy", np.minimum(length, 255).astype(np.uint8))
    texts = cut_runs(data, end - length, end)
    write_table(folder / "words.arrow", pa.table({"word": texts}))
    plain = plain_hashes(distinct, length, data[end - 1])
    np.save(folder / "word_plain.npy", plain)
    by_bag, bags = sort_keys(hash_bags(plain, code, words.start))
    np.save(folder / "bag_key.npy", bags)
    np.save(folder / "bag_name.npy", by_bag)
    del bags, by_bag, code
    _lay_out_typos(folder, texts, length)


def lay_out_pairs(folder: Path, words: NameWords, cap: int) -> None:
    """Key two neighbours as one word: for NANO TECH beside NANOTECH, and for common words only."""
    owner = words.owner()
    left = np.flatnonzero(owner[1:] == owner[:-1])
    owner = owner[left]
    joined = powers(int(words.length.max(initial=0)) + 1)[words.length[left]]
    joined *= words.hash[1:][left]
    joined += words.hash[left]
    order, joined = sort_keys(joined)
    first = find_groups(joined)
    counts = np.diff(np.append(first, len(joined)))
    np.save(folder / "pair_hash.npy", joined[first])
    is_kept = counts <= cap
    _write_postings(folder, "pair", owner[order[np.repeat(is_kept, counts)]], counts, is_kept)


def _number_words(hashes: Hashes) -> tuple[Hashes, Ints, Counts]:
    """Number the distinct words in the order of their hashes; also give these, and where each is met."""
    met = pa.array(hashes).dictionary_encode()
    in_turn = met.indices.to_numpy()
    first = np.flatnonzero(np.diff(np.maximum.accumulate(in_turn), prepend=-1))
    distinct = met.dictionary.to_numpy()
    order = np.argsort(distinct)
    number = np.empty(len(order), np.uint32)
    number[order] = np.arange(len(order), dtype=np.uint32)
    return distinct[order], first[order], number[in_turn]


def _lay_out_typos(folder: Path, texts: pa.Array, length: Ints) -> None:
    """List each longer word under its own hash and under that of each form with one letter left out."""
    hashes, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
    wanted = np.flatnonzero((length >= _MIN_TYPO_LENGTH) & (length <= 32)).astype(np.uint32)
    for low in range(0, len(wanted), _BLOCK):
        part = wanted[low : low + _BLOCK]
        found, owner = typo_keys(*lay_out(texts.take(pa.array(part))))
        hashes.append(found)
        words.append(part[owner])
    order, keys = sort_keys(np.concatenate(hashes))
    np.save(folder / "typo_hash.npy", keys)
    np.save(folder / "typo_word.npy", np.concatenate(words)[order])


def _write_postings(folder: Path, kind: str, postings: Counts, counts: Ints, is_kept: Flags) -> None:
    np.save(folder / f"{kind}_postings.npy", postings)
    starts = np.append(0, np.cumsum(np.where(is_kept, counts, 0)))
    np.save(folder / f"{kind}_start.npy", starts.astype(np.uint32))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table in the form that can be mapped into memory."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
