"""Name pairs that a person labelled: the same firm, different ones, or one can't tell."""

from __future__ import annotations

import csv
from pathlib import Path

from sbir_toolkit.matching import match_companies
from sbir_toolkit.params import Matching
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies

CASES = list(csv.DictReader(Path(__file__).with_name("cases.csv").read_text(encoding="utf-8").splitlines()))
ALLOWED = {"same": {"accept"}, "different": {"review", "reject"}, "unsure": {"review", "reject"}}
MOST_DIFFERENT = 0.15
"""What a different firm's probability is at most: the last that a person is shown."""


def test_there_are_enough_cases() -> None:
    """The list holds at least 150 pairs, and every label."""
    assert len(CASES) >= 150
    assert {case["expected"] for case in CASES} == set(ALLOWED)


def test_every_case_is_decided_as_a_person_did(make_index: Make) -> None:
    """The same firm is accepted, a different one unlikely, and what a person can't tell is never accepted.

    Each pair is looked for among recipients of common words. Pairs that share a word aren't in one index, so
    that no pair is another one's runner-up.
    """
    background = make_background(1_500)
    wrong = []
    for batch in _apart(CASES):
        recipients = [
            {"recipient_id": str(at), **_place(case, "recipient"), "recipient_name": case["recipient"]}
            for at, case in batch
        ]
        companies = [
            {"company_id": str(at), **_place(case, "company"), "company": case["company"]}
            for at, case in batch
        ]
        found = match_companies(
            make_companies(*companies), make_index([*background, *recipients]), Matching()
        )
        for (at, case), match in zip(batch, found.to_dict("records"), strict=True):
            is_right = case["expected"] != "same" or match["recipient_id"] == str(at)
            is_right &= case["expected"] != "different" or not match["match_probability"] > MOST_DIFFERENT
            if match["decision"] not in ALLOWED[case["expected"]] or not is_right:
                wrong.append(
                    (
                        case["expected"],
                        match["decision"],
                        match["match_probability"],
                        case["company"],
                        case["recipient"],
                    )
                )
    assert not wrong, "\n".join(map(str, wrong))


def _apart(cases: list[dict[str, str]]) -> list[list[tuple[int, dict[str, str]]]]:
    batches: list[list[tuple[int, dict[str, str]]]] = []
    words: list[set[str]] = []
    for at, case in enumerate(cases):
        own = {
            word[:5]
            for word in f"{case['company']} {case['recipient']} {case['company_zip5']}".upper().split()
        }
        free = next((one for one, taken in enumerate(words) if not own & taken), len(words))
        if free == len(words):
            batches.append([])
            words.append(set())
        batches[free].append((at, case))
        words[free] |= own
    return batches


def _place(case: dict[str, str], side: str) -> dict[str, object]:
    place: dict[str, object] = {part: case[f"{side}_{part}"] or None for part in ("city", "state", "zip5")}
    # The list has no streets; a case that is about one building has the same one on both sides.
    return place | {"address1": "12 Main St" if "building" in case["phenomenon"] else None}
