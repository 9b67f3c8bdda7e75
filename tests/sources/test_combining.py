"""Recipients of several files become one row each, by stated rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbir_toolkit import tables
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import Loaded, load_recipients, read_recipients

HEADER = "recipient_id,name,uei,duns,cage,address1,city,state,alternate_names,naics\n"
ACME, OTHER = "N4YFFGL4CDX5", "VN1AJFAD19J9"
Write = Callable[..., Path]


def load(paths: list[Path], tmp_path: Path, **limits: int) -> tuple[Loaded, pd.DataFrame]:
    loaded = load_recipients(paths, tmp_path / "out", Limits(**limits))
    frame = pd.read_parquet(loaded.paths["recipients"])
    return loaded, frame.sort_values("recipient_name", ignore_index=True)


def test_the_first_file_counts_and_the_next_ones_fill_in(write_file: Write, tmp_path: Path) -> None:
    """What the first file has stays; cage and codes come from the next; a place comes as a whole or not."""
    paths = [
        write_file(HEADER + f"h1,ACME,{ACME},,,,,,OLD ACME,\nh2,BETA,,123456780,,1 A ST,,TX,,\n", "a.csv"),
        write_file(HEADER + f"s1,Acme,{ACME},123456780,3KHT9,9 B ST,RENO,NV,A|OLD ACME,541715\n", "b.csv"),
        write_file(HEADER + f"s9,ACME INC,{ACME},,7FVL5,5 C ST,YUMA,AZ,,541330\n", "c.csv"),
    ]
    loaded, frame = load(paths, tmp_path)
    tables.RECIPIENTS.check(read_recipients(paths)[0])
    assert (loaded.records_read, loaded.rows, loaded.rejected) == (4, 1, {})
    assert loaded.merged == {"the same as another one in these files": 3}
    assert frame.iloc[0].dropna().to_dict() == {
        "recipient_id": "h1",
        "recipient_name": "ACME",
        "uei": ACME,
        "duns": "123456780",
        "cage": "3KHT9",
        "address1": "1 A ST",
        "state": "TX",
        "alternate_names": "BETA|ACME INC|OLD ACME|A",
        "naics": "541715",
    }
    assert "a.csv, b.csv, c.csv -> recipients" in repr(loaded)


def test_a_duns_beside_two_firms_joins_neither(write_file: Write, tmp_path: Path) -> None:
    """A DUNS that stands beside two UEIs says nothing; rows with just that DUNS are one recipient."""
    first = HEADER + f"1,A,{ACME},123456780,,,,,,\n2,B,{OTHER},123456780,,,,,,\n3,C,,123456780,,,,,,\n"
    paths = [write_file(first, "a.csv"), write_file(HEADER + "9,D,,123456780,,,,,,\n", "b.csv")]
    _, frame = load(paths, tmp_path)
    assert frame["recipient_name"].tolist() == ["A", "B", "C"]
    assert frame["alternate_names"][2] == "D"


def test_ids_that_two_files_gave_to_different_firms_are_told_apart(write_file: Write, tmp_path: Path) -> None:
    """Two files that number their rows from one don't make one recipient of two firms."""
    paths = [
        write_file(HEADER + f"1,A,{ACME},,,,,,,\n", "a.csv"),
        write_file(HEADER + f"1,B,{OTHER},,,,,,,\n", "b.csv"),
    ]
    _, frame = load(paths, tmp_path)
    assert frame["recipient_name"].tolist() == ["A", "B"]
    assert frame["recipient_id"].is_unique
    assert "1" in frame["recipient_id"].tolist()


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_files_is_their_precedence(write_file: Write, tmp_path: Path, order: int) -> None:
    """The file named first gives the name."""
    paths = [write_file(HEADER + f"1,{name},{ACME},,,,,,,\n", f"{name}.csv") for name in ("ONE", "TWO")]
    _, frame = load(paths[::order], tmp_path)
    assert frame["recipient_name"].tolist() == [("ONE", "TWO")[::order][0]]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C", ""]),
        st.sampled_from([ACME, OTHER, ""]),
        st.sampled_from(["123456780", "223456780", ""]),
    ),
    max_size=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ROWS, ROWS, st.integers(1, 4))
def test_nothing_is_lost_when_files_are_put_together(
    tmp_path: Path, first: list[tuple[str, str, str]], second: list[tuple[str, str, str]], rows: int
) -> None:
    """Records = rows + merged + rejected; each UEI once; every name is there; batches leave no trace."""
    paths = []
    for name, records in (("a", [("Z", "", ""), *first]), ("b", [("Z", "", ""), *second])):
        path = tmp_path / f"{name}.csv"
        lines = [f",{company},{uei},{duns},,,,,,\n" for company, uei, duns in records]
        path.write_text(HEADER + "".join(lines))
        paths.append(path)
    loaded, frame = load(paths, tmp_path, read_rows=rows)
    whole = load_recipients(paths, tmp_path / "whole", Limits())
    assert loaded.paths["recipients"].read_bytes() == whole.paths["recipients"].read_bytes()
    rejected, merged = sum(loaded.rejected.values()), sum(loaded.merged.values())
    assert loaded.records_read == 2 + len(first) + len(second) == loaded.rows + rejected + merged
    assert frame["uei"].dropna().is_unique
    assert frame["recipient_id"].is_unique
    names = {name for name, _, _ in (*first, *second)} - {""}
    found = set(frame["recipient_name"]) | set("|".join(frame["alternate_names"].dropna()).split("|"))
    assert names <= found
