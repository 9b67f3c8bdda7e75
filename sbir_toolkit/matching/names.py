"""Company names, brought into a form in which two spellings of one name look alike.

One firm is filed as `Creare L.L.C.`, `CREARE, LLC` and `Creare Limited Liability Company`; another one as
`The A.B.C. Group, Inc.` and `A B C GROUP INC, THE`. Upper case, punctuation, `&`, a leading or trailing THE
and spaced initials carry no information and go (`normalise_names`). The legal form does carry some: INC and
LLC of one name can be two firms. So it is split off and kept as a code (`Names.form`), and what is left is
the *core* name. Splitting never leaves nothing: a firm called `The Company` is COMPANY.

A name can hold two names: `X dba Y`, `X (formerly Y)`, `X (ABC)`. Each part becomes a name of its own with
the same owner (`read_names`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.abbreviations import plain_hashes
from sbir_toolkit.matching.texts import (
    Bytes,
    Flags,
    Hasher,
    Hashes,
    Ints,
    expand,
    hash_text,
    lay_out,
    to_strings,
)

FORMS = ("none", "INC", "CORP", "CO", "LLC", "LTD", "LP", "PC", "other")
"""The legal forms told apart; a name's form is an index into them."""

_FORM_WORDS = {
    "INC": ("INC", "INCORPORATED", "INCORP", "INCORPORATION", "INCO"),
    "CORP": ("CORP", "CORPORATION", "CORPORTION", "CORPN", "CORPON", "CORPORATIO"),
    "CO": ("CO", "COMPANY", "COS", "COMPANIES"),
    "LLC": ("LLC", "LIABILITY", "LC", "LLCS"),
    "LTD": ("LTD", "LIMITED", "LTDA"),
    "LP": ("LP", "LLP", "LLLP", "PARTNERSHIP"),
    "PC": ("PC", "PLLC", "PA", "PLC", "PSC", "APC", "CHARTERED"),
    "other": (
        "GMBH",
        "AG",
        "SA",
        "SARL",
        "SRL",
        "BV",
        "NV",
        "AB",
        "OY",
        "PTY",
        "PTE",
        "PVT",
        "KG",
        "SAS",
        "ULC",
        "SPA",
        "AS",
    ),
}
# Long enough that a word a letter off can mean nothing else.
_LONG_FORMS = {"INCORPORATED": "INC", "CORPORATION": "CORP", "COMPANY": "CO", "LIMITED": "LTD"}
# Where a name carries several, the later one here decides: CO INC is INC, LIMITED LIABILITY COMPANY is LLC.
_FORM_RANK = ("CO", "LTD", "other", "CORP", "INC", "LP", "PC", "LLC")
_MARKERS = ("DBA", "FKA", "AKA", "NKA", "FORMERLY")
_SPACE, _END, _FIRST_LETTER = 32, 10, 48
# No text has this byte, in UTF-8.
_CLOSE = b"\xff"


@dataclass(frozen=True)
class Names:
    """Core names read from texts: several for an owner whose text holds several.

    Parameters
    ----------
    owner : int64 array of length n
        The text each name comes from; ascending.
    core : pyarrow string array of length n
        The core name, words parted by single blanks.
    joined : uint64 array of length n
        Hash of the core name without its blanks: equal for `NANO TECH` and `NANOTECH`.
    form : uint8 array of length n
        Index into `FORMS`.
    is_alias : bool array of length n
        Whether the name is a secondary one of its text.
    word_start : int64 array of length n + 1
        Where each name's words are in the arrays below.
    word_hash, word_length : arrays over all words
        Hash and length.
    """

    owner: Ints
    core: pa.Array
    joined: Hashes
    form: Bytes
    is_alias: Flags
    word_start: Ints
    word_hash: Hashes
    word_length: Ints

    def __len__(self) -> int:
        return len(self.owner)

    @cached_property
    def word_plain(self) -> Hashes:
        """The hash of the plain word that each word stands for."""
        data, _ = lay_out(self.core)
        last = data[word_ends(self.word_start, self.word_length) - 1]
        return plain_hashes(self.word_hash, self.word_length, last)


