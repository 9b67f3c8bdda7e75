"""States and ZIP codes."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.sources import normalise_state, normalise_zip5
from sbir_toolkit.sources.places import STATES


def test_every_state_and_territory() -> None:
    """50 states, the District, 5 territories and 3 freely associated states, by name and by code."""
    assert len(STATES) == len(set(STATES.values())) == 59
    names = pa.array([name.title() for name in STATES])
    codes = pa.array([code.lower() for code in STATES.values()])
    assert normalise_state(names).to_pylist() == normalise_state(codes).to_pylist() == list(STATES.values())


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Washington, D.C.", "DC"),
        ("U.S. Virgin Islands", "VI"),
        ("N.Y.", "NY"),
        ("NE-6", "NE-6"),
        (" Surrey ", "Surrey"),
    ],
)
def test_other_spellings_and_other_places(text: str, state: str) -> None:
    """Other names of states are known; other places are kept."""
    assert normalise_state(pa.array([text])).to_pylist() == [state]


@pytest.mark.parametrize(
    ("text", "zip5"),
    [
        ("02139", "02139"),
        ("02139-4307", "02139"),
        ("021394307", "02139"),
        ("12345-", "12345"),
        ("12345-abcde", "12345"),
        ("02139 4307", "02139"),
        ("2139", "02139"),
        ("901.0", "00901"),
        ("21394307", "02139"),
        ("-", None),
        ("00000", None),
        ("123456", None),
        ("EC1A 1BB", None),
        ("", None),
    ],
)
def test_zip_is_five_digits_or_null(text: str, zip5: str | None) -> None:
    """What is a ZIP code gives five digits; what isn't gives null."""
    assert normalise_zip5(pa.array([text])).to_pylist() == [zip5]


@given(st.lists(st.one_of(st.none(), st.text(max_size=12), st.from_regex(r"[0-9-]{3,10}", fullmatch=True))))
def test_normalising_twice_changes_nothing(texts: list[str | None]) -> None:
    """Both normalisers are idempotent."""
    for normalise in (normalise_state, normalise_zip5):
        once = normalise(pa.array(texts, pa.string()))
        assert normalise(once).equals(once)
