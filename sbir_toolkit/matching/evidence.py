"""What speaks for and against a company and a recipient being one firm.

Two names are compared by their words. A word both have counts by how rare it is among recipients (in bits:
a word in one of 1,024 names counts 10). A word that one has and the other lacks counts against, unless it
is nearly the other's: abbreviated, inflected, cut off, or a letter off. An abbreviation or a plural is known
to be the word it stands for; the rest is guessed, and told apart. Numbers are never nearly equal, nor
are the points of the compass.
Beside the words stand the likeness of the whole names as letters, the first word, initials that spell the
other name, and a name cut off where old records end. The legal form is weighed, never dropped. The places
are one piece of evidence (see `places`), as they depend on each other.

All measures are the same whichever side comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz.distance import OSA, Indel, JaroWinkler
from rapidfuzz.process import cpdist

from sbir_toolkit.matching.abbreviations import ABBREVIATIONS, bag_hashes, is_stop_word
from sbir_toolkit.matching.candidates import Candidates
from sbir_toolkit.matching.index import RecipientIndex, place_key, word_bits
from sbir_toolkit.matching.names import FORMS, Names
from sbir_toolkit.matching.places import LEVELS
from sbir_toolkit.matching.texts import Flags, Floats, Hashes, Ints, expand, find_sorted, letter_codes, powers

MEASURES = (
    "same_name",
    "same_words",
    "shared_bits",
    "alike_bits",
    "guessed_bits",
    "surplus_bits",
    "less_unexplained_bits",
    "more_unexplained_bits",
    "covered",
    "rarest_count",
    "near_name",
    "letters",
    "beginning",
    "first_word",
    "number_missing",
    "number_conflict",
    "acronym",
    "truncated",
    "form_agrees",
    "form_conflicts",
    "is_alias",
    "level",
    "neighbours",
    "namesakes",
    "form_missing",
)
"""The columns of what `weigh_pairs` measures."""

# Old records end after 30 characters, a bracket or comma among them.
_CUT_AT = (26, 33)
_COMPASS = {f"{point}{ending}" for point in ("NORTH", "SOUTH", "EAST", "WEST") for ending in ("", "ERN")}
# A second fund of one sponsor and the joint venture of a firm are other firms, as another number says it.
_NUMERALS = {"II", "III", "IV", "VI", "VII", "VIII", "IX", "JV"}
# NORTH TEXAS and SOUTH TEXAS are two letters apart and two places: the words must be nearly equal too.
_NEARLY_ALL = 0.8
_TELLING = _COMPASS | _NUMERALS
# How nearly a word is its abbreviation or plural: that is known, other likeness is guessed.
_ONE_WORD = 0.95
_ZIP5, _BUILDING = LEVELS.index("zip5"), LEVELS.index("building")


@dataclass(frozen=True)
class NameSide:
    """One side of name pairs: distinct names as lists of words from a common pool.

    Parameters
    ----------
    core : list of str
        The names' texts.
    joined : uint64 array
        Their hashes, blanks left out.
    word_start : int64 array of length n + 1
    word : int64 array
        Numbers of words in the pool.
    """

    core: list[str]
    joined: Hashes
    word_start: Ints
    word: Ints


@dataclass(frozen=True)
class WordPool:
    """The words of both sides, each once.

    Parameters
    ----------
    text : list of str
    hash, plain : uint64 arrays
        Of the words and of the plain words they stand for.
    count : int64 array
        In how many of the recipients' names each is.
    names : int
        How many names the recipients bear.
    """

    text: list[str]
    hash: Hashes
    plain: Hashes
    count: Ints
    names: int


def measure_pairs(index: RecipientIndex, names: Names, pairs: Candidates) -> dict[str, Floats]:
    """Measure what speaks for and against each pair.

    Parameters
    ----------
    index : RecipientIndex
    names : Names
        The companies' names.
    pairs : Candidates of shape (n,)

    Returns
    -------
    dict of float64 arrays of shape (n,)
        One for each of `MEASURES`.
    """
    both = (pairs.query.astype(np.uint64) << np.uint64(32)) | pairs.name.astype(np.uint64)
    distinct, back = np.unique(both, return_inverse=True)
    query, left = np.unique((distinct >> np.uint64(32)).astype(np.int64), return_inverse=True)
    name, right = np.unique((distinct & np.uint64(0xFFFFFFFF)).astype(np.int64), return_inverse=True)
    ours, theirs, pool = _sides(index, names, query, name)
    measured = compare_names(ours, theirs, pool, left, right)
    result = {measure: values[back] for measure, values in measured.items()}
    ours_form, theirs_form = names.form[pairs.query], index["entry_form"][pairs.entry]
    both_known = (ours_form > 0) & (theirs_form > 0)
    result["form_agrees"] = (ours_form == theirs_form).astype(float)
    result["form_conflicts"] = (both_known & ~FORMS_MEET[ours_form, theirs_form]).astype(float)
    result["is_alias"] = (names.is_alias[pairs.query] | index["entry_alias"][pairs.entry]).astype(float)
    result["level"] = pairs.level.astype(float)
    result["neighbours"] = _count_neighbours(index, pairs)
    result["form_missing"] = ((ours_form > 0) != (theirs_form > 0)).astype(float)
    result["namesakes"] = index["name_namesakes"][pairs.name].astype(float)
    return result


def compare_names(
    ours: NameSide, theirs: NameSide, pool: WordPool, left: Ints, right: Ints
) -> dict[str, Floats]:
    """Compare core names pair by pair.

    Parameters
    ----------
    ours, theirs : NameSide
    pool : WordPool
        Where both sides' words are.
    left, right : int64 arrays of shape (n,)
        Which name of ours with which of theirs.

    Returns
    -------
    dict of float64 arrays of shape (n,)
        The measures of the names only.
    """
    words = _compare_words(ours, theirs, pool, left, right)
    ours_text = [text.replace(" ", "") for text in ours.core]
    theirs_text = [text.replace(" ", "") for text in theirs.core]
    ours_pairs = [ours_text[at] for at in left.tolist()]
    theirs_pairs = [theirs_text[at] for at in right.tolist()]
    letters = cpdist(ours_pairs, theirs_pairs, scorer=Indel.normalized_similarity, workers=-1)
    beginning = cpdist(ours_pairs, theirs_pairs, scorer=JaroWinkler.similarity, workers=-1)
    same = ours.joined[left] == theirs.joined[right]
    ours_bag = bag_hashes(pool.plain[ours.word], ours.word_start)[left]
    theirs_bag = bag_hashes(pool.plain[theirs.word], theirs.word_start)[right]
    ours_length, theirs_length = (
        np.array([len(text) for text in texts]) for texts in (ours_text, theirs_text)
    )
    shorter = np.minimum(ours_length[left], theirs_length[right])
    ours_whole, theirs_whole = (np.array([len(text) for text in side.core]) for side in (ours, theirs))
    cut = np.minimum(ours_whole[left], theirs_whole[right])
    same_words = ~same & (ours_bag == theirs_bag) & (ours_bag != 0)
    # FUND III isn't FUND II cut off.
    truncated = ~same & ~same_words & (words["number_conflict"] == 0)
    truncated &= (cut >= _CUT_AT[0]) & (cut <= _CUT_AT[1])
    long = np.flatnonzero(truncated)
    truncated[long] = [
        ours_pairs[at].startswith(theirs_pairs[at]) or theirs_pairs[at].startswith(ours_pairs[at])
        for at in long.tolist()
    ]
    edits = cpdist(ours_pairs, theirs_pairs, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8, workers=-1)
    is_near = ((edits == 1) & (shorter >= 5)) | ((edits == 2) & (shorter >= 9))
    has_numbers = (words["number_missing"] + words["number_conflict"]) > 0
    is_near &= ~same & ~same_words & ~truncated & ~has_numbers
    acronym = ~same & (_spells(ours, theirs, pool, left, right) | _spells(theirs, ours, pool, right, left))
    # What is the same without blanks has nothing unexplained, however the words are cut.
    everything = np.maximum(words["ours_total"], words["theirs_total"])
    shared = np.where(same, np.maximum(words["shared"], everything), words["shared"])
    alike = np.where(same, 0.0, words["alike"])
    less = np.where(same, 0.0, np.minimum(words["ours_left"], words["theirs_left"]))
    more = np.where(same, 0.0, np.maximum(words["ours_left"], words["theirs_left"]))
    guessed = np.where(same, 0.0, words["guessed"])
    known = shared + alike
    covered = known / np.maximum(known + (less + more) / 2, 1e-9)
    return {
        "same_name": same.astype(float),
        "same_words": same_words.astype(float),
        "shared_bits": shared,
        "alike_bits": alike,
        "guessed_bits": guessed,
        "surplus_bits": known - np.log2(pool.names + 1),
        "less_unexplained_bits": less,
        "more_unexplained_bits": more,
        "covered": covered,
        "rarest_count": words["rarest_count"],
        "near_name": (is_near & (covered >= _NEARLY_ALL)).astype(float),
        "letters": letters.astype(float),
        "beginning": beginning.astype(float),
        "first_word": words["first_word"],
        "number_missing": np.where(same, 0.0, words["number_missing"]),
        "number_conflict": np.where(same, 0.0, words["number_conflict"]),
        "acronym": acronym.astype(float),
        "truncated": truncated.astype(float),
    }


def _count_neighbours(index: RecipientIndex, pairs: Candidates) -> Floats:
    """Count the recipients in the recipient's building or ZIP code, where the company is too; else 0."""
    near = np.flatnonzero(pairs.level >= _ZIP5)
    near = near[index["place_zip5"][pairs.row[near]] > 0]
    row = pairs.row[near]
    zip5 = index["place_zip5"][row]
    number = np.where(pairs.level[near] == _BUILDING, index["place_number"][row], 0).astype(np.uint32)
    beyond = np.where(
        number > 0, place_key(zip5, number + np.uint32(1)), place_key(zip5 + np.uint32(1), number)
    )
    low, high = (
        np.searchsorted(index["place_key"], key, side="left") for key in (place_key(zip5, number), beyond)
    )
    count = np.zeros(len(pairs))
    count[near] = high - low
    return count


