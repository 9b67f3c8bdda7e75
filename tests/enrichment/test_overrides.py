"""What people decide wins, is recorded, and outlives refreshed files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sbir_toolkit import enrich_awards, write_review
from sbir_toolkit.enrichment import Enriched, review
from sbir_toolkit.errors import InputError
from sbir_toolkit.params import Params
from sbir_toolkit.storage import digest_file
from sbir_toolkit.tables import AWARDS, OVERRIDES, RECIPIENTS, REVIEW_CANDIDATES
from tests.enrichment.conftest import make_table
from tests.matching.background import make_background

Rows = list[dict[str, object]]

FIRMS: Rows = [
    {"recipient_id": "r-tx", "recipient_name": "QUANTUM HARBOR INC", "duns": "012345678", "city": "AUSTIN",
     "state": "TX", "zip5": "78701"},
    {"recipient_id": "r-dal", "recipient_name": "QUANTUM HARBOR INC", "duns": "123456789", "city": "DALLAS",
     "state": "TX", "zip5": "75201"},
    {"recipient_id": "r-vt", "recipient_name": "=ZEBRA KITES INC", "uei": "C111ATT311C8", "city": "BARRE",
     "state": "VT", "zip5": "05641"},
]  # fmt: skip
# The first two are the same firm, filed twice, and could be either of two recipients.
FILED: Rows = [
    {"company": "Quantum Harbor, Inc", "city": "Waco", "state": "TX", "website": "qh.us", "award_usd": 5e2},
    {"company": "QUANTUM HARBOR INC.", "city": "Waco", "state": "TX", "zip5": "76701", "award_usd": 900.0},
    {"company": "Anything Else Inc", "duns": "123456789", "city": "Reno", "state": "NV", "award_usd": 100.0},
    {"company": "Zebra Kites", "city": "Barre", "state": "VT", "award_usd": 700.0},
]  # fmt: skip


def store(folder: Path, filed: Rows, firms: Rows) -> tuple[Path, Path]:
    awards = [
        {
            "award_id": f"a{number}",
            "source_row": number + 1,
            "source_line": number + 2,
            "agency": "Department of Energy",
            "award_year": 2001 + number,
            "is_duplicate": False,
            **values,
        }
        for number, values in enumerate(filed)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for contract, rows in ((AWARDS, awards), (RECIPIENTS, [*make_background(300), *firms])):
        pq.write_table(contract.arrow(make_table(contract, rows)), folder / f"{contract.name}.parquet")
    return folder / "awards.parquet", folder / "recipients.parquet"


def enrich(folder: Path, overrides: Path | None = None, filed: Rows = FILED, firms: Rows = FIRMS) -> Enriched:
    told = {
        "compute": {"chunk_companies": 2},
        "matching": {"overrides": str(overrides) if overrides else None},
    }
    # All tests share one store, so that the index is built once.
    kept = folder.parent / "store"
    return enrich_awards(*store(folder, filed, firms), folder, kept, Params.model_validate(told))


def matches_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "matches.parquet").set_index("company")


def questions_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "review_candidates.parquet")


def answer(folder: Path, to: Path, **decisions: str) -> Path:
    """Fill in a review list: a firm's first company (as a keyword) to the decision about it."""
    files = write_review(questions_of(folder), folder)
    filled = pd.read_excel(files.xlsx, dtype=str, keep_default_na=False)
    for company, decision in decisions.items():
        row = filled["company"].str.lower().str.startswith(company.replace("_", " "))
        assert row.sum() == 1
        filled.loc[row, ["decision", "who", "why"]] = [decision, "Ann", "asked them"]
    if to.suffix == ".csv":
        filled.to_csv(to, index=False)
    else:
        filled.to_excel(to, index=False)
    return to


