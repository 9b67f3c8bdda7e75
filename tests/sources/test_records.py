"""Cutting a file into records, regular and damaged."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.sources.records import Block, RecordReader


@dataclass
class Cut:
    """All records of a text: row, line and content of the good ones and of the odd ones, and the repairs."""

    good: list[tuple[int, int, str]]
    odd: list[tuple[int, int, str]]
    repaired: dict[str, int]


def cut(content: bytes, fields: int = 3, block_bytes: int = 1 << 20, max_rows: int = 1_000) -> Cut:
    """Cut a text and put all blocks together."""
    reader = RecordReader(io.BytesIO(content), fields=fields, block_bytes=block_bytes, max_rows=max_rows)
    blocks: list[Block] = list(reader)
    return Cut(
        [
            (int(block.rows[i]), int(block.lines[i]), block.raw(i))
            for block in blocks
            for i in range(len(block.rows))
        ],
        [(odd.row, odd.line, odd.raw.decode("latin-1")) for block in blocks for odd in block.odd],
        {
            kind: n
            for kind in sorted({k for b in blocks for k in b.repaired})
            if (n := sum(b.repaired[kind] for b in blocks))
        },
    )


def test_line_breaks_in_quotes_do_not_end_a_record() -> None:
    """Rows count records, lines count line breaks, blank lines are no records."""
    result = cut(b'a,"b\nb",c\r\n\r\nd,"e ""x""",f\n\n"g",h,i')
    assert result.good == [(1, 1, 'a,"b\nb",c'), (2, 4, 'd,"e ""x""",f'), (3, 6, '"g",h,i')]
    assert result.repaired == {"blank_line": 2}
    assert not result.odd


def test_stray_quote_is_mended() -> None:
    """A quote inside a bare or a quoted field is taken for a character where the fields then fit."""
    result = cut(b'a,5" pipe,c\nd,"e "x" e",f\n"g" ,h,i\na,"b,c\nj,k,l\n')
    assert [text for _, _, text in result.good] == [
        'a,"5"" pipe",c',
        'd,"e ""x"" e",f',
        "g,h,i",
        'a,"""b",c',
        "j,k,l",
    ]
    assert result.repaired == {"stray_quote": 4}


def test_stray_quote_over_two_lines_is_mended() -> None:
    """A damaged record is followed over its lines when that gives the right number of fields."""
    result = cut(b'a,"b "x" y\nb, c",d\ne,f,g\n')
    assert result.good == [(1, 1, 'a,"b ""x"" y\nb, c",d'), (2, 3, "e,f,g")]


def test_unclosed_quote_costs_one_record() -> None:
    """A quote that is never closed sets one line aside, and the records behind it are kept."""
    result = cut(b'a,b,c\nd,"e\nf,g,h\ni,"j",k\nl,m,n\n')
    assert result.odd == [(2, 2, 'd,"e')]
    assert [row for row, _, _ in result.good] == [1, 3, 4, 5]


def test_bytes_that_are_not_text_are_mended() -> None:
    """Windows-1252 bytes are decoded, NULs dropped, a lone carriage return kept inside its field."""
    result = cut(b"Caf\xe9 \xc3\xa9,b,c\nd\0,e,f\n\0\0\n\x93g\x94,h\ri,j\n")
    assert [text for _, _, text in result.good] == ["Café é,b,c", "d,e,f", '“g”,"h\ri",j']
    assert result.repaired == {"blank_line": 1, "carriage_return": 1, "not_utf8": 2, "nul_byte": 2}


FIELD = st.text(alphabet='ab,"\n\ré ', max_size=6)


@settings(max_examples=60)
@given(
    st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 30),
    st.integers(1, 4),
)
def test_regular_records_survive_any_cut(
    rows: list[list[str]], line_end: str, block_bytes: int, max_rows: int
) -> None:
    """What a CSV writer wrote comes back record by record, wherever the blocks are cut."""
    file = io.StringIO(newline="")
    quoting = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL
    csv.writer(file, lineterminator=line_end, quoting=quoting).writerows(rows)
    result = cut(file.getvalue().encode(), block_bytes=block_bytes, max_rows=max_rows)
    assert [next(csv.reader(io.StringIO(text, newline=""))) for _, _, text in result.good] == rows
    assert [row for row, _, _ in result.good] == list(range(1, len(rows) + 1))
    assert not result.odd
    assert not result.repaired


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xe9", b'","', b'"\n'])),
    st.integers(1, 9),
)
def test_any_bytes_are_cut_the_same_way_in_any_blocks(parts: list[bytes], block_bytes: int) -> None:
    """Damaged or not, the records don't depend on the blocks, and each has its own ordinal."""
    content = b"".join(parts)
    whole = cut(content)
    assert whole == cut(content, block_bytes=block_bytes, max_rows=2)
    ordinals = sorted(row for row, _, _ in [*whole.good, *whole.odd])
    assert ordinals == list(range(1, len(ordinals) + 1))


def test_unclosed_quote_before_much_text_costs_one_record() -> None:
    """A quote that is never closed is given up after a mebibyte, and nothing behind it is lost."""
    result = cut(b'a,b,c\nd,"e,f,g\n' + b"h,i,j\n" * 200_000, block_bytes=1 << 18, max_rows=100_000)
    assert result.odd == [(2, 2, 'd,"e,f,g')]
    assert len(result.good) == 200_001
    assert result.good[-1] == (200_002, 200_002, "h,i,j")


def test_record_longer_than_a_mebibyte_is_set_aside() -> None:
    """A line without end doesn't fill the memory; its beginning is set aside, and what follows is kept."""
    content = b"a,b," + b"x" * 3_000_000 + b',y,z\nd,e,f\n"'
    results = [cut(content, block_bytes=size) for size in (1 << 18, 1 << 19, 1 << 23)]
    assert results[0] == results[1] == results[2]
    assert results[0].good == [(2, 2, "d,e,f")]
    assert [(row, line, len(text)) for row, line, text in results[0].odd] == [(1, 1, 1 << 20), (3, 3, 1)]


def test_mending_never_cuts_a_field() -> None:
    """A damaged record that goes on further than mending does is set aside with all its lines."""
    content = b'a,"b "x" y\nz",' + b"c" * 70_000 + b"\nd,e,f\n"
    result = cut(content)
    assert result.good == [(3, 3, "d,e,f")]
    assert sum(len(text) for _, _, text in result.odd) == len(content) - len("\n\nd,e,f\n")
