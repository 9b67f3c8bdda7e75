"""Files that aren't what they should be: an error in plain words, or a repair that is stated."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbir_toolkit.errors import InputError, ToolkitError
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import load_awards, load_recipients, read_awards

HEADER = b"Company,Agency,Award Year\n"
Write = Callable[..., Path]


def test_gzip_is_read_under_any_name(write_file: Write) -> None:
    """A compressed file gives the same as the plain one."""
    content = HEADER + b"A,B,2016\n"
    plain, _ = read_awards(write_file(content))
    packed, _ = read_awards(write_file(gzip.compress(content), "award_data.csv.gz"))
    assert packed.equals(plain)


def test_file_put_together_from_two(write_file: Write, tmp_path: Path) -> None:
    """A header in the middle is rejected as such, not taken for a company."""
    loaded = load_awards(write_file((HEADER + b"A,B,2016\n") * 2), tmp_path / "out", Limits())
    assert (loaded.rows, loaded.rejected) == (2, {"the record repeats the header": 1})


def test_damage_is_stated(write_file: Write, tmp_path: Path) -> None:
    """Every damaged record is either mended and counted or rejected with its text."""
    content = HEADER + b'Caf\xe9,B,2016\nA\0,B,2016\n\nA "x" B,B,2016\n"A,B\nC,"D",2016\n'
    loaded = load_awards(write_file(content), tmp_path / "out", Limits())
    assert loaded.repaired == {"blank_line": 1, "not_utf8": 1, "nul_byte": 1, "stray_quote": 1}
    assert loaded.rejected == {"a quote is not closed or not doubled": 1}
    rejects = pq.read_table(loaded.paths["award_rejects"]).to_pylist()
    assert [(bad["source_row"], bad["source_line"], bad["raw"]) for bad in rejects] == [(4, 6, '"A,B')]
    companies = pq.read_table(loaded.paths["awards"])["company"].to_pylist()
    assert companies == ["Café", "A", 'A "x" B', "C"]


def test_report_says_everything(write_file: Write, tmp_path: Path) -> None:
    """The result shows its counts as text and as HTML."""
    loaded = load_recipients(write_file("name,<b>\nA,1\n,2\n"), tmp_path / "out", Limits())
    assert "rejected: blank name" in repr(loaded)
    assert "2" in repr(loaded).splitlines()[1]
    shown = loaded._repr_html_()
    assert shown.startswith("<table>")
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def test_outcomes_come_with_examples(write_file: Write, tmp_path: Path) -> None:
    """Kind by kind it is said what became of the records, with the first reject or unreadable value."""
    header = b"Company,Agency,Award Year,UEI\n"
    content = header + b"A\0,B,2016,\n,B,2016,\n,C,2017,\nA,B,x,\nA,B,2016,N4YFFGL4CDX6\n"
    outcomes = load_awards(write_file(content), tmp_path / "out", Limits()).outcomes()
    assert outcomes.to_numpy().tolist() == [
        ["kept", "", 2, ""],
        ["rejected", "blank company", 2, "input.csv, line 3: ,B,2016,"],
        ["rejected", "unreadable award year", 1, "input.csv, line 5: A,B,x,"],
        ["repaired", "nul_byte", 1, ""],
        ["repaired", "uei_invalid", 1, "input.csv, line 6: N4YFFGL4CDX6"],
    ]


def test_a_failed_load_leaves_the_old_tables(write_file: Write, tmp_path: Path) -> None:
    """When a file turns out to be damaged at its end, the tables of an earlier load stay as they were."""
    folder = tmp_path / "out"
    loaded = load_awards(write_file(HEADER + b"A,B,2016\n"), folder, Limits())
    before = loaded.paths["awards"].read_bytes()
    text = HEADER + b"".join(b"%d,B,2016\n" % i for i in range(200_000))
    with pytest.raises(InputError, match="cut off"):
        load_awards(write_file(gzip.compress(text, 1)[:-9], "late.csv.gz"), folder, Limits(memory_mb=256))
    assert loaded.paths["awards"].read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["award_rejects.parquet", "awards.parquet"]


PIECES = st.sampled_from(
    [b"A", b"2016", b",", b'"', b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"&amp;", b"A,B,2016\n", b" "]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.lists(PIECES).map(b"".join).map(HEADER.__add__),
        st.binary(max_size=200),
        st.lists(PIECES).map(b"".join),
    )
)
def test_any_bytes_give_rows_or_a_plain_error(tmp_path: Path, content: bytes) -> None:
    """Whatever is in a file: an error of the toolkit's own, or every record kept or rejected."""
    path = tmp_path / "fuzz.csv"
    path.write_bytes(content)
    for load, table in ((load_awards, "awards"), (load_recipients, "recipients")):
        try:
            loaded = load(path, tmp_path / "out", Limits(read_rows=3))
        except ToolkitError:
            continue
        assert loaded.records_read == loaded.rows + sum(loaded.rejected.values())
        assert pq.read_metadata(loaded.paths[table]).num_rows == loaded.rows
        ordinals = pq.read_table(loaded.paths[f"{table[:-1]}_rejects"])["source_row"].to_pylist()
        assert ordinals == sorted(set(ordinals))
        assert len(ordinals) == sum(loaded.rejected.values())