def normalise_names(names: pa.Array) -> pa.Array:
    """Bring names into upper case without punctuation, THE at the ends and blanks between initials.

    Parameters
    ----------
    names : pyarrow string array of shape (n,)
        As filed; null counts as empty.

    Returns
    -------
    pyarrow string array of shape (n,)
        Normalised; normalising again changes nothing.

    Examples
    --------
    >>> normalise_names(pa.array(["The A.B.C. Group", "O'Neil & Sons", "Nanotech LLC, THE"])).to_pylist()
    ['ABC GROUP', 'ONEIL AND SONS', 'NANOTECH LLC']
    """
    words = _Words(_flatten(names))
    return _cut(words, *_without_the(words, words.first, words.last), np.arange(len(names)))


def read_names(names: pa.Array) -> Names:
    """Read the names that texts hold, and further ones after DBA or beside brackets.

    Parameters
    ----------
    names : pyarrow string array of shape (n,)
        As filed; null or without a letter or digit: no name.

    Returns
    -------
    Names
        At least one for each text with a letter or digit, its owner's first name first.

    Examples
    --------
    >>> read = read_names(pa.array(["Creare L.L.C.", "Old Co dba New Tech Inc."]))
    >>> read.core.to_pylist(), [FORMS[code] for code in read.form], read.owner.tolist()
    (['CREARE', 'OLD', 'NEW TECH'], ['LLC', 'CO', 'INC'], [0, 1, 1])
    """
    names = names.fill_null("")
    owner = np.arange(len(names))
    data, offsets = lay_out(names)
    bracketed = _rows_of(data == ord("("), offsets)
    if len(bracketed):
        # `X (Y)` is also X. What stands in brackets is a name of its own only behind a word such as DBA.
        outside = pc.replace_substring_regex(names.take(pa.array(bracketed)), r"\([^)]*\)?", " ")
        owner = np.concatenate([owner, bracketed])
        names = pa.concat_arrays([names.cast(pa.string()), outside.cast(pa.string())])
    words = _Words(_flatten(names))
    first, last, row = _split_at_markers(words)
    first, last = _without_the(words, first, last)
    last, form = _without_form(words, first, last)
    is_alias = row >= len(owner) - len(bracketed)
    is_alias[1:] |= row[1:] == row[:-1]
    order = np.argsort(owner[row], kind="stable") if len(bracketed) else np.arange(len(row))
    order = order[words.have_letters(first, last)[order]]
    joined, core = words.joined(first, last)[order], _cut(words, first, last, order)
    first, lengths = first[order], (last - first)[order]
    inside = expand(first, lengths)
    return Names(
        owner=owner[row[order]],
        core=core,
        joined=joined,
        form=form[order],
        is_alias=is_alias[order],
        word_start=np.append(0, np.cumsum(lengths)),
        word_hash=words.hash[inside],
        word_length=(words.end - words.start)[inside],
    )


def word_ends(word_start: npt.NDArray[Any], word_length: npt.NDArray[Any]) -> Ints:
    """Say where each word ends when core names lie end to end.

    Parameters
    ----------
    word_start : int array of length n + 1
        Where each name's words are among all.
    word_length : int array over all words
    """
    # Before each word there are as many blanks as words, but for one for each name.
    blanks = np.arange(len(word_length)) - np.repeat(np.arange(len(word_start) - 1), np.diff(word_start))
    ends: Ints = np.cumsum(word_length, dtype=np.int64) + blanks
    return ends


def _flatten(names: pa.Array) -> bytes:
    """Lay normalised names end to end, each closed by a line end, its words parted by single blanks."""
    if len(names) == 0:
        return b""
    text = _close(names.fill_null("")).replace(b"&", b" AND ").translate(_TRANSLATION, _DROPPED)
    flat = np.frombuffer(text, np.uint8)
    is_edge = flat < _FIRST_LETTER
    is_spare = flat == _SPACE
    is_spare[1:] &= is_edge[:-1]
    flat = np.frombuffer(_without(flat, is_spare), np.uint8)
    is_edge = flat < _FIRST_LETTER
    is_initial = ~is_edge
    is_initial[1:] &= is_edge[:-1]
    is_initial[:-1] &= is_edge[1:]
    is_spare = flat == _SPACE
    is_spare[1:-1] &= (is_initial[:-2] & is_initial[2:]) | (flat[2:] == _END)
    return _without(flat, is_spare)


