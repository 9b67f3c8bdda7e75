"""Contract numbers: their keys, and which recipients award archives say they have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.params import Limits
from sbir_toolkit.sources import load_recipients
from sbir_toolkit.sources.contracts import contract_keys
from tests.sources.test_actions import CONTRACT, pack, text

NSF, USDA = "National Science Foundation", "Department of Agriculture"
ACME, OTHER = "N4YFFGL4CDX5", "C111ATT311C8"


def key_of(number: str | None, agency: str | None = None) -> str | None:
    (key,) = contract_keys(pa.array([number], pa.string()), pa.array([agency], pa.string())).to_pylist()
    return key


@pytest.mark.parametrize(
    ("number", "agency", "key"),
    [
        ("W56KGU-18-C-0009", None, "W56KGU18C0009"),
        ("w56kgu18c0009", "Department of Defense", "W56KGU18C0009"),
        ("W56KGU18C0009P00001", None, "W56KGU18C0009"),
        ("80NSSC20C0123", None, "80NSSC20C0123"),
        ("DE-SC0012345", "Department of Energy", "DESC0012345"),
        ("1R43GM123456-01", None, "R43GM123456"),
        ("2 R44 CA 012345-02A1", None, "R44CA012345"),
        ("R43GM123456", "075", "R43GM123456"),
        ("5R44AI12345-03", None, "R44AI012345"),
        ("2317077", NSF, "049:2317077"),
        ("IIP-2317077", NSF, "049:2317077"),
        ("2317077", "049", "049:2317077"),
        ("2015-33610-23485", USDA, "012:20153361023485"),
        ("20153361023485", "12", "012:20153361023485"),
        ("2317077", None, None),
        ("1234567", "An agency nobody knows", None),
        ("NAS 96-1", "National Aeronautics and Space Administration", None),
        ("0001", "097", None),
        ("00000000", NSF, None),
        ("N/A", None, None),
        ("CONTRACTS", None, None),
        (" - ", NSF, None),
        ("", None, None),
        (None, NSF, None),
    ],
)
def test_a_number_has_one_key_however_it_is_written(
    number: str | None, agency: str | None, key: str | None
) -> None:
    """Punctuation, modifications, an NIH grant's type and year don't count; junk has no key."""
    assert key_of(number, agency) == key


@settings(max_examples=80)
@given(
    st.from_regex(r"[A-Z0-9]{6}[12][0-9][A-Z][0-9]{4}", fullmatch=True), st.sampled_from(["-", " ", "/", ""])
)
def test_punctuation_and_case_never_matter(number: str, mark: str) -> None:
    """A procurement number gives the same key with any marks between its parts."""
    parts = mark.join([number[:6], number[6:8], number[8], number[9:]])
    assert key_of(parts.lower()) == key_of(number)


def test_archives_tell_who_has_a_contract(tmp_path: Path) -> None:
    """Each number is listed with the recipients of its actions, orders also under their contract."""
    columns = {**CONTRACT, "parent_award_id_piid": ""}
    contracts = text(
        {},
        {"research_code": "SR2"},
        {"award_id_piid": "0001", "parent_award_id_piid": "FA8650-15-D-1234", "recipient_uei": OTHER},
        {"award_id_piid": "W56KGU-18-C-0009", "recipient_uei": OTHER},
        {"award_id_piid": "W91CRB17C0001", "recipient_uei": ""},
        columns=columns,
    )  # fmt: skip
    grants = {**CONTRACT, "award_id_fain": "2317077", "awarding_agency_code": "049"}
    del grants["award_id_piid"]
    paths = [
        pack(tmp_path / "FY2023_All_Contracts.zip", part_1=contracts),
        pack(tmp_path / "FY2023_All_Assistance.zip", part_1=text({}, columns=grants)),
    ]
    stored = []
    for rows in (50_000, 2):
        loaded = load_recipients(paths, tmp_path / str(rows), Limits(read_rows=rows))
        frame = pd.read_parquet(loaded.paths["recipient_contracts"])
        stored.append(loaded.paths["recipient_contracts"].read_bytes())
        assert sorted(frame[["contract", "uei", "is_sbir"]].itertuples(index=False, name=None)) == [
            ("049:2317077", ACME, False),
            ("FA865015D1234", OTHER, False),
            ("W56KGU18C0009", OTHER, False),
            ("W56KGU18C0009", ACME, True),
        ]
    assert stored[0] == stored[1]


def test_other_files_have_no_contracts(tmp_path: Path) -> None:
    """Where there is no award archive the table is there and empty."""
    path = tmp_path / "recipients.csv"
    path.write_text("legal_business_name,uei\nACME LASERS INC,N4YFFGL4CDX5\n")
    loaded = load_recipients(path, tmp_path / "out", Limits())
    assert len(pd.read_parquet(loaded.paths["recipient_contracts"])) == 0
