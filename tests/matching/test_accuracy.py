"""How right the matching is, measured on companies whose recipient is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sbir_toolkit.matching import (
    AccuracyReport,
    RecipientIndex,
    build_index,
    match_companies,
    measure_accuracy,
)
from sbir_toolkit.matching.accuracy.intervals import capture_recapture, wilson_interval
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import (
    ACCURACY,
    ACCURACY_ROUTES,
    ACCURACY_THRESHOLDS,
    RECIPIENT_CONTRACTS,
    RECIPIENTS,
)
from tests.matching.background import make_background
from tests.matching.conftest import Make, make_companies, make_frame

RECIPIENTS_MADE = [row | {"duns": f"{at + 100_000_000}"} for at, row in enumerate(make_background(500))]
YEARS = ("1990-1994", "2020-2024")
PLACE = ("city", "state", "zip5")


def companies_known(count: int, *, first: int = 0, **values: object) -> pd.DataFrame:
    """Make companies with the DUNS and the name of a recipient."""
    rows = RECIPIENTS_MADE[first : first + count]
    return make_companies(
        *(
            {
                "company_id": f"{at + first:016x}",
                "company": row["recipient_name"],
                "last_award_year": 2015,
                **{part: row[part] for part in ("duns", *PLACE)},
                **values,
            }
            for at, row in enumerate(rows)
        )
    )


def measure(
    companies: pd.DataFrame, index: RecipientIndex, matching: Matching | None = None, **accuracy: int
) -> AccuracyReport:
    """Match companies and measure how right that is."""
    params = matching or Matching()
    wanted = Accuracy(**{"sample_companies": 100, "decoys": 60, **accuracy})
    matches = match_companies(companies, index, params)
    return measure_accuracy(companies, matches, index, params, wanted, confidence=0.95)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RecipientIndex:
    """Build one index of all recipients."""
    folder = tmp_path_factory.mktemp("accuracy")
    write_parquet(folder / "recipients.parquet", RECIPIENTS.arrow(make_frame(RECIPIENTS, RECIPIENTS_MADE)))
    return build_index(folder / "recipients.parquet", folder / "index", Matching())


@pytest.fixture(scope="module")
def report(index: RecipientIndex) -> AccuracyReport:
    """Measure 100 companies and 60 decoys."""
    return measure(companies_known(200), index)


def value(report: AccuracyReport, estimate: str, part: str = "all", column: str = "value") -> float:
    """Look up an estimate."""
    return float(report.table.set_index(["estimate", "slice"]).loc[(estimate, part), column])


def test_the_tables_keep_their_contracts(report: AccuracyReport) -> None:
    """Every estimate is a share between its interval's ends, and so is each threshold's and each route's."""
    known = ACCURACY.check(report.table).dropna(subset=["low"])
    assert ((known["low"] <= known["value"] + 1e-9) & (known["value"] <= known["high"] + 1e-9)).all()
    ACCURACY_THRESHOLDS.check(report.thresholds)
    ACCURACY_ROUTES.check(report.routes)


def test_known_companies_are_found_again(report: AccuracyReport) -> None:
    """Companies that bear their recipient's own name are found without their identifier."""
    assert value(report, "hidden_identifier_precision") > 0.95
    assert value(report, "hidden_identifier_recall") > 0.9
    assert value(report, "candidate_recall") >= value(report, "hidden_identifier_review_recall")


def test_without_the_right_recipient_nobody_is_linked(report: AccuracyReport) -> None:
    """Where the right recipient is taken away, and for invented companies, links are false, and rare."""
    assert value(report, "removed_truth_link_share") < 0.05
    assert value(report, "decoy_link_share") < 0.05
    removed = report.cases[report.cases["kind"] == "removed"]
    assert not removed["is_right"].any()
    assert (removed["truth_id"] != removed["recipient_id"]).all()


