"""Why a company got its recipient."""

from __future__ import annotations

import json
import re

import pytest

from sbir_toolkit.matching import PersonsDecision, explain_match, match_companies
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
    {
        "recipient_id": "other",
        "recipient_name": "NANOHMICS SHIPPING LLC",
        "state": "ME",
        "city": "PORTLAND",
        "duns": "123456789",
    },
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
    picture = shown._repr_html_()
    assert "&lt;THERMAL&gt;" in picture and "<script" not in picture
    place = shown.pieces.set_index("piece").loc["place"]
    assert (place["own"], place["best_value"]) == ("Laredo TX", "AUSTIN TX, in the same state")
    assert place["runner_up_value"] == "PORTLAND ME, in another state"


def drawn(picture: str, piece: str) -> list[tuple[float, float, str]]:
    """Read left end, right end and label of a piece's bars."""
    (image,) = re.findall(rf'<svg [^>]*aria-label="{piece}:.*?</svg>', picture)
    bars = re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', image)
    labels = re.findall(r">([-+][\d.]+)</text>", image)
    return [(float(x), float(x) + float(w), label) for (x, w), label in zip(bars, labels, strict=True)]


def test_each_bar_begins_where_the_one_before_ended(make_index: Make) -> None:
    """The waterfall's steps join up from zero to the sum, for the winner and the runner-up, on one scale."""
    company = {"company": "Nanohmics Thermal", "city": "Laredo", "state": "TX"}
    shown = explain_match(company, make_index(RECIPIENTS_MADE), Matching())
    picture = shown._repr_html_()
    (zero,) = set(re.findall(r'<line x1="([\d.]+)"', picture))
    for lane, column in enumerate(["best_bits", "runner_up_bits"]):
        at = float(zero)
        for piece, bits in zip(shown.pieces["piece"], shown.pieces[column], strict=True):
            left, right, label = drawn(picture, piece)[lane]
            begin, end = (left, right) if bits >= 0 else (right, left)
            assert begin == pytest.approx(at, abs=0.3)
            assert label == f"{bits:+.1f}"
            at = end
        left, right, label = drawn(picture, "sum")[lane]
        total = shown.pieces[column].sum()
        assert (right if total >= 0 else left) == pytest.approx(at, abs=0.5)
        assert label == f"{total:+.1f}"
    assert f"  sum                 {shown.pieces['best_bits'].sum():>+5.1f} " in repr(shown)
    assert "█" in repr(shown)


def test_what_a_person_decided_comes_first(make_index: Make) -> None:
    """The accepted one stands as winner without a probability, a refused one isn't there at all."""
    index = make_index(RECIPIENTS_MADE)
    company = {"company": "Nanohmics Thermal", "city": "Laredo", "state": "TX"}
    accepted = explain_match(
        company, index, Matching(), PersonsDecision("Ann", "asked them", accepted="other")
    )
    assert accepted.sentence.startswith("Ann decided that it is NANOHMICS SHIPPING LLC (asked them).")
    assert "The matcher by itself: " in accepted.sentence
    assert accepted.candidates["recipient_id"].tolist() == ["other", "it"]
    assert "decided by a person" in repr(accepted)
    refused = explain_match(company, index, Matching(), PersonsDecision("Ann", "closed", refused=("it",)))
    assert "it isn't NANOHMICS <THERMAL> INC (closed). Without it: " in refused.sentence
    assert "it" not in refused.candidates["recipient_id"].tolist()
    by_id = {"company": "Nanohmics Thermal", "uei": "C111ATT311C8"}
    assert "has the company's UEI" in explain_match(by_id, index, Matching()).sentence
    left = explain_match(by_id, index, Matching(), PersonsDecision("Ann", "typo", refused=("it",)))
    assert "UEI" not in left.sentence


@pytest.mark.parametrize(
    ("company", "said"),
    [
        ({"company": "Anything", "uei": "C111ATT311C8", "state": "TX"}, "has the company's UEI"),
        ({"company": "Zebra Kites", "uei": "C111ATT311C8", "state": "ME"}, "name and place both contradict"),
        ({"company": "Nanohmics Thermal", "uei": "C111ATT311C8", "duns": "123456789"}, "its DUNS is that of"),
        ({"company": "!!!"}, "no recipient bears a similar name"),
    ],
)
def test_the_sentence_says_what_decided(company: dict[str, object], said: str, make_index: Make) -> None:
    """One sentence names the outcome and its reason."""
    assert said in explain_match(company, make_index(RECIPIENTS_MADE), Matching()).sentence


def test_what_a_run_made_of_it_is_told_as_it_is_there(make_index: Make) -> None:
    """Decision and probabilities are the run's, where it proposed the same recipient."""
    company = {"company": "Nanohmics Thermal", "city": "Laredo", "state": "TX"}
    index = make_index(RECIPIENTS_MADE)
    alone = explain_match(company, index, Matching())
    found = alone.candidates["recipient_id"][0]
    outcome = {"recipient_id": found, "decision": "review", "match_probability": 0.751, "margin": 0.5}
    told = explain_match(company, index, Matching(), outcome=outcome)
    assert told.sentence.startswith("For review: ")
    assert told.candidates["probability"][0] == 0.751
    other = explain_match(company, index, Matching(), outcome={**outcome, "recipient_id": "another"})
    assert other.sentence == alone.sentence
