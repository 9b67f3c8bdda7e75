"""What must hold for any companies: no matter in which order, in how many chunks, and who else is there."""

from __future__ import annotations

import pandas as pd
import pytest

from sbir_toolkit.matching import match_companies
from sbir_toolkit.params import Matching
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies

RECIPIENTS_MADE = make_background(600)


def noisy(count: int) -> pd.DataFrame:
    """Make companies that are recipients spelled otherwise, some misspelled, and some that are nobody."""
    rows: list[dict[str, object]] = []
    for at, recipient in enumerate(RECIPIENTS_MADE[:count]):
        name = str(recipient["recipient_name"])
        spelled = (
            name.title(),
            name[:3] + name[4:],
            " ".join(reversed(name.split())),
            f"{name} GROUP",
            name[::-1],
        )[at % 5]
        place = {part: recipient[part] for part in ("city", "state", "zip5")} if at % 3 else {}
        rows.append({"company": spelled, **place, "company_id": f"company-{at}"})
    return make_companies(*rows)


@pytest.fixture
def whole(make_index: Make) -> tuple[pd.DataFrame, pd.DataFrame, object]:
    """Give companies, their matches and the index."""
    companies, index = noisy(200), make_index(RECIPIENTS_MADE)
    return companies, match_companies(companies, index, Matching()), index


def test_chunks_give_what_the_whole_gives(
    whole: tuple[pd.DataFrame, pd.DataFrame, object], make_index: Make
) -> None:
    """Matched in chunks of any size, each company gets exactly the same row."""
    companies, expected, _ = whole
    index = make_index(RECIPIENTS_MADE)
    for size in (1, 7, 64):
        parts = [
            match_companies(companies.iloc[low : low + size], index, Matching())
            for low in range(0, 200, size)
        ]
        pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), expected, check_exact=True)


def test_the_order_of_companies_does_not_matter(
    whole: tuple[pd.DataFrame, pd.DataFrame, object], make_index: Make
) -> None:
    """Shuffled companies get the same rows, in the shuffled order."""
    companies, expected, _ = whole
    shuffled = companies.sample(frac=1, random_state=3)
    found = match_companies(shuffled, make_index(RECIPIENTS_MADE), Matching())
    assert found["company_id"].tolist() == shuffled["company_id"].tolist()
    back = found.set_index("company_id").loc[expected["company_id"]].reset_index()
    pd.testing.assert_frame_equal(back, expected, check_exact=True)


def test_the_order_of_recipients_does_not_matter(
    whole: tuple[pd.DataFrame, pd.DataFrame, object], make_index: Make
) -> None:
    """From recipients in another order the same ones are accepted."""
    companies, expected, _ = whole
    found = match_companies(companies, make_index(RECIPIENTS_MADE[::-1]), Matching())
    assert found["recipient_id"].tolist() == expected["recipient_id"].tolist()
    assert found["decision"].tolist() == expected["decision"].tolist()


def test_an_unrelated_recipient_changes_no_accepted_link(
    whole: tuple[pd.DataFrame, pd.DataFrame, object], make_index: Make
) -> None:
    """One more recipient that nobody resembles takes no accepted link away and adds none."""
    companies, expected, _ = whole
    more = [
        *RECIPIENTS_MADE,
        {"recipient_name": "WHOLLY UNRELATED QUILTMAKERS", "state": "AK", "zip5": "99501"},
    ]
    found = match_companies(companies, make_index(more), Matching())
    accepted = expected["decision"] == "accept"
    assert found.loc[accepted, "recipient_id"].tolist() == expected.loc[accepted, "recipient_id"].tolist()
    assert (found["decision"] == "accept").tolist() == accepted.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"accept_probability": 1.0, "review_probability": 0.4},
        {"review_probability": 0.8},
        {"min_margin": 1.0},
        {"max_unplaced_probability": 0.0},
        {"max_renamed_probability": 0.0},
        {"max_candidates": 1},
        {"min_word_overlap": 0.99},
        {"max_word_postings": 1},
    ],
)
def test_every_parameter_has_an_effect(
    change: dict[str, float], whole: tuple[pd.DataFrame, pd.DataFrame, object], make_index: Make
) -> None:
    """No parameter is a dead option."""
    companies, expected, _ = whole
    found = match_companies(companies, make_index(RECIPIENTS_MADE), Matching(**change))
    assert not found.equals(expected)
