"""The words of the recipients' names, laid out so that a word finds the names it is in.

Each word and each pair of neighbouring words lists its names, unless there are too many to follow. Each
longer word is also listed under the keys it has when one letter is left out, and each name under its plain
words in any order (see `abbreviations`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.abbreviations import bag_hashes, plain_hashes
from sbir_toolkit.matching.index import typo_keys, word_bits
from sbir_toolkit.matching.namesakes import lay_out_namesakes
from sbir_toolkit.matching.texts import Bytes, Hasher, Hashes, Ints, cut_runs, lay_out, powers

_BLOCK = 32_768
_MIN_TYPO_LENGTH = 4


def lay_out_words(folder: Path, names: int, cap: int) -> None:
    """List the names of each word and of each pair of neighbours, and each word under its mistyped forms."""
    core = (
        pa.ipc.open_file(pa.memory_map(str(folder / "names.arrow")))
        .read_all()
        .column("core")
        .combine_chunks()
    )
    data, offsets = lay_out(core)
    start, end, word_start = _find_words(data, offsets)
    hashes = _hash_words(data, start, end)
    lengths = (end - start).astype(np.uint32)
    # Narrow, and gone as soon as they aren't needed: there are two or three words for each recipient.
    begin = start.astype(np.uint32)
    del start, end
    np.save(folder / "name_words.npy", word_start.astype(np.uint32))
    owner = np.repeat(np.arange(names, dtype=np.uint32), np.diff(word_start))
    order, first, code = group_keys(hashes)
    sample = order[first]
    counts = np.diff(np.append(first, len(hashes)))
    _write_postings(folder, "word", owner[order], counts, cap)
    del order, first
    np.save(folder / "word_of_name.npy", code)
    weight = np.bincount(owner, word_bits(counts, names)[code], minlength=names)
    np.save(folder / "name_bits.npy", weight.astype(np.float32))
    del weight
    low = begin[sample].astype(np.int64)
    high = low + lengths[sample]
    np.save(folder / "word_hash.npy", hashes[sample])
    np.save(folder / "word_length.npy", np.minimum(high - low, 255).astype(np.uint8))
    np.save(folder / "word_count.npy", counts.astype(np.uint32))
    write_table(folder / "words.arrow", pa.table({"word": cut_runs(data, low, high)}))
    plain = plain_hashes(hashes[sample], high - low, data[high - 1])
    np.save(folder / "word_plain.npy", plain)
    bags = bag_hashes(plain[code], word_start)
    del code
    by_bag, _, _ = group_keys(bags)
    np.save(folder / "bag_key.npy", bags[by_bag])
    np.save(folder / "bag_name.npy", by_bag.astype(np.uint32))
    del bags, by_bag, begin
    lay_out_namesakes(folder, np.bincount(owner, lengths, minlength=names).astype(np.int64))
    _lay_out_typos(folder, data, low, high)
    _lay_out_pairs(folder, hashes, lengths, owner, cap)


def _lay_out_pairs(
    folder: Path, hashes: Hashes, lengths: npt.NDArray[np.uint32], owner: npt.NDArray[Any], cap: int
) -> None:
    """Key two neighbours as one word: for NANO TECH beside NANOTECH, and for common words only."""
    left = np.flatnonzero(owner[1:] == owner[:-1])
    joined = hashes[left] + hashes[left + 1] * powers(int(lengths.max(initial=0)) + 1)[lengths[left]]
    order, first, _ = group_keys(joined)
    np.save(folder / "pair_hash.npy", joined[order[first]])
    _write_postings(folder, "pair", owner[left][order], np.diff(np.append(first, len(joined))), cap)


def _lay_out_typos(folder: Path, data: Bytes, start: Ints, end: Ints) -> None:
    """List each longer word under its own hash and under that of each form with one letter left out."""
    is_long = (end - start >= _MIN_TYPO_LENGTH) & (end - start <= 32)
    hashes, words = [], []
    wanted = np.flatnonzero(is_long)
    for low in range(0, len(wanted), _BLOCK):
        part = wanted[low : low + _BLOCK]
        text = cut_runs(data, start[part], end[part])
        flat, bounds = lay_out(text)
        found, owner = typo_keys(flat, bounds)
        hashes.append(found)
        words.append(part[owner].astype(np.uint32))
    hashes_all = np.concatenate([np.zeros(0, np.uint64), *hashes])
    words_all = np.concatenate([np.zeros(0, np.uint32), *words])
    order, _, _ = group_keys(hashes_all)
    np.save(folder / "typo_hash.npy", hashes_all[order])
    np.save(folder / "typo_word.npy", words_all[order])


def _write_postings(folder: Path, kind: str, owner: npt.NDArray[Any], counts: Ints, cap: int) -> None:
    is_kept = counts <= cap
    np.save(folder / f"{kind}_postings.npy", owner[np.repeat(is_kept, counts)])
    np.save(
        folder / f"{kind}_start.npy",
        np.concatenate([[0], np.cumsum(np.where(is_kept, counts, 0))]).astype(np.uint32),
    )


def _find_words(data: Bytes, offsets: Ints) -> tuple[Ints, Ints, Ints]:
    """Find the words of core names laid end to end: their starts and ends, and where each name's begin."""
    is_start = data != 32
    is_start[1:] &= data[:-1] == 32
    is_start[offsets[:-1]] = True
    start = np.flatnonzero(is_start)
    word_start = np.searchsorted(start, offsets)
    # A word ends at the blank before the next one, a name's last word where the name ends.
    end = np.append(start[1:], 1) - 1
    end[word_start[1:] - 1] = offsets[1:]
    return start, end, word_start


def _hash_words(data: Bytes, start: Ints, end: Ints) -> Hashes:
    """Hash words block by block, so that the running sums stay small."""
    hashes = np.empty(len(start), np.uint64)
    for low in range(0, len(start), _BLOCK):
        part = slice(low, low + _BLOCK)
        base = start[part][0]
        hashes[part] = Hasher(data[base : end[part][-1]]).run(start[part] - base, end[part] - base)
    return hashes


def group_keys(keys: npt.NDArray[Any]) -> tuple[Ints, Ints, npt.NDArray[np.uint32]]:
    """Sort keys, equal ones in the order they come in.

    Returns
    -------
    order : int64 array of shape (n,)
        Sorts the keys.
    first : int64 array
        Where each distinct key begins in that order.
    code : uint32 array of shape (n,)
        Which of the distinct keys each key is.
    """
    # A quick sort leaves equal keys in an order that depends on the processor; sorting the pair of group
    # and position
    # mends that, and is faster than one stable sort.
    # It works in place, as the keys of a whole register fill a good part of the memory.
    quick = np.argsort(keys)
    in_order = keys[quick]
    is_new = np.ones(len(keys), bool)
    is_new[1:] = in_order[1:] != in_order[:-1]
    del in_order
    both = np.cumsum(is_new, dtype=np.uint64)
    both <<= np.uint64(32)
    both |= quick.view(np.uint64)
    del quick
    both.sort()
    both &= np.uint64(0xFFFFFFFF)
    order: Ints = both.view(np.int64)
    code = np.empty(len(keys), np.uint32)
    code[order] = np.cumsum(is_new, dtype=np.uint32) - np.uint32(1)
    return order, np.flatnonzero(is_new), code


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table in the form that can be mapped into memory."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
