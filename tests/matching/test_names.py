"""Names in a form in which two spellings of one name look alike."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.names import FORMS, normalise_names, read_names

LETTERS = st.sampled_from("ABCxyz 0123.,'&()-/\u00e9\u2019THE IN LLC dba") | st.characters(codec="utf-8")
NAMES = st.lists(st.text(LETTERS, max_size=30), max_size=8)


def read_one(text: str) -> list[tuple[str, str]]:
    """Read the core names and forms of one text."""
    read = read_names(pa.array([text], pa.string()))
    return list(zip(read.core.to_pylist(), [FORMS[code] for code in read.form], strict=True))


@given(NAMES)
def test_normalising_twice_changes_nothing(names: list[str]) -> None:
    """A normalised name is its own normal form, and has nothing but capitals, digits and single blanks."""
    once = normalise_names(pa.array(names, pa.string()))
    assert normalise_names(once) == once
    for name in once.to_pylist():
        assert all(
            letter.isascii() and (letter.isupper() or letter.isdigit() or letter == " ") for letter in name
        )
        assert name == " ".join(name.split())


@given(NAMES)
def test_a_name_is_read_the_same_in_any_company(names: list[str]) -> None:
    """What is read from a text doesn't depend on the others; what has a letter has a name."""
    together = read_names(pa.array(names, pa.string()))
    apart = [read_one(name) for name in names]
    cores = list(zip(together.core.to_pylist(), [FORMS[code] for code in together.form], strict=True))
    assert cores == [pair for pairs in apart for pair in pairs]
    for name, pairs in zip(names, apart, strict=True):
        assert bool(pairs) == bool(normalise_names(pa.array([name]))[0].as_py())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Creare L.L.C.", [("CREARE", "LLC")]),
        ("Creare Limited Liability Company", [("CREARE", "LLC")]),
        ("The Company", [("COMPANY", "none")]),
        ("Inc.", [("INC", "none")]),
        ("Smith & Sons Co., Inc.", [("SMITH AND SONS", "INC")]),
        ("A. B. C. Corp", [("ABC", "CORP")]),
        ("Old Co dba New Tech Inc", [("OLD", "CO"), ("NEW TECH", "INC")]),
        ("Foo d/b/a Bar", [("FOO", "none"), ("BAR", "none")]),
        ("Foo (formerly Bar LLC)", [("FOO", "none"), ("BAR", "LLC"), ("FOO", "none")]),
        ("DBA", [("DBA", "none")]),
        ("  ", []),
        ("O\u2019Neil Stra\u00dfe", [("ONEIL STRASSE", "none")]),
    ],
)
def test_forms_and_further_names_are_split_off(text: str, expected: list[tuple[str, str]]) -> None:
    """The legal form is kept apart, never leaves nothing, and names after DBA or in brackets count."""
    assert read_one(text) == expected


def test_blanks_within_a_name_do_not_matter() -> None:
    """A name written as one word or as two has one joined hash; another name has another."""
    read = read_names(pa.array(["Nano Tech Inc", "NANOTECH", "Nanotek"]))
    assert read.joined[0] == read.joined[1] != read.joined[2]