def told_of(folder: Path) -> pd.DataFrame:
    told = pd.read_parquet(folder / "overrides.parquet")
    return OVERRIDES.check(told).set_index("row")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without overrides."""
    folder = tmp_path_factory.mktemp("asked")
    enrich(folder)
    return folder


def test_a_firm_is_asked_about_once(asked: Path) -> None:
    """Two spellings are one question with their sums; what a person needs stands beside it, in words."""
    questions = REVIEW_CANDIDATES.check(questions_of(asked))
    assert questions["company"].tolist() == ["QUANTUM HARBOR INC.", "Anything Else Inc"]
    first = questions.iloc[0]
    assert first[["awards", "awards_usd", "first_year", "last_year"]].tolist() == [2, 1400, 2001, 2002]
    shown = first[["recipient_city", "recipient_duns", "website"]]
    assert shown.tolist() == ["AUSTIN", "012345678", "qh.us"]
    assert (first["runner_up_id"], len(first["spellings"].splitlines())) == ("r-dal", 2)
    assert first["evidence"].startswith("Has the same name. For it: name (strong)")
    assert questions["evidence"].iloc[1].startswith("Has the firm's DUNS. Against it: name")


def test_a_firm_with_very_many_spellings_is_asked_about_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cell can't hold becomes another question; no company is lost."""
    monkeypatch.setattr(review, "MOST_SPELLINGS", 1)
    enrich(tmp_path)
    lines = questions_of(tmp_path)["spellings"].str.count("\n") + 1
    assert lines.tolist() == [1, 1, 1]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_same_is_accepted_for_every_spelling(asked: Path, tmp_path: Path, suffix: str) -> None:
    """A decision holds for all companies of the question, says who and why, and claims no probability."""
    done = enrich(tmp_path, answer(asked, tmp_path / f"filled{suffix}", quantum="same"))
    matches = matches_of(tmp_path)
    for company in ("Quantum Harbor, Inc", "QUANTUM HARBOR INC."):
        found = matches.loc[company]
        assert (found["recipient_id"], found["tier"], found["decision"]) == ("r-tx", "override", "accept")
        assert pd.isna(found["match_probability"]) and pd.isna(found["margin"])
        assert json.loads(found["evidence"]) == {"override": "same", "who": "Ann", "why": "asked them"}
    assert done.overrides == {"used": 1, "unused": 0, "same": 1, "different": 0, "other": 0}
    assert questions_of(tmp_path)["company"].tolist() == ["Anything Else Inc"]
    assert "1 same" in repr(done)
    enriched = pd.read_parquet(tmp_path / "enriched_awards.parquet")
    assert enriched["recipient_duns"].tolist()[:2] == ["012345678", "012345678"]


def test_different_lets_the_next_one_compete(asked: Path, tmp_path: Path) -> None:
    """Without the first of two equals the second is as probable as if it stood alone."""
    enrich(tmp_path, answer(asked, tmp_path / "filled.csv", quantum="different"))
    found = matches_of(tmp_path).loc["Quantum Harbor, Inc"]
    assert (found["recipient_id"], found["tier"], found["decision"]) == ("r-dal", "name_exact", "accept")
    assert found["match_probability"] > 0.95
    evidence = json.loads(found["evidence"])
    assert (evidence["override"], evidence["who"]) == ("different", "Ann") and evidence["name"] > 0


def test_different_leaves_a_wrong_identifier_aside(asked: Path, tmp_path: Path) -> None:
    """Whose DUNS was another firm's is matched without it, and rejected when nothing else is found."""
    enrich(tmp_path, answer(asked, tmp_path / "filled.csv", anything="different"))
    found = matches_of(tmp_path).loc["Anything Else Inc"]
    assert (found["decision"], found["tier"]) == ("reject", "override")
    assert pd.isna(found["recipient_id"])
    assert json.loads(found["evidence"])["why"] == "asked them"


@pytest.mark.parametrize("chosen", ["r-dal", "123456789", "C111ATT311C8"])
def test_another_recipient_is_named_by_any_identifier(asked: Path, tmp_path: Path, chosen: str) -> None:
    """An id, a DUNS or a UEI as the decision links the firm to that recipient."""
    enrich(tmp_path, answer(asked, tmp_path / "filled.csv", quantum=chosen))
    found = matches_of(tmp_path).loc["QUANTUM HARBOR INC."]
    assert found["recipient_id"] == ("r-vt" if chosen == "C111ATT311C8" else "r-dal")
    assert told_of(tmp_path).loc[2, "decision"] == "other"


def test_chunks_stay_good_and_only_the_decided_companies_change(asked: Path, tmp_path: Path) -> None:
    """Overrides make no chunk worthless, leave other companies as they were, and can be taken back."""
    enrich(tmp_path)
    before = {name: digest_file(tmp_path / f"{name}.parquet") for name in ("matches", "company_matches")}
    others = matches_of(tmp_path).drop(index=["Quantum Harbor, Inc", "QUANTUM HARBOR INC."])
    done = enrich(tmp_path, answer(asked, tmp_path / "filled.csv", quantum="same"))
    assert done.chunks_reused == done.chunks == 2
    pd.testing.assert_frame_equal(
        matches_of(tmp_path).drop(index=["Quantum Harbor, Inc", "QUANTUM HARBOR INC."]), others
    )
    enrich(tmp_path)
    assert before == {name: digest_file(tmp_path / f"{name}.parquet") for name in before}


