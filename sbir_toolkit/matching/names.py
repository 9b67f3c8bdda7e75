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

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.abbreviations import plain_hashes
from sbir_toolkit.matching.texts import (
    Bytes,
    Flags,
    Hasher,
    Hashes,
    Ints,
    cut_runs,
    expand,
    hash_text,
    inverse_powers,
    lay_out,
    powers,
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
_SPACE, _END = 32, 10


@dataclass(frozen=True)
class CoreNames:
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
    """

    owner: Ints
    core: pa.Array
    joined: Hashes
    form: Bytes
    is_alias: Flags

    def __len__(self) -> int:
        return len(self.owner)


@dataclass(frozen=True)
class Names(CoreNames):
    """Core names with their words.

    Parameters
    ----------
    word_start : int64 array of length n + 1
        Where each name's words are in the arrays below.
    word_hash, word_plain, word_length : arrays over all words
        Hash, hash of the plain word it stands for, and length.
    """

    word_start: Ints
    word_hash: Hashes
    word_plain: Hashes
    word_length: Ints


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
    return _cut(words, *_without_the(words, words.first, words.last))


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
    found, words, first, last = _read(names)
    lengths = last - first
    inside = expand(first, lengths)
    word_length = (words.end - words.start)[inside]
    return Names(
        **vars(found),
        word_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        word_hash=words.hash[inside],
        word_plain=plain_hashes(words.hash[inside], word_length, words.flat[words.end[inside] - 1]),
        word_length=word_length,
    )


def read_core_names(names: pa.Array) -> CoreNames:
    """Read the names that texts hold as `read_names` does, without their words.

    Parameters
    ----------
    names : pyarrow string array of shape (n,)
        As filed.

    Returns
    -------
    CoreNames
    """
    return _read(names)[0]


def _read(names: pa.Array) -> tuple[CoreNames, _Words, Ints, Ints]:
    """Read names, and tell which words each is made of."""
    names = names.fill_null("")
    owner = np.arange(len(names))
    bracketed = np.flatnonzero(pc.match_substring(names, "(").to_numpy(zero_copy_only=False))
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
    order = order[(last > first)[order]]
    first, last = first[order], last[order]
    found = CoreNames(
        owner=owner[row[order]],
        core=_cut(words, first, last),
        joined=words.joined(first, last),
        form=form[order],
        is_alias=is_alias[order],
    )
    return found, words, first, last


def _flatten(names: pa.Array) -> Bytes:
    """Lay normalised names end to end, each closed by a line end, its words parted by single blanks."""
    names = pc.replace_substring(_in_ascii(names.fill_null("")), "&", " AND ")
    data, offsets = lay_out(names)
    closed = pc.binary_join_element_wise(to_strings(_TRANSLATION[data], offsets), "\n", "")
    flat, _ = lay_out(closed)
    if (flat == 0).any():
        flat = flat[flat != 0]
    is_space = flat == _SPACE
    is_edge = is_space | (flat == _END)
    before = np.concatenate([[True], is_edge[:-1]])
    flat = flat[~(is_space & before)]
    is_space = flat == _SPACE
    padded = np.concatenate([[True, True], is_space | (flat == _END), [True, True]])
    is_initial = ~padded[1:-1] & padded[:-2] & padded[2:]
    joins_initials = is_initial[:-2] & is_initial[2:]
    before_end = np.concatenate([flat[1:] == _END, [True]])[: len(flat)]
    kept: Bytes = flat[~(is_space & (joins_initials | before_end))]
    return kept


def _in_ascii(names: pa.Array) -> pa.Array:
    data, _ = lay_out(names)
    if not (data > 127).any():
        return names
    is_foreign = pc.invert(pc.string_is_ascii(names))
    foreign = names.filter(is_foreign)
    for letter, plain in _LETTERS.items():
        foreign = pc.replace_substring(foreign, letter, plain)
    return pc.replace_with_mask(names, is_foreign, pc.utf8_normalize(foreign, "NFKD"))


class _Words:
    """Where each word of flattened names is, and its hash."""

    def __init__(self, flat: Bytes) -> None:
        self.flat = flat
        is_edge = (flat == _SPACE) | (flat == _END)
        before = np.concatenate([[True], is_edge[:-1]])[: len(flat)]
        after = np.concatenate([is_edge[1:], [True]])[: len(flat)]
        self.start: Ints = np.flatnonzero(~is_edge & before)
        self.end: Ints = np.flatnonzero(~is_edge & after) + 1
        self.hash = Hasher(flat).run(self.start, self.end)
        self.last: Ints = np.searchsorted(self.start, np.flatnonzero(flat == _END))
        self.first: Ints = np.concatenate([[0], self.last[:-1]]).astype(np.int64)[: len(self.last)]

    def joined(self, first: Ints, last: Ints) -> Hashes:
        """Hash the words from `first` to before `last` as if there were no blanks between them."""
        before = np.concatenate([[0], np.cumsum(self.end - self.start)])
        total = int(before[-1]) + 1
        sums = np.zeros(len(before), np.uint64)
        np.cumsum(self.hash * powers(total)[before[:-1]], out=sums[1:])
        result: Hashes = (sums[last] - sums[first]) * inverse_powers(total)[before[first]]
        return result


def _without_the(words: _Words, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    first, last = first.copy(), last.copy()
    is_the = np.append(words.hash == _THE, False)
    while True:
        leading = (last - first > 1) & is_the[first]
        first[leading] += 1
        trailing = (last - first > 1) & is_the[last - 1]
        last[trailing] -= 1
        if not (leading.any() or trailing.any()):
            return first, last


def _without_form(words: _Words, first: Ints, last: Ints) -> tuple[Ints, Bytes]:
    last = last.copy()
    place = np.searchsorted(_FORM_HASHES, words.hash).clip(max=len(_FORM_HASHES) - 1)
    rank = np.append(np.where(_FORM_HASHES[place] == words.hash, _FORM_RANKS[place], 0), 0)
    best = np.zeros(len(first), np.uint8)
    while True:
        found = np.where(last - first > 1, rank[last - 1], 0).astype(np.uint8)
        if not found.any():
            form: Bytes = _RANK_TO_FORM[best]
            return last, form
        best = np.maximum(best, found)
        last[found > 0] -= 1


def _split_at_markers(words: _Words) -> tuple[Ints, Ints, Ints]:
    """Part each row's words at DBA and its like; rows without one stay whole."""
    is_marker = np.isin(words.hash, _MARKER_HASHES)
    for phrase in _PHRASES:
        hits = np.ones(max(0, len(words.hash) - len(phrase) + 1), bool)
        for place, word in enumerate(phrase):
            hits &= words.hash[place : place + len(hits)] == word
        for place in range(len(phrase)):
            is_marker[np.flatnonzero(hits) + place] = True
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


def _cut(words: _Words, first: Ints, last: Ints) -> pa.Array:
    starts = np.append(words.start, 0)[first]
    ends = np.where(last > first, np.append(words.end, 0)[last - 1], starts)
    return cut_runs(words.flat, starts, ends)


def _translation() -> Bytes:
    table = np.full(256, _SPACE, np.uint8)
    for byte in range(128):
        letter = chr(byte).upper()
        if letter.isalnum():
            table[byte] = ord(letter)
    for mark in "'`":
        table[ord(mark)] = 0
    # What is left beyond ASCII are marks that stood over a letter.
    table[128:] = 0
    return table


_TRANSLATION = _translation()
# What Unicode doesn't decompose into a plain letter and a mark.
_LETTERS = dict(
    zip("ßæÆøØœŒłŁđĐ", ["SS", "AE", "AE", "O", "O", "OE", "OE", "L", "L", "D", "D"], strict=True)
) | dict(zip("\u2018\u2019\u2013\u2014\u00a0", "''-- ", strict=True))
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


_BY_HASH = sorted((hash_text(word), _FORM_RANK.index(form) + 1) for word, form in _spelled_forms().items())
_FORM_HASHES = np.array([pair[0] for pair in _BY_HASH], np.uint64)
_FORM_RANKS = np.array([pair[1] for pair in _BY_HASH], np.uint8)
_RANK_TO_FORM = np.array([0, *(FORMS.index(form) for form in _FORM_RANK)], np.uint8)
