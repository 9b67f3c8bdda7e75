"""The made-up files: their layout, their truth, and how near they are to what was measured on real ones."""

from __future__ import annotations

import ast
import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sbir_toolkit.sources.synthetic as package
from sbir_toolkit.errors import ParameterError
from sbir_toolkit.sources import read_awards, read_recipients
from sbir_toolkit.sources.synthetic import SyntheticFiles, write_synthetic

HEADER = (
    'Company,"Award Title",Agency,Branch,Phase,Program,"Agency Tracking Number",Contract,'
    '"Proposal Award Date",'
    '"Contract End Date","Solicitation Number","Solicitation Year","Solicitation Close Date",'
    '"Proposal Receipt Date","Date of Notification","Topic Code","Award Year","Award Amount",UEI,Duns,'
    '"HUBZone Owned","Socially and Economically Disadvantaged","Woman Owned","Number Employees",'
    '"Company Website",Address1,Address2,City,State,Zip,Abstract,"Contact Name","Contact Title",'
    '"Contact Phone","Contact Email","PI Name","PI Title","PI Phone","PI Email","RI Name","RI POC Name",'
    '"RI POC Phone"\n'
)
REAL_UEIS = ("N4YFFGL4CDX5", "VN1AJFAD19J9", "DC2LX4S1GGF3", "C111ATT311C8", "K4NPA3JSZ7V8")
LEGAL_FORM = re.compile(
    r"(,? (?:INCORPORATED|INC\.?|L\.?L\.?C\.?|CORPORATION|CORP\.?|COMPANY|CO\.?|LIMITED|LTD\.?))$"
)


@dataclass(frozen=True)
class World:
    """One made-up world, read as text."""

    files: SyntheticFiles
    awards: pd.DataFrame
    recipients: pd.DataFrame
    truth: pd.DataFrame
    linked: pd.DataFrame
    main_kinds: pd.Series


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    files = write_synthetic(tmp_path_factory.mktemp("world"), awards=20_000, recipients=40_000, seed=11)
    awards, recipients, truth = read(files.awards), read(files.recipients), read(files.truth)
    linked = awards.join(truth).merge(recipients, on="recipient_hash")
    linked = linked[linked["is_rejected"] == "0"]
    spellings = linked.groupby(["recipient_hash", "noise"]).size().sort_values(kind="stable")
    main_kinds = spellings.reset_index().drop_duplicates("recipient_hash", keep="last")["noise"]
    return World(files, awards, recipients, truth, linked, main_kinds)


def check_digit(characters: str) -> str:
    """Compute the UEI's check digit, written here once more from GSA's description."""
    total = sum(ord(character) * place % 10 for place, character in enumerate(characters, start=1))
    while total > 9:
        total = sum(int(digit) * place % 10 for place, digit in enumerate(str(total), start=1))
    return str(total)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def squeeze(name: str) -> str:
    """Leave only letters and digits, in capitals."""
    return re.sub(r"[^0-9A-Z]", "", name.upper())


def test_the_award_file_has_the_official_layout(world: World) -> None:
    """The header is the official one, byte for byte, records span lines, states are spelled out."""
    text = world.files.awards.read_text(encoding="utf-8")
    assert text.startswith(HEADER)
    assert len(world.awards) == 20_000
    assert 2.2 < text.count("\n") / 20_000 < 2.8
    assert {"California", "Massachusetts"} <= set(world.awards["State"])
    assert set(world.awards["Phase"]) == {"Phase I", "Phase II"}
    assert world.awards["Award Amount"].str.fullmatch(r"\d+\.\d{4}").mean() > 0.98


def test_the_recipient_file_has_the_columns_that_the_reader_knows(world: World) -> None:
    """Fourteen columns in order, one row per recipient, each with its own hash."""
    assert list(world.recipients.columns) == [
        "recipient_hash", "legal_business_name", "uei", "duns", "parent_uei", "parent_legal_business_name",
        "address_line_1", "city", "state", "zip5", "country_code", "cage", "alternate_names", "source",
    ]  # fmt: skip
    assert len(world.recipients) == 40_000
    assert world.recipients["recipient_hash"].is_unique


