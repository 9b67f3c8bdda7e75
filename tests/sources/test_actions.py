"""Recipients rolled up from award archives whose sums are known."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbir_toolkit import write_synthetic
from sbir_toolkit.errors import InputError
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import Loaded, load_recipients, read_awards, read_recipients
from sbir_toolkit.sources.synthetic import write_archive
from sbir_toolkit.sources.synthetic.recipients import SCHEMA

CONTRACT = {
    "award_id_piid": "W56KGU18C0009",
    "federal_action_obligation": "100.00",
    "action_date": "2023-05-01",
    "awarding_agency_code": "097",
    "recipient_uei": "N4YFFGL4CDX5",
    "recipient_name": "ACME LASERS INC",
    "recipient_name_raw": "ACME LASERS INC",
    "recipient_doing_business_as_name": "",
    "cage_code": "3KHT9",
    "recipient_city_name": "BOSTON",
    "naics_code": "541715",
    "research_code": "",
    "recipient_phone_number": "6175550100",
}
Write = Callable[..., Path]


def text(*changes: dict[str, str], columns: dict[str, str] = CONTRACT) -> str:
    """Write actions, each a change of `CONTRACT`, as an archive's member."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\r\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**columns, **change} for change in changes)
    return file.getvalue()


def pack(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    return path


def load(paths: list[Path], tmp_path: Path, **limits: int) -> tuple[Loaded, pd.DataFrame]:
    loaded = load_recipients(paths, tmp_path / "out", Limits(**limits))
    return loaded, pd.read_parquet(loaded.paths["recipients"])


def test_actions_of_all_archives_are_rolled_up(tmp_path: Path) -> None:
    """Contracts and assistance over years become one row: sums, years, agencies, names, codes."""
    contracts = text(
        {"naics_code": "541330"},
        {"federal_action_obligation": "-30.25", "action_date": "2023-10-01", "research_code": "SR1"},
        {"awarding_agency_code": "080", "research_code": "ST2", "action_date": "2021-01-01",
         "recipient_name": "ACME, INC.", "recipient_city_name": "SALEM"},
    )  # fmt: skip
    later = text({"recipient_doing_business_as_name": "Acme Photonics", "recipient_name_raw": "ACME LASER"})
    grants = {
        ("award_id_fain" if name == "award_id_piid" else name): value
        for name, value in CONTRACT.items()
        if not name.startswith(("naics", "research", "cage", "recipient_doing"))
    }
    paths = [
        pack(tmp_path / "FY2023_All_Contracts.zip", part_1=contracts, part_2=later),
        pack(tmp_path / "FY2024_All_Assistance.zip", part_1=text({"recipient_uei": ""}, {}, columns=grants)),
    ]
    loaded, frame = load(paths, tmp_path)
    assert (loaded.records_read, loaded.rows, loaded.rejected) == (6, 2, {})
    assert loaded.merged == {"action counted with others of its recipient": 4}
    acme = frame[frame["uei"] == "N4YFFGL4CDX5"].iloc[0]
    assert acme[["recipient_name", "city", "cage", "naics", "source"]].tolist() == [
        *("ACME LASERS INC", "BOSTON", "3KHT9", "541715|541330", "award archive"),
    ]
    assert acme["alternate_names"] == "ACME LASER|ACME, INC.|Acme Photonics"
    assert acme[["actions", "sbir_actions", "agencies", "obligated_usd"]].tolist() == [5, 2, 2, 369.75]
    assert acme["obligated_usd_by_year"] == "2021=100.00|2023=300.00|2024=-30.25"
    nameless = frame[frame["uei"].isna()].iloc[0]
    assert (nameless["recipient_name"], nameless["actions"], nameless["obligated_usd"]) == (
        *("ACME LASERS INC", 1, 100.0),
    )
    assert any("recipient_phone_number" in sentence for sentence in loaded.assumptions)


def test_sums_do_not_depend_on_how_much_is_in_memory(tmp_path: Path) -> None:
    """The same bytes come out whatever the batches' size, and the sums are those of all actions."""
    recipients = write_synthetic(tmp_path, awards=20, recipients=300, seed=3).recipients
    table = pa_csv.read_csv(
        recipients,
        convert_options=pa_csv.ConvertOptions(
            column_types=SCHEMA, strings_can_be_null=True, null_values=[""]
        ),
    )
    path = tmp_path / "FY2023_All_Contracts_Full_20240106.zip"
    write_archive(path, table, year=2023, actions=1_100, part_rows=400)
    whole, frame = load([path], tmp_path / "whole")
    parts, _ = load([path], tmp_path / "parts", read_rows=70, memory_mb=256)
    assert whole.paths["recipients"].read_bytes() == parts.paths["recipients"].read_bytes()
    assert (whole.records_read, frame["actions"].sum()) == (1_100, 1_100)
    expected = sum((number % 1_000) * 125 - 10_000 + 0.5 * (1 if (number % 1_000) * 125 >= 10_000 else -1)
                   for number in range(1_100))  # fmt: skip
    assert frame["obligated_usd"].sum() == pytest.approx(expected)
    assert set(frame["uei"].dropna()) == set(table["uei"].drop_null().to_pylist())


def test_what_cannot_be_used_is_rejected_with_its_file_and_line(tmp_path: Path) -> None:
    """An action of nobody and a broken record are rejects; an unreadable value is null and counted."""
    content = text(
        {"recipient_name": "", "recipient_name_raw": "", "recipient_uei": ""},
        {"federal_action_obligation": "about 5", "action_date": "31/31/2023"},
        {"recipient_uei": "N4YFFGL4CDX6"},
        {"recipient_name": "MULTIPLE RECIPIENTS", "recipient_uei": ""},
        {"federal_action_obligation": "1e30"},
    )
    path = pack(tmp_path / "FY2023.zip", part_1=text({}), part_2=content + "x,y\r\n")
    loaded, frame = load([path], tmp_path)
    assert loaded.rejected == {
        "action of nobody: no identifier and no name": 1,
        "wrong number of fields": 1,
        "stands for nobody in particular and has no identifier": 1,
    }
    assert loaded.repaired == {"amount_unreadable": 2, "date_unreadable": 1, "uei_invalid": 1}
    assert loaded.records_read == 7 == loaded.rows + 3 + sum(loaded.merged.values())
    rejects = pd.read_parquet(loaded.paths["recipient_rejects"])
    assert rejects[["source_file", "source_row", "source_line"]].to_numpy().tolist()[:2] == [
        ["part_2.csv", 1, 2],
        ["part_2.csv", 6, 7],
    ]
    acme = frame[frame["uei"] == "N4YFFGL4CDX5"].iloc[0]
    assert acme["obligated_usd_by_year"] == "2023=100.00|unknown=0.00"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("correction_delete_ind,award_id_piid,federal_action_obligation,action_date,recipient_name", "delta"),
        ("contract_award_unique_key,award_id_piid,total_obligated_amount,recipient_name", "award summaries"),
        ("award_id_piid,federal_action_obligation,action_date,recipient_uei", "no column for recipient name"),
    ],
)
def test_other_files_of_usaspending_are_refused(write_file: Write, header: str, message: str) -> None:
    """Deltas and award summaries look alike, and would give wrong sums."""
    with pytest.raises(InputError, match=message):
        read_recipients(write_file(f"{header}\n{'1,' * header.count(',')}1\n"))


