"""What companies of one name tell of each other."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from sbir_toolkit.matching import RecipientIndex, explain_match, match_companies
from sbir_toolkit.matching.match import KEPT, match_and_keep, match_siblings
from sbir_toolkit.matching.places import LEVELS
from sbir_toolkit.matching.recognised import Recognised
from sbir_toolkit.matching.siblings import Word
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import COMPANIES
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies

HOME = {"city": "DAYTON", "state": "OH", "zip5": "45402"}
OLD = {"city": "Boston", "state": "MA", "zip5": "02110"}
# Two firms of one name, so that name and an old place alone settle nothing.
RECIPIENTS_MADE = [
    *make_background(300),
    {"recipient_id": "it", "recipient_name": "ADVANCED SYSTEMS INC", "duns": "111111111", **HOME},
    {"recipient_id": "namesake", "recipient_name": "ADVANCED SYSTEMS INC", "city": "RENO", "state": "NV"},
]
NAMED = {"company": "Advanced Systems, Inc.", "company_id": "named", "duns": "111111111", **HOME}
MOVED = {"company": "Advanced Systems, Inc.", "company_id": "moved", **OLD}


def relate(
    companies: pd.DataFrame, found: pd.DataFrame, index: RecipientIndex, **pieces: int
) -> pd.DataFrame:
    """Match anew whom the others tell of, with what is kept of each company."""
    kept = match_and_keep(companies, index, Matching())[KEPT]
    return match_siblings(COMPANIES.arrow(companies), found, kept, index, Matching(), **pieces)


def match_all(companies: pd.DataFrame, make_index: Make, *, at_once: int = 100) -> pd.DataFrame:
    """Match companies, each by itself and then with what the others tell, by company_id."""
    index = make_index(RECIPIENTS_MADE)
    found = match_companies(companies, index, Matching())
    again = relate(companies, found, index, threads=2, at_once=at_once)
    return pd.concat([found.drop(again.index), again]).set_index("company_id")


def test_a_sibling_with_an_identifier_tells_who_a_firm_that_moved_is(make_index: Make) -> None:
    """What name and place leave open is settled by the firm's other award; the evidence says by which."""
    name = {"company": "Quartz Lidar, Inc."}
    alone = match_companies(make_companies(MOVED | name), make_index(RECIPIENTS_MADE), Matching()).iloc[0]
    assert alone["decision"] == "reject"
    found = match_all(make_companies(NAMED | name, MOVED | name), make_index).loc["moved"]
    assert (found["recipient_id"], found["tier"], found["decision"]) == ("it", "sibling", "accept")
    evidence = json.loads(found["evidence"])
    assert evidence["told by"].startswith("named ")
    assert evidence["same name elsewhere"] > 1


def test_a_common_name_is_told_with_less_certainty(make_index: Make) -> None:
    """Beside a namesake in the register a sibling far away tips the scales, and a person decides."""
    alone = match_companies(make_companies(MOVED), make_index(RECIPIENTS_MADE), Matching()).iloc[0]
    found = match_all(make_companies(NAMED, MOVED), make_index).loc["moved"]
    assert (found["recipient_id"], found["decision"]) == ("it", "review")
    assert found["match_probability"] > alone["match_probability"] + 0.1


def test_what_a_sibling_is_matched_to_does_not_change(make_index: Make) -> None:
    """A company with an identifier keeps its recipient, whoever else bears its name."""
    companies = make_companies(NAMED, MOVED)
    alone = match_companies(companies, make_index(RECIPIENTS_MADE), Matching()).set_index("company_id")
    pd.testing.assert_series_equal(match_all(companies, make_index).loc["named"], alone.loc["named"])


@pytest.mark.parametrize("name", ["Advanced Systems LLC", "Advanced Sensors, Inc."])
def test_another_legal_form_far_away_or_another_name_is_no_sibling(name: str, make_index: Make) -> None:
    """A firm in another state under a contradicting form, or under another name, isn't told by it."""
    found = match_all(make_companies(NAMED, MOVED | {"company": name}), make_index)
    assert found.loc["moved", "decision"] != "accept"


def test_siblings_of_two_firms_leave_it_to_a_person(make_index: Make) -> None:
    """Where two recognised companies of the name are two recipients, neither wins by its word."""
    other = {"company": "Advanced Systems, Inc.", "company_id": "other", "city": "Reno", "state": "NV"}
    found = match_all(make_companies(NAMED, other, MOVED), make_index)
    assert found.loc["other", ["recipient_id", "decision"]].tolist() == ["namesake", "accept"]
    assert found.loc["moved", "decision"] != "accept"


def test_an_identifier_that_is_nobodys_speaks_against_recipients_with_another(make_index: Make) -> None:
    """A firm whose other award names a DUNS that no recipient has isn't the namesake with a DUNS."""
    near = {"city": "Boston", "state": "MA"}
    recipient = {"recipient_id": "it", "recipient_name": "QUARTZ LIDAR INC", "duns": "111111111", **HOME}
    index = make_index([*make_background(300), recipient])
    lone = {"company": "Quartz Lidar LLC", "company_id": "lone", **near}
    stranger = lone | {"company_id": "stranger", "duns": "222222222"}
    companies = make_companies(lone, stranger)
    alone = match_companies(companies, index, Matching())
    found = relate(companies, alone, index).set_index("company_id").loc["lone"]
    assert found["match_probability"] < alone["match_probability"].iloc[0]
    assert json.loads(found["evidence"])["doubted by"].startswith("stranger ")