def _without(flat: Bytes, is_spare: Flags) -> bytes:
    # What is rare goes out of bytes several times faster than by a mask.
    return (flat * ~is_spare).tobytes().replace(b"\0", b"")


def _close(names: pa.Array) -> bytes:
    """Lay names end to end in ASCII, each closed by a byte that no text has."""
    all_names = pa.ListArray.from_arrays(pa.array([0, len(names)], pa.int32()), names.cast(pa.binary()))
    text: bytes = pc.binary_join(all_names, _CLOSE)[0].as_py() + _CLOSE
    data, offsets = lay_out(names)
    foreign = _rows_of(data > 127, offsets)
    # Before each name there are as many closing bytes as names.
    starts, ends = offsets[foreign] + foreign, offsets[foreign + 1] + foreign
    pieces, done = [], 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        plain = unicodedata.normalize("NFKD", text[start:end].decode().translate(_LETTERS))
        pieces += [text[done:start], plain.encode()]
        done = end
    return b"".join([*pieces, text[done:]])


def _rows_of(is_marked: Flags, offsets: Ints) -> Ints:
    """Say which of the texts that lie end to end have a marked byte."""
    marks = np.flatnonzero(is_marked)
    return np.unique(np.searchsorted(offsets, marks, side="right") - 1)


class _Words:
    """Where each word of flattened names is, and its hash; a name without a letter has one empty word."""

    def __init__(self, flat: bytes) -> None:
        self.flat: Bytes = np.frombuffer(flat, np.uint8)
        is_letter = self.flat >= _FIRST_LETTER
        self.end: Ints = np.flatnonzero(~is_letter)
        self.start: Ints = np.append(0, self.end + 1)[:-1]
        # Before each word there are as many blanks and line ends as words.
        letters = np.compress(is_letter, self.flat)
        self._bounds = np.append(self.start - np.arange(len(self.start)), len(letters))
        self._hasher = Hasher(letters)
        self.hash = self.joined(np.arange(len(self.start)), np.arange(len(self.start)) + 1)
        self.last: Ints = np.flatnonzero(self.flat[self.end] == _END) + 1
        self.first: Ints = np.append(0, self.last)[:-1]

    def joined(self, first: Ints, last: Ints) -> Hashes:
        """Hash the words from `first` to before `last` as if there were no blanks between them."""
        return self._hasher.run(self._bounds[first], self._bounds[last])

    def have_letters(self, first: Ints, last: Ints) -> Flags:
        """Tell where there is a letter or digit from `first` to before `last`."""
        return self._bounds[first] < self._bounds[last]


