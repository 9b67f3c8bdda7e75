"""A sample is labelled blind, and the answers tell of all companies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sbir_toolkit.errors import InputError
from sbir_toolkit.matching import (
    RecipientIndex,
    build_index,
    draw_label_sample,
    match_companies,
    measure_accuracy,
    read_labels,
)
from sbir_toolkit.matching.accuracy.label_sample import share_out
from sbir_toolkit.matching.accuracy.proposals import company_of, make_key
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.reports.spreadsheets import write_label_sample
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import ACCURACY, LABEL_SAMPLE, RECIPIENTS
from tests.matching.background import make_background
from tests.matching.conftest import make_companies, make_frame

KNOWN = make_background(400)
# So that some are rejected, too.
PARAMS = Matching(review_probability=0.3)
SIZES = Accuracy(sample_companies=20, decoys=10, label_sample=60)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RecipientIndex:
    """Build an index of all recipients."""
    folder = tmp_path_factory.mktemp("labels")
    write_parquet(folder / "recipients.parquet", RECIPIENTS.arrow(make_frame(RECIPIENTS, KNOWN)))
    return build_index(folder / "recipients.parquet", folder / "index", Matching())


@pytest.fixture(scope="module")
def companies() -> pd.DataFrame:
    """Make companies with a recipient's name, some of them shortened to their first words."""
    rows = []
    for at, row in enumerate(KNOWN[:240]):
        words = str(row["recipient_name"]).split()
        name = " ".join(words if at % 2 else words[: max(1, len(words) // 2)])
        rows.append({"company_id": f"{at:016x}", "company": name, "city": row["city"], "state": row["state"]})
    return make_companies(*rows)


@pytest.fixture(scope="module")
def matches(companies: pd.DataFrame, index: RecipientIndex) -> pd.DataFrame:
    """Match the companies."""
    return match_companies(companies, index, PARAMS)


@pytest.fixture(scope="module")
def sample(companies: pd.DataFrame, matches: pd.DataFrame, index: RecipientIndex) -> pd.DataFrame:
    """Draw 60 pairs."""
    return draw_label_sample(companies, matches, index, PARAMS, SIZES)


def fill(sample: pd.DataFrame, folder: Path, answers: list[str], ending: str = "csv") -> Path:
    """Fill in the written sample as a person would, and give the file."""
    files = write_label_sample(sample, folder)
    path = files.csv if ending == "csv" else files.xlsx
    sheet = pd.read_csv(path, dtype=str) if ending == "csv" else pd.read_excel(path, dtype=str)
    filled = sheet.assign(same=answers, who="me")
    if ending == "csv":
        filled.to_csv(path, index=False)
    else:
        filled.to_excel(path, index=False)
    return path


def estimate(
    labels: pd.DataFrame, companies: pd.DataFrame, matches: pd.DataFrame, index: RecipientIndex
) -> pd.DataFrame:
    """Measure the accuracy with labels."""
    report = measure_accuracy(companies, matches, index, Matching(), SIZES, confidence=0.95, labels=labels)
    return ACCURACY.check(report.table).set_index(["estimate", "slice"])


def test_the_sample_is_blind_and_keeps_its_contract(sample: pd.DataFrame, tmp_path: Path) -> None:
    """It has the size asked for, and nothing in the table or the files tells what the matcher thinks."""
    LABEL_SAMPLE.check(sample)
    assert len(sample) == 60
    files = write_label_sample(sample, tmp_path)
    head = files.csv.read_text(encoding="utf-8-sig").splitlines()[0]
    assert head.split(",")[:4] == ["same", "who", "note", "company"]
    for telling in ("probability", "decision", "tier", "evidence", "margin"):
        assert telling not in head


def test_rare_kinds_are_asked_about_too(sample: pd.DataFrame, matches: pd.DataFrame) -> None:
    """Each decision has its share of the sample, though most companies are of one kind."""
    decision = matches.set_index("company_id")["decision"]
    asked = decision[sample["key"].map(company_of)].value_counts()
    population = matches.loc[matches["match_probability"].notna(), "decision"].value_counts()
    assert set(asked.index) == set(population.index)
    rarest = population.idxmin()
    assert asked[rarest] / asked.sum() > population[rarest] / population.sum()


def test_the_order_of_companies_does_not_matter(
    companies: pd.DataFrame, matches: pd.DataFrame, index: RecipientIndex, sample: pd.DataFrame
) -> None:
    """Other companies around it, or another order, don't change who is asked about; the seed does."""
    shuffled = companies.sample(frac=1, random_state=2)
    drawn = draw_label_sample(shuffled, matches.iloc[::-1], index, Matching(), SIZES)
    pd.testing.assert_frame_equal(drawn, sample)
    other = SIZES.model_copy(update={"seed": 8})
    assert set(draw_label_sample(companies, matches, index, Matching(), other)["key"]) != set(sample["key"])


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_answers_come_back(sample: pd.DataFrame, tmp_path: Path, ending: str) -> None:
    """What was filled in is read, whatever the letters' case; rows left blank are left out."""
    path = fill(sample, tmp_path, ["yes", "No", " unsure ", *[""] * 57], ending)
    labels = read_labels(path)
    assert labels["same"].tolist() == ["yes", "no", "unsure"]
    assert labels["key"].tolist() == sample["key"].tolist()[:3]


def test_all_right_is_all_right(
    companies: pd.DataFrame,
    matches: pd.DataFrame,
    index: RecipientIndex,
    sample: pd.DataFrame,
    tmp_path: Path,
) -> None:
    """When every accepted pair is right and no other one is, precision and recall are 1, not quite surely."""
    decision = matches.set_index("company_id")["decision"][sample["key"].map(company_of)]
    answers = np.where(decision == "accept", "yes", "no").tolist()
    table = estimate(read_labels(fill(sample, tmp_path, answers)), companies, matches, index)
    for name in ("labelled_precision", "labelled_recall"):
        row = table.loc[(name, "all")]
        assert row["value"] == 1.0
        assert 0.5 < row["low"] < 1.0
    assert table.loc[("labelled_right_share", "decision=reject"), "value"] == 0.0
    assert table.loc[("labelled_coverage", "all"), "value"] == 1.0


def test_answers_count_for_their_stratum(
    companies: pd.DataFrame, matches: pd.DataFrame, index: RecipientIndex, tmp_path: Path
) -> None:
    """With every pair labelled, the estimate is the share itself; with a sample its interval holds it."""
    truth = {f"{at:016x}": f"background-{at}" for at in range(240)}
    everything = SIZES.model_copy(update={"label_sample": 240})
    right = matches["company_id"].map(truth) == matches["recipient_id"]
    accepted = matches["decision"] == "accept"
    for sizes in (everything, SIZES):
        sample = draw_label_sample(companies, matches, index, Matching(), sizes)
        owner = sample["key"].map(company_of)
        is_right = [make_key(one, truth[one]) == key for one, key in zip(owner, sample["key"], strict=True)]
        labels = read_labels(fill(sample, tmp_path, np.where(is_right, "yes", "no").tolist()))
        row = estimate(labels, companies, matches, index).loc[("labelled_precision", "all")]
        assert row["low"] <= right[accepted].mean() <= row["high"]
        if sizes is everything:
            assert row["value"] == pytest.approx(right[accepted].mean())


def test_labels_outlive_refreshed_files(
    companies: pd.DataFrame,
    matches: pd.DataFrame,
    index: RecipientIndex,
    sample: pd.DataFrame,
    tmp_path: Path,
) -> None:
    """Labels of companies that are gone are left out and counted; the others count as before."""
    labels = read_labels(fill(sample, tmp_path, ["yes"] * 60))
    gone = set(sample["key"].map(company_of).iloc[:15])
    kept = companies[~companies["company_id"].isin(gone)]
    table = estimate(labels, kept, matches[~matches["company_id"].isin(gone)], index)
    assert table.loc[("labels_used_share", "all"), ["numerator", "denominator"]].tolist() == [45, 60]


def test_unsure_is_no_answer(
    companies: pd.DataFrame,
    matches: pd.DataFrame,
    index: RecipientIndex,
    sample: pd.DataFrame,
    tmp_path: Path,
) -> None:
    """Unsure labels are counted by themselves and tell nothing of right or wrong."""
    labels = read_labels(fill(sample, tmp_path, ["unsure"] * 60))
    table = estimate(labels, companies, matches, index)
    assert table.loc[("labels_unsure_share", "all"), "value"] == 1.0
    assert pd.isna(table.loc[("labelled_precision", "all"), "value"])


@pytest.mark.parametrize(
    ("column", "wrong", "said"),
    [
        ("same", "maybe", "row 4, column same"),
        ("key", "pair-0123456789abcdef-00000000-0000", "row 4, column key"),
        ("key", "", "row 4, column key"),
    ],
)
def test_what_cannot_be_used_is_named(
    sample: pd.DataFrame, tmp_path: Path, column: str, wrong: str, said: str
) -> None:
    """An answer that is none and a key that is none are refused, with the row and the value."""
    path = fill(sample, tmp_path, ["yes"] * 60)
    sheet = pd.read_csv(path, dtype=str)
    sheet.loc[2, column] = wrong
    sheet.to_csv(path, index=False)
    with pytest.raises(InputError, match=said) as caught:
        read_labels(path)
    assert repr(wrong) in str(caught.value)
    assert caught.value.rows is not None and len(caught.value.rows) == 1


def test_two_answers_to_one_question_are_refused(sample: pd.DataFrame, tmp_path: Path) -> None:
    """A pair that is answered twice is named."""
    path = fill(sample, tmp_path, ["yes"] * 60)
    sheet = pd.read_csv(path, dtype=str)
    pd.concat([sheet, sheet.iloc[:1]]).to_csv(path, index=False)
    with pytest.raises(InputError, match="row 62, column key"):
        read_labels(path)


def test_missing_columns_and_files_are_named(sample: pd.DataFrame, tmp_path: Path) -> None:
    """A renamed column, and a file that isn't there."""
    path = fill(sample, tmp_path, ["yes"] * 60)
    pd.read_csv(path, dtype=str).rename(columns={"same": "equal"}).to_csv(path, index=False)
    with pytest.raises(InputError, match="lack columns"):
        read_labels(path)
    with pytest.raises(InputError, match="can't be read"):
        read_labels(tmp_path / "nothing.csv")


@given(some.lists(some.integers(0, 50), min_size=1, max_size=12), some.integers(0, 400))
@settings(deadline=None)
def test_shares_are_fair_and_complete(sizes: list[int], total: int) -> None:
    """Nobody gets more than there is, everything is given out, and who is larger doesn't get less."""
    shares = share_out(np.array(sizes), total)
    assert shares.sum() == min(total, sum(sizes))
    assert (shares <= sizes).all()
    order = np.argsort(sizes, kind="stable")
    rise = np.diff(shares[order])[np.diff(np.array(sizes)[order]) > 0]
    assert (rise >= -1).all()