@pytest.mark.parametrize("recipients_format", ["csv", "parquet"])
def test_the_size_of_the_blocks_changes_no_byte(tmp_path: Path, recipients_format: str) -> None:
    """The same seed gives the same files whether rows are made 97 or 50,000 at a time."""
    digests = []
    for block_rows in (97, 50_000):
        files = write_synthetic(
            tmp_path / str(block_rows),
            awards=700,
            recipients=3_000,
            seed=5,
            recipients_format=recipients_format,
            archives=True,
            block_rows=block_rows,
        )
        assert len(files.archives) == 2
        paths = (files.awards, files.recipients, files.truth, *files.archives)
        digests.append([digest(path) for path in paths])
    assert digests[0] == digests[1]


def test_another_seed_gives_another_world(tmp_path: Path) -> None:
    """Nothing of one seed's names and places is left under another one."""
    first, second = (
        read(write_synthetic(tmp_path / str(seed), awards=100, recipients=500, seed=seed).recipients)
        for seed in (1, 2)
    )
    assert not set(first["recipient_hash"]) & set(second["recipient_hash"])
    assert (first["legal_business_name"] == second["legal_business_name"]).mean() < 0.01


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    """A small world has the digests it had when it was first made."""
    files = write_synthetic(tmp_path, awards=300, recipients=2_000, seed=20_261_123)
    paths = {name: path for name, path in vars(files).items() if name != "archives"}
    assert {name: digest(path)[:16] for name, path in paths.items()} == {
        "awards": "e2488be84cc957f5",
        "recipients": "7619619acb522b0a",
        "truth": "13d5c9c20a98a11b",
    }


def test_parquet_and_csv_hold_the_same_recipients(tmp_path: Path) -> None:
    """The format is a matter of storage."""
    by_format = {
        form: write_synthetic(tmp_path, awards=50, recipients=800, seed=3, recipients_format=form).recipients
        for form in ("csv", "parquet")
    }
    stored = pq.read_table(by_format["parquet"]).to_pandas().fillna("")
    pd.testing.assert_frame_equal(read(by_format["csv"]), stored, check_dtype=False)


