"""Companies found by the contracts of their awards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sbir_toolkit.matching import RecipientIndex, build_index, explain_match, layout, match_companies
from sbir_toolkit.matching.contracts import tell_contracts
from sbir_toolkit.matching.exclusions import match_excluding
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import RECIPIENT_CONTRACTS, RECIPIENTS
from tests.matching.conftest import make_companies, make_frame
from tests.matching.test_match import AUSTIN, BOSTON, RECIPIENTS_KNOWN

NANOHMICS, QUANTUM = "C111ATT311C8", "N4YFFGL4CDX5"
HELD = [
    ("W56KGU18C0009", NANOHMICS, None, True),
    ("FA865015D1234", NANOHMICS, "222222222", False),
    ("80NSSC20C0123", QUANTUM, None, False),
    ("DTRT5715C10050", None, "333333333", False),
    ("68HERC20C0001", "LN2UUHZMS7D4", None, False),
    ("HR001118C0001", NANOHMICS, None, False),
    ("HR001118C0001", QUANTUM, None, False),
]


@pytest.fixture
def index(tmp_path: Path) -> RecipientIndex:
    recipients, contracts = tmp_path / "recipients.parquet", tmp_path / "contracts.parquet"
    write_parquet(recipients, RECIPIENTS.arrow(make_frame(RECIPIENTS, RECIPIENTS_KNOWN)))
    held = pd.DataFrame(HELD, columns=RECIPIENT_CONTRACTS.names)
    write_parquet(contracts, RECIPIENT_CONTRACTS.arrow(held))
    return build_index(recipients, tmp_path / "index", Matching(), contracts)


def test_a_contract_names_its_recipient_before_names_do(index: RecipientIndex) -> None:
    """Its award's contract links a company whose name nobody would find, and leaves UEI and DUNS the word."""
    companies = make_companies(
        {"company": "Nano Ohm Mics", "contracts": "W56KGU18C0009", "city": "Austin", "state": "TX"},
        {"company": "Physical Optics Corporation", "contracts": "DTRT5715C10050"},
        {"company": "Nanohmics", "contracts": "80NSSC20C0123", "uei": NANOHMICS, **AUSTIN},
        {"company": "Nanohmics", **AUSTIN},
    )
    found = match_companies(companies, index, Matching())
    assert found["tier"].tolist() == ["contract", "contract", "uei", "name_exact"]
    assert found["recipient_id"].tolist() == [f"recipient_id-{at}" for at in (0, 2, 0, 0)]
    assert found["decision"].tolist() == ["accept"] * 4


def test_a_code_of_the_program_confirms(index: RecipientIndex) -> None:
    """An action coded as SBIR makes the link surer."""
    companies = make_companies(
        *({"company": "Nanohmics", "contracts": number} for number in ("W56KGU18C0009", "FA865015D1234"))
    )
    coded, other = match_companies(companies, index, Matching())["match_probability"]
    assert other < coded < 1


@pytest.mark.parametrize(
    "company",
    [
        {"company": "Zebra Marine Pumps", "contracts": "DTRT5715C10050", **AUSTIN},
        {"company": "Quantum Widget Laboratories", "contracts": "80NSSC20C0123|W56KGU18C0009", **BOSTON},
    ],
    ids=["name and place contradict", "two firms"],
)
def test_contracts_that_contradict_go_to_review(index: RecipientIndex, company: dict[str, object]) -> None:
    """A contract beside another name and place is no proof, nor are contracts of several firms."""
    found = match_companies(make_companies(company), index, Matching()).iloc[0]
    assert (found["tier"], found["decision"]) == ("contract", "review")


def test_only_numbers_of_one_known_firm_tell(index: RecipientIndex) -> None:
    """What archives say of two firms, of nobody known, or not at all, names nobody."""
    numbers = pa.array(["W56KGU18C0009", "HR001118C0001", "68HERC20C0001", "NOTHERE18C0001", None])
    assert tell_contracts(index, numbers).tolist() == [True, False, False, False, False]
    assert tell_contracts(index, numbers.slice(0, 0)).tolist() == []


def test_the_memory_allowed_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted whole or in parts of a few numbers each, contracts give the same bytes."""
    recipients = RECIPIENTS.arrow(make_frame(RECIPIENTS, RECIPIENTS_KNOWN))
    many = [(f"FA8650{at * 7 % 500:03}C{at % 100:04}", NANOHMICS, None, at % 3 > 0) for at in range(500)]
    held = RECIPIENT_CONTRACTS.arrow(pd.DataFrame([*HELD, *many], columns=RECIPIENT_CONTRACTS.names))
    write_parquet(tmp_path / "contracts.parquet", held)
    whole = build_index([recipients], tmp_path / "whole", Matching(), tmp_path / "contracts.parquet")
    monkeypatch.setattr(layout, "MEMORY_SHARE", 1e-6)
    parts = build_index([recipients], tmp_path / "parts", Matching(), tmp_path / "contracts.parquet")
    assert len(whole["contract_key"]) == len(many) + len(HELD) - 1
    for name in ("contract_key", "contract_rows", "contract_sbir"):
        assert np.array_equal(whole[name], parts[name])


def test_an_excluded_firm_takes_its_contracts_along(index: RecipientIndex) -> None:
    """Who isn't that recipient isn't found again by its contract."""
    company = make_companies({"company": "Quantum Widgets", "contracts": "W56KGU18C0009", **BOSTON})
    found = match_excluding(company, index, Matching(), pd.Series([0]).to_numpy()[:, None]).iloc[0]
    assert (found["tier"], found["recipient_id"]) == ("name_fuzzy", "recipient_id-1")


def test_the_explanation_names_the_contract(index: RecipientIndex) -> None:
    """It says by which number, and what other identifiers say."""
    told = repr(explain_match({"company": "Nanohmics", "contracts": "W56KGU18C0009"}, index, Matching()))
    assert "NANOHMICS INC was paid under a contract of the company" in told
    assert "W56KGU18C0009" in told
    both = {"company": "Nanohmics", "uei": NANOHMICS, "contracts": "80NSSC20C0123", **AUSTIN}
    assert "while Quantum Widget Laboratories, LLC was paid" in repr(explain_match(both, index, Matching()))
