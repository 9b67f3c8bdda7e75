"""What speaks for and against two names being one firm's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.evidence import NameSide, WordPool, compare_names
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.texts import Floats, Ints

WORDS = [
    "QUORUM",
    "LASER",
    "LABS",
    "LABORATORIES",
    "VEXIL",
    "VEXILL",
    "OPTICS",
    "OPTIX",
    "9",
    "12",
    "OF",
    "AND",
    "A",
    "B",
    "QL",
    "TECH",
    "TECHNOLOGIES",
]
NAME = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)


def compare(one: str, other: str) -> dict[str, Floats]:
    """Compare two names among 1,000 in which each word is in ten."""
    sides: list[NameSide] = []
    read = [read_names(pa.array([name])) for name in (one, other)]
    hashes, plain = (
        np.concatenate([getattr(names, part) for names in read]) for part in ("word_hash", "word_plain")
    )
    texts = [word for names in read for word in names.core[0].as_py().split()]
    pool_hash, first, back = np.unique(hashes, return_index=True, return_inverse=True)
    cut = len(read[0].word_hash)
    for names, word in zip(read, (back[:cut], back[cut:]), strict=True):
        sides.append(NameSide(names.core.to_pylist(), names.joined, names.word_start, word.astype(np.int64)))
    pool = WordPool([texts[at] for at in first], pool_hash, plain[first], np.full(len(first), 10), 1_000)
    it: Ints = np.zeros(1, np.int64)
    return compare_names(sides[0], sides[1], pool, it, it)


@given(NAME, NAME)
def test_evidence_has_no_direction(one: str, other: str) -> None:
    """One name resembles another as the other resembles the one."""
    there, back = compare(one, other), compare(other, one)
    for measure, values in there.items():
        assert values == pytest.approx(back[measure]), measure


@given(NAME)
def test_a_name_is_itself(name: str) -> None:
    """Nothing about a name is unexplained by the name itself."""
    measured = compare(name, name)
    assert measured["same_name"] == measured["covered"] == measured["letters"] == 1
    assert measured["more_unexplained_bits"] == measured["number_conflict"] == 0


@pytest.mark.parametrize(
    ("one", "other", "measure", "expected"),
    [
        ("QUORUM LASER TECH", "QUORUM LASER TECHNOLOGIES", "same_words", 1),
        ("LASER QUORUM", "QUORUM LASER", "same_words", 1),
        ("QUORUM OPTICS", "QUORUM LASER", "same_words", 0),
        ("QL", "QUORUM LASER", "acronym", 1),
        ("QLT", "QUORUM AND LASER TECHNOLOGIES", "acronym", 1),
        ("QX", "QUORUM LASER", "acronym", 0),
        ("QUORUM 9", "QUORUM 12", "number_conflict", 1),
        ("QUORUM 9", "QUORUM", "number_missing", 1),
        ("QUORUM 9", "QUORUM 9 LASER", "number_missing", 0),
        ("ADVANCED QUORUM LASER INSTRUM", "ADVANCED QUORUM LASER INSTRUMENTATION", "truncated", 1),
        ("QUORUM", "QUORUM LASER", "truncated", 0),
    ],
)
def test_each_phenomenon_is_seen(one: str, other: str, measure: str, expected: float) -> None:
    """What sets two spellings apart is recognised for what it is."""
    assert compare(one, other)[measure][0] == expected


def test_what_is_guessed_of_words_is_told_apart() -> None:
    """An abbreviation is known to be its word; a letter off is a guess, less sure than the word itself."""
    known, guessed = compare("QUORUM LABS", "QUORUM LABORATORIES"), compare("VEXIL LASER", "VEXILL LASER")
    assert known["guessed_bits"] == 0 < known["alike_bits"]
    assert guessed["guessed_bits"] == guessed["alike_bits"] < known["alike_bits"]