def _compare_words(
    ours: NameSide, theirs: NameSide, pool: WordPool, left: Ints, right: Ints
) -> dict[str, Floats]:
    ours_count, theirs_count = np.diff(ours.word_start)[left], np.diff(theirs.word_start)[right]
    ours_word = ours.word[expand(ours.word_start[left], ours_count)]
    theirs_word = theirs.word[expand(theirs.word_start[right], theirs_count)]
    ours_pair, theirs_pair = (
        np.repeat(np.arange(len(left)), ours_count),
        np.repeat(np.arange(len(left)), theirs_count),
    )
    ours_first, theirs_first = np.cumsum(ours_count) - ours_count, np.cumsum(theirs_count) - theirs_count
    # Every word of ours against every word of theirs, pair by pair.
    at_ours = np.repeat(np.arange(len(ours_word)), theirs_count[ours_pair])
    at_theirs = expand(theirs_first[ours_pair], theirs_count[ours_pair])
    is_same = ours_word[at_ours] == theirs_word[at_theirs]
    ours_shared, theirs_shared = np.zeros(len(ours_word), bool), np.zeros(len(theirs_word), bool)
    ours_shared[at_ours[is_same]] = True
    theirs_shared[at_theirs[is_same]] = True
    is_open = ~ours_shared[at_ours] & ~theirs_shared[at_theirs]
    at_ours, at_theirs = at_ours[is_open], at_theirs[is_open]
    likeness = _word_likeness(pool, ours_word[at_ours], theirs_word[at_theirs])
    ours_alike, theirs_alike = np.zeros(len(ours_word)), np.zeros(len(theirs_word))
    bits = word_bits(pool.count, pool.names)
    np.maximum.at(ours_alike, at_ours, likeness)
    np.maximum.at(theirs_alike, at_theirs, likeness)
    is_number = np.array([text in _TELLING or any(map(str.isdigit, text)) for text in pool.text], bool)

    def add(pair: Ints, values: Floats) -> Floats:
        return np.bincount(pair, values, minlength=len(left)).astype(float)

    ours_bits, theirs_bits = bits[ours_word], bits[theirs_word]

    def of_both(ours: Floats, theirs: Floats) -> Floats:
        return (add(ours_pair, ours_bits * ours) + add(theirs_pair, theirs_bits * theirs)) / 2

    ours_lone = add(ours_pair, (is_number[ours_word] & ~ours_shared).astype(float)) > 0
    theirs_lone = add(theirs_pair, (is_number[theirs_word] & ~theirs_shared).astype(float)) > 0
    rarest = np.full(len(left), float(pool.names))
    known = ours_shared | (ours_alike > 0)
    np.minimum.at(rarest, ours_pair[known], np.maximum(pool.count[ours_word[known]], 1).astype(float))
    known = theirs_shared | (theirs_alike > 0)
    np.minimum.at(rarest, theirs_pair[known], np.maximum(pool.count[theirs_word[known]], 1).astype(float))
    first = np.zeros(len(left))
    has_both = (ours_count > 0) & (theirs_count > 0)
    ours_head = ours_word[ours_first[has_both]]
    theirs_head = theirs_word[theirs_first[has_both]]
    first[has_both] = np.where(ours_head == theirs_head, 1.0, _word_likeness(pool, ours_head, theirs_head))
    return {
        "shared": of_both(ours_shared, theirs_shared),
        "alike": of_both(ours_alike, theirs_alike),
        "guessed": of_both(ours_alike * (ours_alike < _ONE_WORD), theirs_alike * (theirs_alike < _ONE_WORD)),
        "ours_left": add(ours_pair, ours_bits * (1 - np.maximum(ours_shared, ours_alike))),
        "theirs_left": add(theirs_pair, theirs_bits * (1 - np.maximum(theirs_shared, theirs_alike))),
        "ours_total": add(ours_pair, ours_bits),
        "theirs_total": add(theirs_pair, theirs_bits),
        "rarest_count": rarest,
        "first_word": first,
        "number_missing": (ours_lone ^ theirs_lone).astype(float),
        "number_conflict": (ours_lone & theirs_lone).astype(float),
    }