def test_decisions_outlive_a_refreshed_file(asked: Path, tmp_path: Path) -> None:
    """The firm files another address, the recipient gets another id: the decision still finds both."""
    filled = answer(asked, tmp_path / "filled.csv", quantum="same")
    table = pd.read_csv(filled, dtype=str)
    table.loc[0, ["recipient_id", "recipient_duns"]] = ["an-old-id", "12345678"]  # without its zero
    table.to_csv(filled, index=False)
    moved = [{**values, "zip5": "76799"} for values in FILED]
    done = enrich(tmp_path, filled, moved)
    assert done.overrides["used"] == 1
    assert matches_of(tmp_path).loc["Quantum Harbor, Inc", "recipient_id"] == "r-tx"
    assert told_of(tmp_path).loc[2, "companies"] == 2


def test_what_was_settled_since_is_left_alone(asked: Path, tmp_path: Path) -> None:
    """Where the same name and state now has an identifier of its own, an old decision doesn't overrule it."""
    filled = answer(asked, tmp_path / "filled.csv", quantum="same")
    known = [{**values, "zip5": "75201", "duns": "123456789"} for values in FILED[:1]]
    done = enrich(tmp_path, filled, known)
    assert done.overrides["unused"] == 1
    assert told_of(tmp_path)["reason"].tolist() == ["meanwhile settled without it"]
    assert matches_of(tmp_path).loc["Quantum Harbor, Inc", "recipient_id"] == "r-dal"


def test_a_row_written_by_hand_names_a_firm_by_name_and_state(tmp_path: Path) -> None:
    """A company, its state, a recipient, who and why are enough, and overrule even an accepted link."""
    told = "company,state,recipient_uei,decision,who,why\n"
    path = tmp_path / "by_hand.csv"
    path.write_text(
        f"{told}ZEBRA KITES LLC,VT,C111ATT311C8,different,Bo,they closed in 1999\nNobody,VT,X,same,Bo,?\n"
    )
    done = enrich(tmp_path, path)
    assert matches_of(tmp_path).loc["Zebra Kites", "decision"] == "reject"
    assert done.overrides == {"used": 1, "unused": 1, "same": 1, "different": 1, "other": 0}
    assert told_of(tmp_path).loc[3, "reason"] == "no recipient has the id, UEI or DUNS X"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("Zebra Kites,VT,r-vt,same,,why\n", "row 2"),
        ("Zebra Kites,VT,r-vt,,,\nZebra Kites,VT,r-vt,same,Bo,\n", "row 3"),
        ("Zebra Kites,VT,r-vt,same,Bo,sure\nZEBRA KITES INC,VT,r-vt,different,Cy,no\n", "rows 2 and 3"),
        ("Zebra Kites,VT,r-vt,same,Bo,sure\nZebra Kites,VT,,r-dal,Cy,no\n", "rows 2 and 3"),
        (",VT,r-vt,same,Bo,sure\n", r"row 2 \(no company: same\) lacks company"),
        ("Zebra Kites,VT,,same,Bo,sure\n", r"row 2 \(Zebra Kites: same\) lacks recipient_id"),
    ],
)
def test_mistakes_are_named_by_row(tmp_path: Path, rows: str, said: str) -> None:
    """Blank cells and contradictions are refused with the rows concerned."""
    path = tmp_path / "bad.csv"
    path.write_text("company,state,recipient_id,decision,who,why\n" + rows)
    with pytest.raises(InputError, match=said):
        enrich(tmp_path, path)


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "company,state\n"), ("b.xlsx", "no workbook"), ("c.csv", "")]
)
def test_files_that_are_no_review_list_are_refused(tmp_path: Path, name: str, content: str) -> None:
    """What lacks the columns or can't be read is the toolkit's own error."""
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="the overrides"):
        enrich(tmp_path, tmp_path / name)


def test_an_excluded_recipient_s_neighbour_at_the_same_place_is_still_found(tmp_path: Path) -> None:
    """The next candidate competes as if the excluded one, which settled the search, didn't exist."""
    filed = [{"company": "Zebra Kites", "city": "Barre", "state": "VT", "zip5": "05641", "award_usd": 1.0}]
    path = tmp_path / "by_hand.csv"
    path.write_text("company,state,recipient_id,decision,who,why\nZebra Kites,VT,r-vt,different,Bo,closed\n")
    sails = {**FIRMS[2], "recipient_id": "r-new", "recipient_name": "ZEBRA KITES AND SAILS INC", "uei": None}
    enrich(tmp_path, path, filed, [*FIRMS, sails])
    assert matches_of(tmp_path).loc["Zebra Kites", "recipient_id"] == "r-new"
