"""Each company with its recipient."""

from __future__ import annotations

import pandas as pd

from sbir_toolkit.matching import match_companies
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import COMPANY_MATCHES
from tests.matching.conftest import Make, make_companies

BOSTON = {"address1": "12 Main St", "city": "Boston", "state": "MA", "zip5": "02110"}
AUSTIN = {"address1": "7 Oak Ave Ste 100", "city": "Austin", "state": "TX", "zip5": "78741"}
RECIPIENTS_KNOWN = [
    {"recipient_name": "NANOHMICS INC", "uei": "C111ATT311C8", "duns": "111111111", **AUSTIN},
    {
        "recipient_name": "Quantum Widget Laboratories, LLC",
        "uei": "N4YFFGL4CDX5",
        "duns": "222222222",
        **BOSTON,
    },
    {"recipient_name": "PHYSICAL OPTICS CORP", "duns": "333333333", **BOSTON},
    {"recipient_name": "OMEGA PAVING OF TEXAS", **AUSTIN},
]


def test_an_identifier_decides(make_index: Make) -> None:
    """A company with a recipient's UEI or DUNS is that recipient."""
    companies = make_companies(
        {"company": "Nanohmics", "uei": "C111ATT311C8"},
        {"company": "Physical Optics Corporation", "duns": "333333333"},
    )
    found = match_companies(companies, make_index(RECIPIENTS_KNOWN), Matching())
    assert found["recipient_id"].tolist() == ["recipient_id-0", "recipient_id-2"]
    assert found["tier"].tolist() == ["uei", "duns"]
    assert found["decision"].tolist() == ["accept", "accept"]


def test_a_contradicted_identifier_goes_to_review(make_index: Make) -> None:
    """A DUNS beside another firm's name and place is no proof."""
    companies = make_companies({"company": "Zebra Marine Pumps", "duns": "333333333", **AUSTIN})
    found = match_companies(companies, make_index(RECIPIENTS_KNOWN), Matching()).iloc[0]
    assert (found["decision"], found["recipient_id"]) == ("review", "recipient_id-2")


def test_a_name_finds_its_recipient(make_index: Make) -> None:
    """Other case, punctuation and legal form are the same name; a typo is nearly the same one."""
    companies = make_companies(
        {"company": "Nanohmics, Inc.", "city": "Austin", "state": "TX"},
        {"company": "Quantum Wigdet Labs", **BOSTON},
        {"company": "Unrelated Bakery Goods", **BOSTON, "address1": "99 Elm"},
    )
    found = match_companies(companies, make_index(RECIPIENTS_KNOWN), Matching())
    assert found["tier"].tolist()[:2] == ["name_exact", "name_fuzzy"]
    assert found["decision"].tolist() == ["accept", "accept", "reject"]
    assert found["recipient_id"].iloc[2] is None or pd.isna(found["recipient_id"].iloc[2])


def test_the_result_keeps_its_contract(make_index: Make) -> None:
    """The frame is what the contract says, also for no companies and no recipients."""
    companies = make_companies({"company": "Nanohmics"}, {"company": "!!!"}, {"company": "Quantum"})
    for recipients in (RECIPIENTS_KNOWN, []):
        index = make_index(recipients)
        for part in (companies, companies.iloc[:0]):
            found = match_companies(part, index, Matching())
            COMPANY_MATCHES.arrow(COMPANY_MATCHES.check(found))
            assert found["company_id"].tolist() == part["company_id"].tolist()