def test_the_sample_has_the_size_asked_for(report: AccuracyReport) -> None:
    """As many companies as asked for are tried, each with and without its recipient, and the rest by year."""
    assert report.cases["kind"].value_counts()[["hidden", "removed", "older"]].tolist() == [100, 100, 100]
    assert report.reliability["n"].sum() == 125
    older = report.cases[report.cases["kind"] == "older"]
    assert not set(older["company_id"]) & set(report.cases[report.cases["kind"] == "hidden"]["company_id"])


def test_moved_companies_are_in_another_state(report: AccuracyReport) -> None:
    """A decoy with a shuffled place is never in its recipient's state, and is right only with its own."""
    moved = report.cases[report.cases["kind"] == "moved"]
    states = {row["recipient_id"]: row["state"] for row in RECIPIENTS_MADE}
    assert len(moved) > 20
    assert all(states[one.truth_id] != one.state for one in moved.itertuples())
    linked = moved[moved["decision"] == "accept"]
    assert value(report, "moved_place_link_share", column="numerator") == linked["is_right"].sum()
    assert value(report, "moved_place_other_link_share", column="numerator") == (~linked["is_right"]).sum()


def test_recipients_that_look_alike_are_unlinkable(make_index: Make) -> None:
    """Of recipients with one name and no place none is accepted for itself; with places of their own all."""
    twins = [{"recipient_name": "Zenith Pumps", "duns": f"{at + 200_000_000}"} for at in range(8)]
    report = measure(companies_known(5), make_index(twins), decoys=8)
    assert value(report, "unlinkable_share") == 1.0
    assert value(measure(companies_known(5), make_index(RECIPIENTS_MADE[:40])), "unlinkable_share") < 0.1


def test_a_company_whose_siblings_keep_their_identifiers_is_told_by_them(index: RecipientIndex) -> None:
    """Hidden one at a time, a new name is found by its other award; hidden all, it isn't."""
    home = companies_known(40)
    home["company"] = [f"Kestrel{at:03d}" for at in range(40)]
    again = home.assign(company_id=[f"again-{at}" for at in range(40)], address1="5 Other Street")
    both = pd.concat([home, again], ignore_index=True)
    report = measure(both, index)
    assert value(report, "hidden_identifier_recall") < 0.2
    assert value(report, "sibling_recall") > 0.9
    lone = companies_known(20, first=100, duns=None)
    assert value(measure(pd.concat([both, lone], ignore_index=True), index), "sibling_share") == 0.0


@pytest.fixture(scope="module")
def two_ages(index: RecipientIndex) -> AccuracyReport:
    """Measure companies of two ages: the old ones misspelt beyond recognition, few with an identifier."""
    old = companies_known(10, company="Xq Zzv", last_award_year=1991)
    old_unknown = companies_known(90, first=10, duns=None, last_award_year=1992)
    new = companies_known(150, first=100, last_award_year=2021)
    new_unknown = companies_known(30, first=300, duns=None, last_award_year=2022)
    older = companies_known(30, first=400, duns=None, last_award_year=1984)
    return measure(pd.concat([old, old_unknown, new, new_unknown, older], ignore_index=True), index)


def test_trials_are_weighted_to_the_years_they_stand_for(two_ages: AccuracyReport) -> None:
    """Where most companies without an identifier are old, recall is nearer to that of the old trials."""
    by_year = {years: value(two_ages, "hidden_identifier_recall", f"years={years}") for years in YEARS}
    assert by_year["1990-1994"] < 0.1
    assert by_year["2020-2024"] > 0.9
    wanted = 90 * by_year["1990-1994"] + 30 * by_year["2020-2024"]
    assert value(two_ages, "reweighted_recall") == pytest.approx(wanted / 120)
    assert value(two_ages, "hidden_identifier_recall") > 0.85
    effective = value(two_ages, "reweighted_recall", column="effective_cases")
    assert effective < value(two_ages, "reweighted_recall", column="denominator")