def _word_likeness(pool: WordPool, left: Ints, right: Ints) -> Floats:
    """Say how nearly two different words are one, 0 to 1; each distinct pair of words is compared once."""
    low, high = np.minimum(left, right).astype(np.uint64), np.maximum(left, right).astype(np.uint64)
    distinct, back = np.unique((low << np.uint64(32)) | high, return_inverse=True)
    first, second = (
        (distinct >> np.uint64(32)).astype(np.int64),
        (distinct & np.uint64(0xFFFFFFFF)).astype(np.int64),
    )
    initial = np.array([ord(text[0]) for text in pool.text] or [0])
    worth = np.flatnonzero((initial[first] == initial[second]) & (first != second))
    first_text = [pool.text[at] for at in first[worth].tolist()]
    second_text = [pool.text[at] for at in second[worth].tolist()]
    edits = cpdist(first_text, second_text, scorer=OSA.distance, dtype=np.uint8, workers=-1).tolist()
    likeness = np.zeros(len(distinct))
    likeness[worth] = [_likeness(*three) for three in zip(first_text, second_text, edits, strict=True)]
    return likeness[back]


def _likeness(one: str, other: str, edits: int) -> float:
    short, long = sorted((one, other), key=len)
    if {one, other} <= _TELLING or any(map(str.isdigit, one + other)):
        return 0.0
    if ABBREVIATIONS.get(short, short) == ABBREVIATIONS.get(long, long) or long in (
        short + "S",
        short + "ES",
    ):
        return _ONE_WORD
    if len(short) >= 3 and long.startswith(short):
        return 0.8 if len(short) >= 4 else 0.6
    if edits == 1 and len(short) >= 4:
        return 0.85
    if edits == 2 and len(short) >= 7:
        return 0.7
    common = next(
        (place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short)
    )
    return 0.7 if common >= 5 and common >= 0.6 * len(long) else 0.0


