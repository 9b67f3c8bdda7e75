"""Values as they are filed."""

from __future__ import annotations

import datetime
import html
import html.entities
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.sources import values
from sbir_toolkit.sources.formats import NULL_TOKENS


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        *(
            (token, None)
            for token in ("", " ", "N/A", "na", "NONE", "Null", "nan", "#N/A", "tbd", "-", "() -")
        ),
        *((" Not Available ", None), ("&nbsp;", None), ("\\N", None)),
        *(("Nancy Null", "Nancy Null"), ("NAB", "NAB"), ("\u00a0é ", "é"), ("AT&T; Co", "AT&T; Co")),
        *(("A &amp; B", "A & B"), ("A &amp;amp; B", "A & B"), ("O&#039;Neil", "O'Neil"), ("&#x41;", "A")),
        *(("&notanentity;", "&notanentity;"), ("a_x000D_\nb", "a\nb")),
    ],
)
def test_clean_text(text: str, clean: str | None) -> None:
    """Blanks around are trimmed, entities decoded, and what stands for nothing is null."""
    column = pa.array(["before", text, None, "after"]).slice(1, 3)
    assert values.clean_text(column)[0].to_pylist() == [clean, None, "after"]


FILED = st.one_of(
    st.none(), st.text(), st.text(alphabet=" &#;amp38N/xA_0D"), st.sampled_from(["N/A", " tbd", "\u00a0", ""])
)


@given(st.lists(FILED), st.integers(0, 3))
def test_cleaning_is_trimming_decoding_and_dropping(texts: list[str | None], first: int) -> None:
    """A column, whole or part of a longer one, is cleaned as Python would clean each text."""

    def decode(found: re.Match[str]) -> str:
        is_known = found[1].startswith("#") or f"{found[1]};" in html.entities.html5
        return html.unescape(found[0]) if is_known else found[0]

    def clean(text: str | None) -> str | None:
        plain, other = "", text and text.replace("_x000D_", "")
        while other is not None and other != plain:
            plain, other = other, re.sub(r"&(#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z]\w{1,31});", decode, other)
        return None if other is None or other.strip().lower() in NULL_TOKENS else other.strip()

    column = pa.array(texts, pa.string())[first:]
    assert values.clean_text(column)[0].to_pylist() == [clean(text) for text in texts[first:]]


@given(st.lists(FILED))
def test_cleaning_is_the_same_alone_and_together(texts: list[str | None]) -> None:
    """A text's cleaning doesn't depend on its neighbours."""
    together = values.clean_text(pa.array(texts, pa.string()))[0].to_pylist()
    assert together == [values.clean_text(pa.array([text], pa.string()))[0].to_pylist()[0] for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2017-07-03",
            "07/03/2017",
            "07-03-2017",
            "7/3/2017",
            "July 3, 2017",
            "Jul 03, 2017",
            "jul. 3 2017",
        ),
        *("2017-07-03 00:00:00", "2017-07-03T12:30:00.123Z", "2017-07-03 16:44:15+00"),
    ],
)
def test_dates_in_use(text: str) -> None:
    """The shapes of dates that occur all read as the same day."""
    assert values.read_dates(pa.array([text])).to_pylist() == [datetime.date(2017, 7, 3)]


@pytest.mark.parametrize(
    "text", ["31/12/2017", "2017-02-29", "07/03-2017", "0017-07-03", "Juli 3, 2017", "2017", "x"]
)
def test_other_dates_are_null(text: str) -> None:
    """The day is never taken for the month, and nothing is guessed."""
    assert values.read_dates(pa.array([text])).to_pylist() == [None]


@given(
    st.lists(
        st.one_of(
            st.dates().map(str),
            st.from_regex(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", fullmatch=True),
            st.from_regex(r"[0-9]{0,3}[.,]?[0-9]{0,3}([.e][0-9])?", fullmatch=True),
        )
    ),
    st.sampled_from([values.read_dates, values.read_amounts, values.read_counts]),
)
def test_a_value_is_read_the_same_in_any_company(
    texts: list[str], read: Callable[[pa.Array], pa.Array]
) -> None:
    """A column that is all plain, read at once, gives what each text gives beside one that isn't."""
    beside = [read(pa.array([text, "July 3, 2017"])).to_pylist()[0] for text in texts]
    assert read(pa.array(texts, pa.string())).to_pylist() == beside


@pytest.mark.parametrize(
    ("text", "usd"),
    [
        *(
            ("150000.0000", 150_000.0),
            ("$1,000,000", 1_000_000.0),
            (" 5 000 ", 5_000.0),
            ("'7'", 7.0),
            ("0", 0.0),
        ),
        *(
            (".5", 0.5),
            ("1.5E+05", 150_000.0),
            ("-12.5", -12.5),
            ("(5)", None),
            ("1e999", None),
            ("1.2.3", None),
        ),
        *(("inf", None), ("٣", None), ("$", None)),
    ],
)
def test_amounts(text: str, usd: float | None) -> None:
    """Amounts lose their ornaments; what is no number is null."""
    assert values.read_amounts(pa.array([text])).to_pylist() == [usd]


def test_years_flags_and_counts() -> None:
    """Years lie in 1970..2100, flags are yes, no or unknown, counts aren't negative."""
    years = pa.array(["2016", "2016.0", "2016.5", "1969", "2101", "16", None])
    assert values.read_years(years).to_pylist() == [2016, 2016, None, None, None, None, None]
    flags = pa.array(["Y", "no", "U", "Unavailable", "?", None])
    assert values.read_flags(flags).to_pylist() == [True, False, None, None, None, None]
    assert values.is_unknown_flag(flags).to_pylist() == [False, False, False, False, True, None]
    assert values.read_counts(pa.array(["34.0", "1,200", "-1", "many"])).to_pylist() == [
        34.0,
        1_200.0,
        None,
        None,
    ]


def test_a_part_of_a_column_is_cleaned_like_a_whole_one() -> None:
    """What is made of a slice can be read on, as if the values had stood alone."""
    filed = pa.array(["3khT9", "", "", "7FVL5", "", "8abc1"] * 2)
    for first in range(10):
        clean, _ = values.clean_text(filed.slice(first, 2))
        alone, _ = values.clean_text(pa.array(filed.slice(first, 2).to_pylist()))
        assert pc.ascii_upper(clean).to_pylist() == pc.ascii_upper(alone).to_pylist()