def test_actions_are_no_awards(write_file: Write) -> None:
    """Given as the awards, an archive is recognised."""
    with pytest.raises(InputError, match="a file of USAspending award actions: give it as that"):
        read_awards(write_file(text({})))


AMOUNTS = st.decimals(-10_000, 10_000, places=2).map(str)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "recipient_uei": st.sampled_from(["N4YFFGL4CDX5", "VN1AJFAD19J9", "", "bad"]),
                "recipient_name": st.sampled_from(["A", "B", "", "MULTIPLE RECIPIENTS", 'Q "x", y\n']),
                "federal_action_obligation": AMOUNTS | st.just("x"),
                "action_date": st.sampled_from(["2023-09-30", "2023-10-01", ""]),
            }
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_every_action_is_counted_once(tmp_path: Path, actions: list[dict[str, str]], rows: int) -> None:
    """Whatever the actions: records = rows + merged + rejected, and their order changes nothing."""
    path = tmp_path / "actions.csv"
    found = []
    for order in (actions, actions[::-1]):
        path.write_text(text(*order), newline="")
        loaded, frame = load([path], tmp_path, read_rows=rows)
        assert loaded.records_read == len(actions)
        rejected = sum(loaded.rejected.values())
        assert len(actions) == loaded.rows + sum(loaded.merged.values()) + rejected
        found.append(frame.drop(columns=["recipient_name", "alternate_names"]))
    pd.testing.assert_frame_equal(*found)