def test_years_without_a_trial_are_unknown(two_ages: AccuracyReport) -> None:
    """Years of which no company has an identifier have no estimate, and aren't covered."""
    assert np.isnan(value(two_ages, "hidden_identifier_recall", "years=1980-1984"))
    assert value(two_ages, "hidden_identifier_recall", "years=1980-1984", "denominator") == 0
    assert value(two_ages, "reweighted_coverage") == pytest.approx(120 / 150)


def test_a_doubtful_identifier_is_no_truth(index: RecipientIndex) -> None:
    """A company whose identifier is another firm's, elsewhere, isn't tried, and that is counted."""
    strangers = companies_known(
        20, first=50, company="Omega Paving of Idaho", city="Boise", state="ID", zip5="83702"
    )
    report = measure(pd.concat([companies_known(40), strangers], ignore_index=True), index)
    assert value(report, "identifier_doubted_share", column="numerator") == 20
    assert value(report, "hidden_identifier_recall", column="denominator") == 40


def test_contracts_are_tried_where_an_identifier_says_who_is_right(tmp_path: Path) -> None:
    """Two in ten contracts are another firm's; those known by nothing else are a slice of their own."""
    held = pd.DataFrame({"contract": [f"FA8650{at:02}C0001" for at in range(60)]})
    whose = [at + 200 if at in range(8) else at for at in range(60)]
    held["duns"] = [RECIPIENTS_MADE[at]["duns"] for at in whose]
    held = held.reindex(columns=RECIPIENT_CONTRACTS.names).assign(is_sbir=False)
    write_parquet(tmp_path / "contracts.parquet", RECIPIENT_CONTRACTS.arrow(held))
    recipients = RECIPIENTS.arrow(make_frame(RECIPIENTS, RECIPIENTS_MADE))
    index = build_index([recipients], tmp_path / "index", Matching(), tmp_path / "contracts.parquet")
    companies = companies_known(60).assign(contracts=held["contract"])
    companies.loc[40:, "duns"] = None
    companies.loc[50:, "company"] = "Kestrel Flight"
    report = measure(companies, index)
    doubted = int(value(report, "identifier_doubted_share", column="numerator"))
    for estimate, part, right, of in (
        ("contract_recall", "all", 32, 40),
        ("hidden_identifier_recall", "known_by=uei", 0, 0),
        ("hidden_identifier_recall", "known_by=duns", 40, 40),
        ("hidden_identifier_recall", "known_by=contract", 10, 20 - doubted),
    ):
        counts = (value(report, estimate, part, column) for column in ("numerator", "denominator"))
        assert tuple(counts) == (right, of), (estimate, part)
    # Who contradicts name and place is in review; some of these strangers don't.
    assert doubted < 5
    assert value(report, "contract_precision", column="numerator") == 32
    assert 32 <= value(report, "contract_precision", column="denominator") < 40


def test_implied_sums_are_those_of_the_probabilities(index: RecipientIndex) -> None:
    """What is implied for companies matched by name are the sums of their probabilities."""
    companies = companies_known(60, duns=None)
    matches = match_companies(companies, index, Matching())
    report = measure(companies, index)
    accepted = matches["decision"] == "accept"
    chance = matches["match_probability"].fillna(0)
    assert value(report, "implied_precision") == pytest.approx(chance[accepted].mean())
    assert value(report, "implied_recall") == pytest.approx(chance[accepted].sum() / chance.sum())


def test_thresholds_agree_with_the_decisions(report: AccuracyReport) -> None:
    """The current threshold's row repeats the estimates; a higher one never accepts more."""
    current = report.thresholds[report.thresholds["is_current"]].iloc[0]
    assert current["threshold"] == Matching().accept_probability
    for column, estimate in (
        ("precision", "hidden_identifier_precision"),
        ("recall", "hidden_identifier_recall"),
        ("removed_link_share", "removed_truth_link_share"),
        ("decoy_link_share", "decoy_link_share"),
    ):
        assert current[column] == pytest.approx(value(report, estimate))
        assert current[f"{column}_low"] == pytest.approx(value(report, estimate, column="low"))
    for column in ("accepted", "removed_link_share", "decoy_link_share", "companies"):
        assert report.thresholds[column].is_monotonic_decreasing