def test_a_firm_of_many_places_may_be_far_from_its_recipient(make_index: Make) -> None:
    """Where firms of three places are mostly far and those of one at home, a lone one far away is doubted."""
    named, rows = [], []
    for at in range(40):
        firm = {"company": f"Kestrel{at:02d} Optics", "duns": f"{at + 300_000_000}"}
        rows.append({"recipient_name": f"KESTREL{at:02d} OPTICS", "duns": firm["duns"], **HOME})
        places = [HOME] if at % 2 else [OLD, {"city": "Reno", "state": "NV"}, {"city": "Avon", "state": "CT"}]
        named += [firm | {"company_id": f"{at}-{nth}"} | place for nth, place in enumerate(places)]
    lone = {"company": "Zenith Beam", "company_id": "lone", **OLD}
    recipient = {"recipient_id": "it", "recipient_name": "ZENITH BEAM", **HOME}
    index = make_index([*make_background(100), *rows, recipient])
    companies = make_companies(*named, lone)
    alone = match_companies(companies, index, Matching())
    recognised = Recognised.among(COMPANIES.arrow(companies), alone, index)
    far = LEVELS.index("elsewhere")
    assert recognised.moves[0, far] < -0.5 < 0 < recognised.moves[2, far]
    found = relate(companies, alone.assign(match_probability=0.95), index)
    lonely = found.set_index("company_id").loc["lone"]
    assert json.loads(lonely["evidence"])["places of the name"] < -0.5
    assert lonely["match_probability"] < alone["match_probability"].iloc[-1]


def test_a_firm_of_whose_companies_none_is_recognised_is_rather_nobody(make_index: Make) -> None:
    """Where recipients are recognised at one of their places, a name of two that is at none loses."""
    places = (OLD, {"city": "Reno", "state": "NV"})
    companies, rows = [], []
    for at in range(60):
        is_recipient = at % 2 == 0
        duns = f"{at + 300_000_000}" if is_recipient else None
        if is_recipient:
            rows.append({"recipient_name": f"KESTREL{at:02d} OPTICS", "duns": duns, **HOME})
        firm = {"company": f"Kestrel{at:02d} Optics"}
        companies += [
            firm | {"company_id": f"{at}-0", "duns": duns} | places[0],
            firm | {"company_id": f"{at}-1"} | places[1],
        ]
    open_one = [
        {"company": "Zenith Beam", "company_id": f"zenith-{nth}"} | place for nth, place in enumerate(places)
    ]
    recipient = {"recipient_id": "it", "recipient_name": "ZENITH BEAM", **HOME}
    index = make_index([*make_background(100), *rows, recipient])
    known = COMPANIES.arrow(make_companies(*companies, *open_one))
    alone = match_companies(known.to_pandas(), index, Matching())
    doubtful = alone.assign(match_probability=alone["match_probability"].clip(upper=0.95))
    recognised = Recognised.among(known, doubtful, index)
    rarity = 0
    assert recognised.untold[rarity, 1] < -0.3
    assert recognised.untold[rarity, 0] == 0
    by_places = dataclasses.replace(recognised, untold=np.zeros_like(recognised.untold))
    zenith = known.slice(known.num_rows - 2)
    told, untold = (one.siblings_of(zenith, index).moves for one in (by_places, recognised))
    assert np.allclose(untold - told, recognised.untold[rarity, 1])
    again = relate(known.to_pandas(), doubtful, index).set_index("company_id")
    assert (
        again.loc["zenith-0", "match_probability"]
        < alone.set_index("company_id").loc["zenith-0", "match_probability"]
    )


def test_order_and_number_at_once_do_not_matter(make_index: Make) -> None:
    """What siblings tell is the same in whatever order the companies stand, and however few are matched."""
    third = MOVED | {"company_id": "third", "state": "CT", "city": "Avon"}
    companies = make_companies(NAMED, MOVED, third)
    one = match_all(companies, make_index).sort_index()
    other = match_all(companies.iloc[::-1].reset_index(drop=True), make_index, at_once=1).sort_index()
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_nothing_and_companies_without_names_have_no_siblings(make_index: Make) -> None:
    """No company is matched anew where there is none, or where names have no letter."""
    index = make_index(RECIPIENTS_MADE)
    for companies in (make_companies(NAMED).iloc[:0], make_companies({"company": "?"}, {"company": "!"})):
        alone = match_companies(companies, index, Matching())
        assert relate(companies, alone, index).empty


def test_an_explanation_names_the_sibling(make_index: Make) -> None:
    """The sentence says whose word it was, and the piece of evidence has its weight."""
    word = Word(teller="Advanced Systems, Inc. (DAYTON OH)", recipient_id="it", odds=50.0)
    shown = explain_match(MOVED, make_index(RECIPIENTS_MADE), Matching(), word=word)
    assert "as Advanced Systems, Inc. (DAYTON OH) is it" in shown.sentence
    piece = shown.pieces.set_index("piece").loc["same name elsewhere"]
    assert piece["best_bits"] > 1
    assert piece["own"] == word.teller


def test_what_was_kept_tells_as_much_as_matching_anew(make_index: Make) -> None:
    """Related by the pairs that were kept, companies get what matching them with the siblings' word gives."""
    index = make_index(RECIPIENTS_MADE)
    near = [MOVED | {"company": name, "company_id": name} for name in ("Advanced System", "ADV. SYSTEMS LLC")]
    other = MOVED | {"company_id": "other", "duns": "222222222"}
    companies = make_companies(NAMED, MOVED, other, *near)
    alone = match_companies(companies, index, Matching())
    again = relate(companies, alone.assign(match_probability=0.9), index)
    table = COMPANIES.arrow(companies)
    said = Recognised.among(table, alone.assign(match_probability=0.9), index).siblings_of(
        table.take(again.index.to_numpy()), index
    )
    anew = match_companies(companies.loc[again.index], index, Matching(), siblings=said)
    assert len(again) >= 3
    pd.testing.assert_frame_equal(again.reset_index(drop=True), anew, check_exact=True)