def _without_the(words: _Words, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    first, last = first.copy(), last.copy()
    is_the = words.hash == _THE
    open_names = np.arange(len(first))
    while len(open_names):
        open_names = open_names[last[open_names] - first[open_names] > 1]
        leading = is_the[first[open_names]]
        trailing = is_the[last[open_names] - 1] & ~leading
        first[open_names] += leading
        last[open_names] -= trailing
        open_names = open_names[leading | trailing]
    return first, last


def _without_form(words: _Words, first: Ints, last: Ints) -> tuple[Ints, Bytes]:
    last = last.copy()
    best = np.zeros(len(first), np.uint8)
    open_names = np.arange(len(first))
    while len(open_names):
        open_names = open_names[last[open_names] - first[open_names] > 1]
        place = pc.index_in(pa.array(words.hash[last[open_names] - 1]), _FORM_HASHES).fill_null(-1)
        rank = _FORM_RANKS[place.to_numpy()]
        open_names, rank = open_names[rank > 0], rank[rank > 0]
        best[open_names] = np.maximum(best[open_names], rank)
        last[open_names] -= 1
    form: Bytes = _RANK_TO_FORM[best]
    return last, form


def _split_at_markers(words: _Words) -> tuple[Ints, Ints, Ints]:
    """Part each row's words at DBA and its like; rows without one stay whole."""
    is_marker = np.isin(words.hash, _MARKER_HASHES)
    for phrase in _PHRASES:
        at = np.flatnonzero(words.hash[: 1 - len(phrase)] == phrase[0])
        for place, word in enumerate(phrase[1:], 1):
            at = at[words.hash[at + place] == word]
        is_marker[(at[:, None] + np.arange(len(phrase))).ravel()] = True
    row = np.arange(len(words.first))
    if not is_marker.any():
        return words.first, words.last, row
    marks = np.flatnonzero(is_marker)
    first = np.concatenate([words.first, marks + 1])
    rows = np.concatenate([row, np.searchsorted(words.last, marks, side="right")])
    order = np.argsort(rows, kind="stable")
    first, rows = first[order], rows[order]
    is_last = np.append(rows[1:] != rows[:-1], True)
    last = np.where(is_last, words.last[rows], np.append(first[1:], 0) - 1)
    # A row that is nothing but markers, such as a firm called AKA, keeps its words.
    has_words = np.zeros(len(words.first), bool)
    has_words[rows[last > first]] = True
    is_lone = ~has_words[rows] & np.concatenate([[True], rows[1:] != rows[:-1]])
    return np.where(is_lone, words.first[rows], first), np.where(is_lone, words.last[rows], last), rows


def _cut(words: _Words, first: Ints, last: Ints, order: Ints) -> pa.Array:
    """Copy the runs of words from each `first` to before `last`, which ascend, in the order asked for."""
    bounds = np.zeros(2 * len(first) + 1, np.int64)
    bounds[1::2] = np.append(words.start, 0)[first]
    bounds[2::2] = np.where(last > first, np.append(words.end, 0)[last - 1], bounds[1::2])
    # Every second text is what lies between two runs.
    return to_strings(words.flat, bounds).take(pa.array(2 * order + 1))


def _translation() -> bytes:
    letters = {byte: ord(chr(byte).upper()) for byte in range(128) if chr(byte).isalnum()}
    return bytes(letters.get(byte, _SPACE) for byte in range(255)) + bytes([_END])


_TRANSLATION = _translation()
# Apostrophes, and what is left beyond ASCII: marks that stood over a letter.
_DROPPED = b"'`" + bytes(range(128, 255))
# What Unicode doesn't decompose into a plain letter and a mark.
_LETTERS = str.maketrans(
    dict(zip("ßæÆøØœŒłŁđĐ", ["SS", "AE", "AE", "O", "O", "OE", "OE", "L", "L", "D", "D"], strict=True))
    | dict(zip("\u2018\u2019\u2013\u2014\u00a0", "''-- ", strict=True))
)
_THE = np.uint64(hash_text("THE"))
_MARKER_HASHES = np.array([hash_text(word) for word in _MARKERS], np.uint64)
_PHRASES = [
    [np.uint64(hash_text(word)) for word in phrase.split()]
    for phrase in ("DOING BUSINESS AS", "FORMERLY KNOWN AS", "ALSO KNOWN AS")
]


def _mistyped(word: str) -> set[str]:
    """Spell a word with one letter left out, doubled or put before its neighbour, and cut off late."""
    places = range(1, len(word))
    left_out = {word[:at] + word[at + 1 :] for at in places}
    doubled = {word[:at] + word[at - 1] + word[at:] for at in places}
    swapped = {word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :] for at in places[1:]}
    return left_out | doubled | swapped | {word[:at] for at in range(6, len(word))}


def _spelled_forms() -> dict[str, str]:
    mistyped = {other: form for word, form in _LONG_FORMS.items() for other in _mistyped(word)}
    return mistyped | {word: form for form, words in _FORM_WORDS.items() for word in words}


_RANKS = {hash_text(word): _FORM_RANK.index(form) + 1 for word, form in _spelled_forms().items()}
_FORM_HASHES = pa.array(_RANKS, pa.uint64())
# The last one is that of a word that is no form.
_FORM_RANKS = np.array([*_RANKS.values(), 0], np.uint8)
_RANK_TO_FORM = np.array([0, *(FORMS.index(form) for form in _FORM_RANK)], np.uint8)
