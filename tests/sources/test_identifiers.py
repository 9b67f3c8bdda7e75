"""Identifiers: the official test values, and what real files do to them."""

from __future__ import annotations

import re

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.sources import normalise_cage, normalise_contract, normalise_duns, normalise_uei

VALID_UEIS = ["N4YFFGL4CDX5", "VN1AJFAD19J9", "DC2LX4S1GGF3", "C111ATT311C8", "K4NPA3JSZ7V8"]
NORMALISERS = [normalise_uei, normalise_duns, normalise_cage, normalise_contract]


@pytest.mark.parametrize("uei", VALID_UEIS)
def test_published_ueis_are_valid(uei: str) -> None:
    """Real UEIs pass, in any case and with blanks around them."""
    assert normalise_uei(pa.array([uei, f" {uei.lower()} "])).to_pylist() == [uei, uei]


@pytest.mark.parametrize(
    "text",
    [
        *("", "N4YFFGL4CDX6", "N4YFFGL4CDX", "N4YFFGL4CDXA", "ABC123DEF456", "0YFFGL4CDX54", "O4YFFGL4CDX5"),
        *("I4YFFGL4CDX5", "N4YFFGL4CDÉ", "N4YFFGL4CD 5"),
    ],
)
def test_what_is_no_uei_becomes_null(text: str) -> None:
    """Wrong length, letters, check digit: null."""
    assert normalise_uei(pa.array([text, VALID_UEIS[0]])).to_pylist() == [None, VALID_UEIS[0]]


@pytest.mark.parametrize("uei", VALID_UEIS)
def test_check_digit_is_the_only_one_that_fits(uei: str) -> None:
    """Of the ten last digits one is right."""
    tens = pa.array([uei[:-1] + str(digit) for digit in range(10)])
    assert [text for text in normalise_uei(tens).to_pylist() if text] == [uei]


UEI_LIKE = st.one_of(
    st.from_regex(r"[1-9A-HJ-NP-Z][0-9A-HJ-NP-Z]{10}", fullmatch=True),
    st.from_regex(r"[A-Z]{0,3}[0-9]{9}[A-Z]{3}", fullmatch=True).map(lambda text: text[:11]),
    st.text(alphabet="0123456789ABIO*\u00e9", min_size=11, max_size=11),
)


@settings(max_examples=60)
@given(st.lists(UEI_LIKE, max_size=20))
def test_ueis_follow_the_published_rule(beginnings: list[str]) -> None:
    """A column is judged as the rule, written out for one text, judges each."""

    def is_uei(text: str) -> bool:
        total = sum(ord(character) * at % 10 for at, character in enumerate(text[:-1], start=1))
        while total > 9:
            total = sum(int(digit) * at % 10 for at, digit in enumerate(str(total), start=1))
        is_formed = re.fullmatch(r"[1-9A-HJ-NP-Z][0-9A-HJ-NP-Z]{10}[0-9]", text)
        is_taken = re.search(r"[0-9]{9}", text) or re.match(r"[0-9]...[0-9]", text)
        return bool(is_formed and not is_taken and text[-1] == str(total))

    texts = [beginning + str(digit) for beginning in beginnings for digit in range(10)]
    assert normalise_uei(pa.array(texts, pa.string())).to_pylist() == [
        text if is_uei(text) else None for text in texts
    ]


def test_no_uei_looks_like_a_number_or_a_cage_code() -> None:
    """Nine digits in a row and a beginning like a CAGE code are never given out, whatever the check digit."""
    digits = [f"A123456789B{digit}" for digit in range(10)]
    cages = [f"1ABC2DEFGHJ{digit}" for digit in range(10)]
    assert normalise_uei(pa.array(digits + cages)).null_count == 20


@pytest.mark.parametrize(
    ("text", "duns"),
    [
        ("859244204", "859244204"),
        ("859244204.0", "859244204"),
        ("15-048-3782", "150483782"),
        ("'079179794'", "079179794"),
        ("'79-179794'", "079179794"),
        ("0791797940000", "079179794"),
        ("79179794", "079179794"),
        ("12345", "000012345"),
        ("1234", None),
        ("0000000000", None),
        ("000000000", None),
        ("00000", None),
        ("999999999", None),
        ("123456789", None),
        ("85924420X", None),
        ("٨٥٩٢٤٤٢٠٤", None),
        ("", None),
    ],
)
def test_duns_is_mended_or_null(text: str, duns: str | None) -> None:
    """A damaged DUNS is mended where there's one way to, and junk becomes null."""
    assert normalise_duns(pa.array([text])).to_pylist() == [duns]


def test_cage_and_contract() -> None:
    """CAGE codes have five characters; contract numbers lose their punctuation."""
    assert normalise_cage(pa.array(["u01k0", "3KHT", "3KHT99", "3K-T9"])).to_pylist() == [
        "U01K0",
        None,
        None,
        None,
    ]
    contracts = pa.array(["W56KGU-18-C-0009", "NAS 96-1", "--", None])
    assert normalise_contract(contracts).to_pylist() == ["W56KGU18C0009", "NAS961", None, None]


@pytest.mark.parametrize("normalise", NORMALISERS)
def test_series_in_series_out(normalise) -> None:
    """A Series comes back as a Series with its index and name, and the same values as an array."""
    texts = ["N4YFFGL4CDX5", "859244204", None, "3KHT9"]
    series = pd.Series(texts, index=[7, 8, 9, 10], name="x", dtype="str")
    result = normalise(series)
    assert (list(result.index), result.name, str(result.dtype)) == ([7, 8, 9, 10], "x", "str")
    assert [None if pd.isna(text) else text for text in result] == normalise(pa.array(texts)).to_pylist()


@settings(max_examples=40)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=14), st.from_regex(r"[0-9A-Z.' -]{4,13}", fullmatch=True)))
)
def test_normalising_twice_changes_nothing(texts: list[str | None]) -> None:
    """Each normaliser is idempotent and gives null or its own form."""
    for normalise in NORMALISERS:
        once = normalise(pa.array(texts, pa.string()))
        assert normalise(once).equals(once)
        assert len(once) == len(texts)