def _spells(ours: NameSide, theirs: NameSide, pool: WordPool, left: Ints, right: Ints) -> Flags:
    """Tell whether ours is one word of two to six letters that the initials of theirs spell."""
    is_stop = is_stop_word(pool.hash)
    initial = letter_codes(np.array([ord(text[0]) for text in pool.text] or [0], np.uint8))
    count = np.diff(theirs.word_start)
    owner = np.repeat(np.arange(len(count)), count)
    results = []
    for is_counted in (~is_stop[theirs.word], np.ones(len(theirs.word), bool)):
        nth = np.cumsum(is_counted) - is_counted
        first = np.append(nth, 0)[theirs.word_start[:-1]]
        place = np.minimum(nth - first[owner], 30)
        spelled = np.zeros(len(count), np.uint64)
        np.add.at(spelled, owner[is_counted], (initial[theirs.word] * powers(32)[place])[is_counted])
        counted = np.bincount(owner[is_counted], minlength=len(count))
        spelled[(counted < 2) | (counted > 6)] = 0
        results.append((spelled[right] == ours.joined[left]) & (spelled[right] != 0))
    is_spelled: Flags = (results[0] | results[1]) & (np.diff(ours.word_start)[left] == 1)
    return is_spelled


def _sides(
    index: RecipientIndex, names: Names, query: Ints, name: Ints
) -> tuple[NameSide, NameSide, WordPool]:
    ours_count = np.diff(names.word_start)[query]
    at = expand(names.word_start[query], ours_count)
    core = names.core.take(pa.array(query))
    ours_hash, ours_plain = names.word_hash[at], names.word_plain[at]
    theirs_first = index["name_words"][name].astype(np.int64)
    theirs_count = index["name_words"][name + 1] - theirs_first
    code = index["word_of_name"][expand(theirs_first, theirs_count)]
    theirs_hash = index["word_hash"][code]
    words = pc.split_pattern(core, " ").flatten()
    pool_hash, first, back = np.unique(
        np.concatenate([theirs_hash, ours_hash]), return_index=True, return_inverse=True
    )
    plain = np.concatenate([index["word_plain"][code], ours_plain])[first]
    known = first < len(theirs_hash)
    # Looked up for every word, also those that no candidate in sight has: how common a word is doesn't depend
    # on which companies are matched together.
    place = find_sorted(index["word_hash"], pool_hash)
    count = np.where(place >= 0, np.append(index["word_count"], 0)[place], 0).astype(np.int64)
    text = np.empty(len(pool_hash), object)
    text[known] = index.words(code[first[known]].astype(np.int64))
    text[~known] = words.take(pa.array(first[~known] - len(theirs_hash))).to_pylist()
    return (
        NameSide(core.to_pylist(), names.joined[query], _starts(ours_count), back[len(theirs_hash) :]),
        NameSide(
            index.core_names(name),
            index["name_joined"][name],
            _starts(theirs_count),
            back[: len(theirs_hash)],
        ),
        WordPool(text.tolist(), pool_hash, plain, count, index.names),
    )


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _meeting_forms() -> Flags:
    """Tell which forms are filed for one another: CO and LTD with any, INC with CORP."""
    meets = np.eye(len(FORMS), dtype=bool)
    loose = [FORMS.index(form) for form in ("none", "CO", "LTD")]
    meets[loose, :] = True
    meets[:, loose] = True
    inc, corp = FORMS.index("INC"), FORMS.index("CORP")
    meets[inc, corp] = meets[corp, inc] = True
    return meets


FORMS_MEET = _meeting_forms()
"""Which legal forms are filed for one another, as a square of `names.FORMS`."""
