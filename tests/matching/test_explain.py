"""Why a company got its recipient."""

from __future__ import annotations

import json

import pytest

from sbir_toolkit.matching import explain_match, match_companies
from sbir_toolkit.params import Matching
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies

RECIPIENTS_MADE = [
    *make_background(300),
    {
        "recipient_id": "it",
        "recipient_name": "NANOHMICS <THERMAL> INC",
        "uei": "C111ATT311C8",
        "city": "AUSTIN",
        "state": "TX",
    },
    {"recipient_id": "other", "recipient_name": "NANOHMICS SHIPPING LLC", "state": "ME", "city": "PORTLAND"},
]


def test_the_pieces_are_those_of_the_decision(make_index: Make) -> None:
    """The bits shown are the bits of the evidence column, and the runner-up stands beside the winner."""
    index = make_index(RECIPIENTS_MADE)
    company = {"company": "Nanohmics Thermal", "city": "Laredo", "state": "TX"}
    shown = explain_match(company, index, Matching())
    stored = json.loads(match_companies(make_companies(company), index, Matching())["evidence"].iloc[0])
    assert {
        piece: round(bits, 1)
        for piece, bits in zip(shown.pieces["piece"], shown.pieces["best_bits"], strict=True)
        if round(bits, 1)
    } == stored
    assert shown.candidates["recipient_id"].tolist() == ["it", "other"]
    assert "same name in the same state" in shown.sentence
    assert "NANOHMICS <THERMAL> INC" in repr(shown)
    assert "&lt;THERMAL&gt;" in shown._repr_html_()


@pytest.mark.parametrize(
    ("company", "said"),
    [
        ({"company": "Anything", "uei": "C111ATT311C8", "state": "TX"}, "has the company's UEI"),
        ({"company": "Zebra Kites", "uei": "C111ATT311C8", "state": "ME"}, "name and place both contradict"),
        ({"company": "!!!"}, "no recipient bears a similar name"),
    ],
)
def test_the_sentence_says_what_decided(company: dict[str, object], said: str, make_index: Make) -> None:
    """One sentence names the outcome and its reason."""
    assert said in explain_match(company, make_index(RECIPIENTS_MADE), Matching()).sentence