def test_awards_are_the_same_in_each_edition(tmp_path: Path) -> None:
    """The older file and the interface's answers are read as the same awards; each lacks something."""
    frames = {}
    for form in ("csv", "legacy", "json"):
        files = write_synthetic(tmp_path / form, awards=120, recipients=300, seed=3, awards_format=form)
        frames[form], rejects = read_awards(files.awards)
        assert len(rejects) == 2
    current = frames["csv"].drop(columns="source_line")
    legacy = frames["legacy"].drop(columns=["source_line", "uei", "award_usd"])
    pd.testing.assert_frame_equal(legacy, current.drop(columns=["uei", "award_usd"]))
    pd.testing.assert_series_equal(frames["legacy"]["award_usd"], current["award_usd"] // 1)
    dates = ["solicitation_close_date", "receipt_date", "notification_date"]
    # Each answer has a link of its own, so none repeats another.
    answers = frames["json"].drop(columns=["source_line", "is_duplicate", *dates])
    pd.testing.assert_frame_equal(answers, current.drop(columns=["is_duplicate", *dates]))


def test_the_truth_names_rows_that_exist(world: World) -> None:
    """Each record has its line of truth, and each counterpart stands in the recipient file."""
    truth = world.truth
    assert truth["source_row"].astype(int).tolist() == list(range(1, 20_001))
    named = truth["recipient_hash"] != ""
    assert (named == (truth["has_counterpart"] == "1")).all()
    assert set(truth.loc[named, "recipient_hash"]) <= set(world.recipients["recipient_hash"])
    assert 0.7 < named.mean() < 0.9
    assert set(truth.loc[~named & (truth["is_rejected"] == "0"), "noise"]) == {"no_counterpart"}


def test_one_record_in_two_thousand_cannot_be_read_and_the_truth_says_which(world: World) -> None:
    """A blank company or an award year that is none, nowhere else."""
    company, year = world.awards["Company"].str.strip(), world.awards["Award Year"]
    is_unreadable = (company == "") | ~year.str.fullmatch(r"(19|20)\d\d")
    assert (is_unreadable == (world.truth["is_rejected"] == "1")).all()
    assert is_unreadable.sum() == 10
    assert set(world.truth.loc[is_unreadable, "noise"]) == {"blank_company", "unreadable_year"}


def test_three_records_repeat_another_one(world: World) -> None:
    """Exactly three, in every field."""
    assert world.awards.duplicated().sum() == 3


def test_the_readers_take_the_files_and_reject_what_the_truth_rejects(world: World) -> None:
    """The project's own readers find the rejected rows, and no fault in any other."""
    awards, rejects = read_awards(world.files.awards)
    rejected = world.truth.loc[world.truth["is_rejected"] == "1", "source_row"].astype(int)
    assert sorted(rejects["source_row"]) == sorted(rejected)
    assert len(awards) == 20_000 - len(rejected)
    truth = world.truth.set_index(world.truth["source_row"].astype(int)).loc[awards["source_row"]]
    assert (awards["uei"].notna().to_numpy() == (truth["has_uei"] == "1").to_numpy()).all()
    assert (awards["duns"].notna().to_numpy() == (truth["has_duns"] == "1").to_numpy()).all()
    assert awards["is_duplicate"].sum() == 3
    recipients, recipient_rejects = read_recipients(world.files.recipients)
    assert len(recipients) == 40_000
    assert len(recipient_rejects) == 0
    assert recipients["uei"].notna().sum() == (world.recipients["uei"] != "").sum()


def test_the_check_digit_agrees_with_real_identifiers() -> None:
    """The second writing of the rule gives the last digit of real UEIs."""
    assert [check_digit(uei[:11]) for uei in REAL_UEIS] == [uei[11] for uei in REAL_UEIS]


def test_every_uei_is_well_formed_and_no_two_are_alike(world: World) -> None:
    """Twelve characters, no I or O, no CAGE in front, no nine digits in a row, the right check digit."""
    ueis = world.recipients.loc[world.recipients["uei"] != "", "uei"]
    assert ueis.is_unique
    assert ueis.str.fullmatch(r"[A-HJ-NP-Z][0-9A-HJ-NP-Z]{10}[0-9]").all()
    assert not ueis.str.contains(r"\d{9}").any()
    assert all(check_digit(uei[:11]) == uei[11] for uei in ueis)
    of_awards = world.awards.loc[world.awards["UEI"] != "", "UEI"]
    assert all(check_digit(uei[:11]) == uei[11] for uei in of_awards)


def test_recipient_hashes_are_those_of_usaspending(world: World) -> None:
    """MD5 of the upper-case identifier, as for the one real recipient whose hash is known."""

    def usaspending_hash(uei: str, duns: str) -> str:
        digits = hashlib.md5(
            (f"UEI-{uei}" if uei else f"DUNS-{duns}").encode(), usedforsecurity=False
        ).hexdigest()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    assert usaspending_hash("C111ATT311C8", "") == "43a4cc43-3a3b-c033-35bf-48f3179c40a2"
    rows = world.recipients[["uei", "duns"]].itertuples(index=False)
    assert world.recipients["recipient_hash"].tolist() == [usaspending_hash(*row) for row in rows]


def test_identifiers_lead_to_the_truth(world: World) -> None:
    """A UEI on an award is its recipient's or nobody's; a DUNS is once in 500 companies a stranger's."""
    holders = world.recipients.set_index("uei")["recipient_hash"].drop("")
    found = world.awards["UEI"].map(holders)
    is_linked = world.truth["has_counterpart"] == "1"
    assert found[~is_linked].isna().all()
    assert (found.dropna() == world.truth.loc[found.dropna().index, "recipient_hash"]).all()
    assert found[is_linked & (world.awards["UEI"] != "")].notna().mean() > 0.9
    holders = world.recipients.set_index("duns")["recipient_hash"].drop("")
    found = world.awards["Duns"].map(holders).dropna()
    wrong = found != world.truth.loc[found.index, "recipient_hash"]
    assert 0 < wrong.mean() < 0.015


def test_identifiers_are_given_in_the_years_in_which_they_were_asked_for(world: World) -> None:
    """No UEI before 2015; hardly a DUNS before 2000, nearly always in 2015-2021, hardly after 2022."""
    year = pd.to_numeric(world.awards["Award Year"], errors="coerce")
    has_uei, has_duns = world.truth["has_uei"] == "1", world.truth["has_duns"] == "1"
    readable = world.truth["is_rejected"] == "0"
    assert not has_uei[readable & (year < 2015)].any()
    assert has_uei[year >= 2015].mean() > 0.95
    assert has_duns[year < 2000].mean() < 0.02
    assert 0.38 < has_duns[year.between(2000, 2002)].mean() < 0.50
    assert has_duns[year.between(2016, 2021)].mean() > 0.95
    assert has_duns[year > 2022].mean() < 0.10
    assert year.min() == 1983
    assert year.max() == 2025


def test_duns_come_in_all_the_shapes_met(world: World) -> None:
    """Nine digits mostly; apostrophes, hyphens, floats, lost zeros, only zeros, a word for none at times."""
    duns = world.awards.loc[world.awards["Duns"] != "", "Duns"]
    assert duns.str.fullmatch(r"\d{9}").mean() > 0.9
    for shape in (r"'\d{9}'", r"\d\d-\d{3}-\d{4}", r"\d+\.0", r"[1-9]\d{4,7}", r"0{9}", r"N/A"):
        assert 0 < duns.str.fullmatch(shape).mean() < 0.04, shape
    assert world.recipients.loc[world.recipients["duns"] != "", "duns"].is_unique


@pytest.mark.parametrize(
    ("kind", "share", "tolerance"),
    [
        ("identical", 0.330, 0.04),
        ("case", 0.236, 0.04),
        ("punctuation", 0.205, 0.04),
        ("legal_abbreviated", 0.063, 0.025),
        ("legal_dropped", 0.048, 0.02),
        ("legal_changed", 0.024, 0.015),
        ("words_changed", 0.017, 0.012),
        ("spacing", 0.011, 0.01),
        ("rename", 0.030, 0.014),
    ],
)
def test_names_differ_as_often_as_measured(world: World, kind: str, share: float, tolerance: float) -> None:
    """The main spelling of each counterpart differs from the register in the measured way about as often."""
    assert (world.main_kinds == kind).mean() == pytest.approx(share, abs=tolerance)


def test_each_kind_of_difference_is_what_it_is_called(world: World) -> None:
    """What the truth calls case differs in case only, and so on."""
    names = world.linked.assign(
        award=world.linked["Company"].str.strip().str.replace("  ", " "),
        name=world.linked["legal_business_name"],
    )
    of = dict(list(names.groupby("noise")))
    assert (of["identical"]["award"] == of["identical"]["name"]).all()
    assert (of["case"]["award"].str.upper() == of["case"]["name"].str.upper()).all()
    assert (of["case"]["award"] != of["case"]["name"]).all()
    for kind in ("punctuation", "spacing"):
        assert (of[kind]["award"].map(squeeze) == of[kind]["name"].map(squeeze)).all()
        assert (of[kind]["award"] != of[kind]["name"]).all()
    assert of["html_entity"]["award"].str.contains("&amp;").all()
    for kind in ("legal_abbreviated", "legal_dropped", "legal_changed"):
        bare = [
            of[kind][side].str.upper().str.replace(LEGAL_FORM, "", regex=True).map(squeeze)
            for side in ("award", "name")
        ]
        assert (bare[0] == bare[1]).mean() > 0.97, kind
    assert (of["truncated"]["award"].str.len() <= 30).all()
    assert all(
        name.upper().startswith(award.upper())
        for award, name in of["truncated"][["award", "name"]].itertuples(index=False)
    )
    turned = of["word_order"][["award", "name"]].map(
        lambda text: sorted(re.findall(r"[A-Z0-9]+", text.upper()))
    )
    form = {"INC", "LLC", "CORP", "CORPORATION", "INCORPORATED", "L", "C", "CO", "COMPANY"}
    assert all(set(award) - form == set(name) - form for award, name in turned.itertuples(index=False))
    assert (of["rename"]["award"].map(squeeze) != of["rename"]["name"].map(squeeze)).all()


def test_some_former_names_are_on_record(world: World) -> None:
    """Four in ten renamed firms have the name on their awards among the recipient's alternate names."""
    renamed = world.linked[world.linked["noise"] == "rename"].drop_duplicates("recipient_hash")
    known = [
        squeeze(award) in [squeeze(name) for name in names.split("|")]
        for award, names in renamed[["Company", "alternate_names"]].itertuples(index=False)
    ]
    assert 0.15 < sum(known) / len(known) < 0.65


def test_awards_per_company_have_the_measured_tail(world: World) -> None:
    """44 % of companies have one award, 4 % more than 20, and none more than one award in a hundred."""
    counts = world.truth.loc[world.truth["has_counterpart"] == "1"].groupby("recipient_hash").size()
    assert (counts == 1).mean() == pytest.approx(0.44, abs=0.04)
    assert (counts > 20).mean() == pytest.approx(0.039, abs=0.015)
    assert counts.max() <= 203
    assert counts.nlargest(len(counts) // 100).sum() / counts.sum() > 0.12


def test_firms_move_as_often_as_measured(world: World) -> None:
    """Of companies with two awards or more 8 % are met in two states and 25 % in two cities."""
    places = world.linked.assign(city_then=world.linked["City"].str.upper().str.replace("ST. ", "SAINT "))
    firms = places.groupby("recipient_hash").agg(
        {"source_row": "size", "State": "nunique", "city_then": "nunique"}
    )
    several = firms[firms["source_row"] > 1]
    assert (several["State"] > 1).mean() == pytest.approx(0.079, abs=0.03)
    assert (several["city_then"] > 1).mean() == pytest.approx(0.251, abs=0.05)


def test_the_fill_is_that_of_the_official_files(world: World) -> None:
    """Blank award dates, contracts, identifiers and other names about as often as in the real files."""
    awards, recipients = world.awards, world.recipients
    for column, blank, tolerance in (
        ("Proposal Award Date", 0.48, 0.04),
        ("Contract", 0.24, 0.02),
        ("Date of Notification", 0.61, 0.04),
        ("Proposal Receipt Date", 0.72, 0.04),
    ):
        assert (awards[column] == "").mean() == pytest.approx(blank, abs=tolerance), column
    assert awards["Company"].str.endswith(" ").mean() == pytest.approx(0.12, abs=0.01)
    assert (awards["Abstract"] == "N/A").mean() == pytest.approx(0.128, abs=0.02)
    for column, filled, tolerance in (
        ("uei", 0.97, 0.01),
        ("duns", 0.61, 0.02),
        ("alternate_names", 0.12, 0.02),
        ("parent_legal_business_name", 0.06, 0.02),
    ):
        assert (recipients[column] != "").mean() == pytest.approx(filled, abs=tolerance), column
    assert awards["Agency"].value_counts(normalize=True)["Department of Defense"] == pytest.approx(
        0.49, abs=0.08
    )
    assert (awards["State"] == "California").mean() == pytest.approx(0.22, abs=0.06)


def test_phases_of_one_project_share_the_tracking_number(world: World) -> None:
    """A repeated tracking number is one company's first and second phase, the second one later."""
    rows = world.awards.join(world.truth).drop_duplicates(HEADER.strip().replace('"', "").split(","))
    rows = rows[(rows["is_rejected"] == "0") & (rows["Agency"] == "Department of Health and Human Services")]
    pairs = rows[rows.duplicated("Agency Tracking Number", keep=False)].groupby("Agency Tracking Number")
    assert len(pairs) > 300
    distinct = pairs.agg({"recipient_hash": "nunique", "Phase": "nunique"})
    assert (distinct["recipient_hash"] == 1).mean() > 0.98
    assert (distinct["Phase"] == 2).mean() > 0.85


def test_invented_names_are_as_varied_as_real_ones(world: World) -> None:
    """Words per name, the 50 most common words' weight and the words met once are near real ones."""
    names = world.recipients["legal_business_name"].str.upper().str.replace(LEGAL_FORM, "", regex=True)
    tokens = names.str.replace("&", "AND").str.findall(r"[^\W_]+")
    counts = tokens.explode().value_counts()
    assert tokens.str.len().mean() == pytest.approx(2.9, abs=0.25)
    assert counts.head(50).sum() / counts.sum() == pytest.approx(0.25, abs=0.05)
    assert (counts == 1).mean() == pytest.approx(0.70, abs=0.05)
    assert names.duplicated(keep=False).mean() < 0.06


def test_child_firms_name_their_parent(world: World) -> None:
    """A parent's UEI and name are those of a row of the file; one row in thirty is a child."""
    rows = world.recipients
    children = rows[(rows["parent_legal_business_name"] != "") & (rows["parent_uei"] != rows["uei"])]
    children = children[children["parent_uei"] != ""]
    assert len(children) / len(rows) == pytest.approx(0.03, abs=0.006)
    names = rows.set_index("uei")["legal_business_name"].drop("")
    assert (children["parent_uei"].map(names) == children["parent_legal_business_name"]).all()


def test_persons_are_placeholders(world: World) -> None:
    """No field about a person holds anything but a number with a word before it; no address could be real."""
    awards = world.awards
    assert awards["PI Name"].str.fullmatch(r"(Investigator \d+)?").all()
    assert awards["Contact Name"].str.fullmatch(r"(Contact \d+)?").all()
    for column in ("PI Email", "Contact Email"):
        assert awards[column].str.fullmatch(r"(\S+\.example)?").all()
    assert awards["PI Phone"].str.fullmatch(r"(\(555\) 555-01\d\d|\(\) -)?").all()


@settings(max_examples=12, deadline=None)
@given(awards=st.integers(0, 60), recipients=st.integers(0, 120), seed=st.integers(0, 2**31))
def test_any_counts_can_be_asked_for(awards: int, recipients: int, seed: int) -> None:
    """Down to nothing at all there are as many rows as asked for, and the truth fits them."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_synthetic(Path(folder), awards=awards, recipients=recipients, seed=seed)
        made, truth, register = read(files.awards), read(files.truth), read(files.recipients)
        assert {path.name for path in Path(folder).iterdir()} == {"awards.csv", "recipients.csv", "truth.csv"}
    assert (len(made), len(truth), len(register)) == (awards, awards, recipients)
    assert set(truth["recipient_hash"]) - {""} <= set(register["recipient_hash"])
    assert (truth["is_rejected"] == "1").sum() == min(2, awards // 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"awards": -1},
        {"recipients": -1},
        {"block_rows": 0},
        {"block_rows": 250_001},
        {"recipients_format": "xlsx"},
    ],
)
def test_impossible_wishes_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    """A count below nothing, no block or an unknown format is named, and nothing is written."""
    with pytest.raises(ParameterError, match=next(iter(wrong)).replace("recipients_format", "format")):
        write_synthetic(tmp_path / "none", **{"awards": 1, "recipients": 1, "seed": 0, **wrong})
    assert not (tmp_path / "none").exists()


def test_the_generator_shares_nothing_with_what_it_tests() -> None:
    """No module of the package imports the matcher or a reader, so that neither knows the other's lists."""
    own = "sbir_toolkit.sources.synthetic"
    lower = {"sbir_toolkit.errors", "sbir_toolkit.meter", "sbir_toolkit.storage"}
    for path in Path(str(package.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sbir_toolkit"):
                assert str(node.module).startswith(own) or node.module in lower, f"{path.name}: {node.module}"