def test_an_accept_threshold_of_its_own_is_among_them(index: RecipientIndex) -> None:
    """Whatever threshold is used has its row."""
    report = measure(companies_known(20), index, Matching(accept_probability=0.93))
    assert report.thresholds.loc[report.thresholds["is_current"], "threshold"].tolist() == [0.93]


def test_routes_find_what_they_should(report: AccuracyReport) -> None:
    """Where every name is the recipient's own, the exact name finds all, and no route alone finds any."""
    assert value(report, "route_recall", "route=exact") == 1.0
    assert value(report, "route_recall", "route=place") == 0.0
    assert value(report, "route_alone_recall", "route=exact") < 0.2
    assert value(report, "routes_missed_share") == 0.0
    assert report.routes["cases"].sum() == 60
    assert report.routes["routes"].iloc[-1] == "none"
    # Nobody is found by place: nothing can be said of what both miss.
    assert np.isnan(value(report, "routes_missed_estimated_share"))


def test_the_seed_decides_the_sample(index: RecipientIndex) -> None:
    """The same seed gives the same report, in whatever order the companies are; another one doesn't."""
    companies = companies_known(200)

    def measured(seed: int, frame: pd.DataFrame) -> AccuracyReport:
        return measure(frame, index, sample_companies=20, decoys=5, seed=seed)

    one, other = measured(1, companies), measured(1, companies.iloc[::-1])
    for name in ("table", "thresholds", "routes", "reliability", "cases"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.cases["company_id"].tolist() != measured(2, companies).cases["company_id"].tolist()


def test_nothing_to_measure_is_said_so(make_index: Make) -> None:
    """Without any identifier the estimates are null, not zero, and the verdict says unknown."""
    report = measure(make_companies({"company": "Nanohmics"}), make_index(RECIPIENTS_MADE), decoys=1)
    table = ACCURACY.check(report.table).set_index("estimate")
    assert pd.isna(table.loc["hidden_identifier_precision", "value"]).all()
    assert table.loc["hidden_identifier_precision", "denominator"].eq(0).all()
    assert "unknown" in repr(report)
    ACCURACY_THRESHOLDS.check(report.thresholds)
    ACCURACY_ROUTES.check(report.routes)


def test_no_companies_and_no_recipients_are_measured_too(make_index: Make) -> None:
    """Nothing at all gives a report without a single number."""
    report = measure(companies_known(3).iloc[:0], make_index([]))
    assert ACCURACY.check(report.table)["value"].isna().all()


def test_the_report_says_what_follows(report: AccuracyReport) -> None:
    """Both forms of the report hold the main estimates with their intervals and numbers of cases."""
    for text in (repr(report), report._repr_html_()):
        assert "Accepted links that are right" in text
        assert "n = 100" in text


def test_wilson_interval_of_known_counts() -> None:
    """The interval of 50 of 100 is the textbook's."""
    low, high = wilson_interval(50, 100, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)


@given(some.integers(0, 400), some.integers(0, 400), some.integers(1, 400), some.floats(0.5, 0.99))
@settings(deadline=None)
def test_capture_recapture_never_sees_fewer_than_were_seen(
    first: int, second: int, both: int, confidence: float
) -> None:
    """The estimate lies in its interval, above what was seen, and doesn't depend on who came first."""
    told = capture_recapture(first + both, second + both, both, confidence)
    assert told is not None
    total, low, high = told
    assert first + second + both - 1e-6 <= low <= total <= high
    assert told == pytest.approx(capture_recapture(second + both, first + both, both, confidence))


def test_two_catches_find_a_known_number() -> None:
    """Two independent catches of 1,000 tell about 1,000, four times in five and more."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(100):
        one, other = rng.random(1000) < 0.6, rng.random(1000) < 0.3
        told = capture_recapture(int(one.sum()), int(other.sum()), int((one & other).sum()), 0.95)
        hits += told is not None and told[1] <= 1000 <= told[2]
    assert hits >= 85
