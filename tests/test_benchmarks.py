"""The benchmarks' judge knows what is right, and every benchmark can at least be started."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.cause_kinds import KINDS
from benchmarks.judge import expected_calibration_error, judge, read_links, read_truth
from benchmarks.peers import PEERS, peer_command
from benchmarks.read_one import FORMS, TOOLS, read
from benchmarks.reading import make_file
from benchmarks.real_cases import PAIR_COLUMNS, read_cases
from benchmarks.real_pairs import main as measure_real_pairs
from benchmarks.refit import HELD, Choices, fit
from benchmarks.scaling import fit_growth, write_names
from sbir_toolkit import write_synthetic
from sbir_toolkit.errors import InputError, ToolkitError
from sbir_toolkit.matching.model import TERMS, load_weights

ROOT = Path(__file__).parents[1]
MODULES = [
    "benchmarks.judge",
    "benchmarks.measuring",
    "benchmarks.results",
    "benchmarks.match_full_size",
    "benchmarks.compare_peers",
    "benchmarks.kill_loop",
    "benchmarks.real_pairs",
    "benchmarks.refit",
    "benchmarks.refresh",
    "benchmarks.scaling",
    "benchmarks.cluster",
    "benchmarks.bounded_memory",
    "benchmarks.detection",
    "benchmarks.overhead",
    "benchmarks.regression_rules",
    "benchmarks.reading",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic files with their truth."""
    path = tmp_path_factory.mktemp("bench")
    write_synthetic(path, awards=600, recipients=3000, seed=3)
    return path


def as_peer(truth: pd.DataFrame, folder: Path, name: str, **columns: object) -> Path:
    """Write links as a peer does."""
    path = folder / f"{name}.parquet"
    rows = {"row": range(1, len(truth) + 1), "company": "", "tier": "name", "probability": 1.0}
    pd.DataFrame(
        {**rows, "recipient": truth["recipient"], "is_accepted": True, "is_tried": True, **columns}
    ).to_parquet(path)
    return path


def test_links_as_in_the_truth_are_perfect(folder: Path) -> None:
    """Every figure of the truth itself is at its best, over awards and over companies."""
    truth = read_truth(folder)
    nothing = as_peer(truth, folder, "nothing", recipient=None)
    floor = read_links(nothing, truth)
    judgement = judge(read_links(as_peer(truth, folder, "truth"), truth), floor, truth)
    for of in ("award", "company"):
        for figure in (
            "precision",
            "precision by name",
            "recall by name",
            "F1 by name",
            "recall by name, renamed",
        ):
            assert judgement.value(figure, of) == 1
        assert judgement.value("linked without counterpart", of) == 0
        assert judgement.value("calibration error", of) == 0
    kept = truth[~truth["is_rejected"]]
    recall = judgement.kinds[judgement.kinds["figure"] == "recall"].set_index("noise")["cases"]
    assert recall[recall > 0].to_dict() == kept[kept["recipient"].notna()]["noise"].value_counts().to_dict()


def test_everybody_linked_to_one_recipient_is_judged_so(folder: Path) -> None:
    """Awards without counterpart count once for each award and once for each company."""
    truth = read_truth(folder)
    floor = read_links(as_peer(truth, folder, "none", recipient=None), truth)
    links = read_links(as_peer(truth, folder, "one", recipient="nobody"), truth)
    judgement = judge(links, floor, truth)
    assert judgement.value("precision", "award") == 0
    assert judgement.value("linked without counterpart", "award") == 1
    rows = judgement.figures.set_index(["figure", "of"])["cases"]
    nobody = truth[~truth["is_rejected"] & truth["recipient"].isna()]
    assert rows["linked without counterpart", "award"] == len(nobody)
    assert rows["linked without counterpart", "company"] == nobody["company"].nunique() < len(nobody)


def small(**columns: object) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Six awards of five companies: one identified, one renamed, one without counterpart."""
    truth = pd.DataFrame(
        {
            "recipient": ["a", "b", "b", "c", "d", None],
            "noise": ["identical", "case", "case", "typo_1", "rename", "no_counterpart"],
            "company": [1, 2, 2, 3, 4, 5],
        }
    )
    links = pd.DataFrame(
        {
            "recipient": ["a", "b", "b", "x", None, "y"],
            "probability": [None, 0.9, 0.9, 0.6, None, 0.5],
            "is_accepted": [True, True, True, True, False, False],
            "is_tried": True,
        }
    ).assign(**columns)
    floor = pd.DataFrame({"recipient": ["a", None, None, None, None, None]})
    return links, floor, truth


def test_figures_that_can_be_reckoned_by_hand() -> None:
    """Proposals that aren't accepted are no links; identified awards aren't left to names."""
    judgement = judge(*small())
    expected = {
        ("precision", "award"): 3 / 4,
        ("precision by name", "award"): 2 / 3,
        ("precision by name", "company"): 1 / 2,
        ("recall by name", "award"): 2 / 3,
        ("recall by name", "company"): 1 / 2,
        ("recall by name, renamed", "award"): 0,
        ("linked without counterpart", "award"): 0,
        ("calibration error", "award"): (2 * 0.1 + 0.6 + 0.5) / 4,
    }
    assert {key: judgement.value(*key) for key in expected} == pytest.approx(expected)


def test_what_was_not_tried_is_not_judged() -> None:
    """A peer that tries a slice is judged on the slice."""
    judgement = judge(*small(is_tried=[True, True, True, False, False, False]))
    assert judgement.value("recall by name", "award") == 1
    assert judgement.figures.set_index(["figure", "of"])["cases"]["recall by name", "award"] == 2


def test_calibration_error_of_a_known_case() -> None:
    """0.9 that is right half the time is wrong by 0.4; below 0.4 nothing is counted."""
    probability = pd.Series([0.9, 0.9, 0.1, None])
    assert expected_calibration_error(probability, pd.Series([True, False, True, True])) == pytest.approx(0.4)


def test_links_for_other_awards_are_refused(folder: Path) -> None:
    """A file that hasn't one row for each award can't be judged."""
    truth = read_truth(folder)
    path = as_peer(truth.head(10), folder, "short")
    with pytest.raises(InputError, match="other awards"):
        read_links(path, truth)


@pytest.mark.parametrize(
    ("values", "exponent", "verdict"),
    [
        ([3, 30, 300], 1, "no faster than linear"),
        ([1, 100, 10_000], 2, "faster than linear"),
        ([1, 2, 40], 0.80, "open"),
    ],
)
def test_growth_is_fitted_and_judged(values: list[float], exponent: float, verdict: str) -> None:
    """A step that is steeper than linear leaves the verdict open, whatever the fit says."""
    growth = fit_growth([10, 100, 1000], values)
    assert growth.exponent == pytest.approx(exponent, abs=0.005)
    assert growth.verdict.startswith(verdict)


def test_a_register_of_names_grows_by_new_names(folder: Path) -> None:
    """The first copy is the names as they are; the next ones hold few of them, and every hash is new."""
    target = folder / "names.parquet"
    write_names(folder / "recipients.csv", target, 7000)
    names, source = pd.read_parquet(target), pd.read_csv(folder / "recipients.csv", dtype=str)
    assert len(names) == 7000 == names["recipient_hash"].nunique()
    assert names["legal_business_name"][:3000].tolist() == source["legal_business_name"].tolist()
    assert names["legal_business_name"][3000:].isin(source["legal_business_name"]).mean() < 0.1


@pytest.mark.parametrize("module", MODULES)
def test_modules_can_be_imported(module: str) -> None:
    """Nothing runs at import, and the docstring says what is measured."""
    assert (importlib.import_module(module).__doc__ or "").strip()


@pytest.mark.parametrize("peer", PEERS)
def test_peers_are_whole(peer: str) -> None:
    """A peer is a file that parses, with locked and digested requirements and a make target."""
    folder = ROOT / "benchmarks" / "peers"
    tree = ast.parse((folder / f"{peer}.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    lock = (folder / f"{peer}.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.M))
    wanted = {re.split(r"[<>=]", line)[0] for line in (folder / f"{peer}.in").read_text().split()}
    assert {name.replace("_", "-") for name in wanted} <= {name.replace("_", "-") for name in locked}
    assert lock.count("==") <= lock.count("--hash=sha256:")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert peer in next(line for line in makefile.splitlines() if line.startswith("PEERS :=")).split()


def test_a_peer_without_environment_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command to type is in the error."""
    monkeypatch.setattr("benchmarks.peers.HERE", Path(sys.prefix) / "nowhere" / "peers")
    with pytest.raises(ToolkitError, match="make peer-floor"):
        peer_command("floor")


def test_each_kind_of_file_is_read_alike(tmp_path: Path) -> None:
    """The toolkit and pyarrow count as many records in each kind of file, at a thousandth of the sizes."""
    options = argparse.Namespace(share=0.001, awards=219_500, recipients=3_400_000, seed=7, folder=tmp_path)
    for form in FORMS:
        path = make_file(form, tmp_path, options)
        counts = {read(tool, form, path, tmp_path / tool) for tool in TOOLS}
        assert len(counts) == 1, form
        assert counts != {0}, form


def write_pairs(path: Path, recipients: pd.DataFrame) -> Path:
    """Write labelled pairs: recipients and a spelling of theirs, a former name, and a look-alike."""
    named = recipients.dropna(subset=["legal_business_name", "city", "state", "zip5"]).head(40)
    place = {
        f"{field}_b": named[column]
        for field, column in (("city", "city"), ("state", "state"), ("zip", "zip5"))
    }
    blank = {f"{field}_a": "" for field in ("city", "state", "zip")}
    same = named.assign(name_a=named["legal_business_name"].str.title(), name_b=named["legal_business_name"])
    same = same.assign(same="1", source="spelled", label_quality="rule", **blank, **place)
    renamed = same.assign(name_a="Former " + same["name_b"], source="renamed", label_quality="rename")
    other = same.assign(
        name_a=same["name_b"] + " of Elsewhere", same="0", source="alike", label_quality="read"
    )
    pd.concat([same, renamed, other])[list(PAIR_COLUMNS)].to_csv(path, index=False)
    return path


def test_real_files_give_cases_with_a_known_answer(folder: Path, tmp_path: Path) -> None:
    """A firm is in one half, identifiers are blanked, and a spelling of a recipient's name is found."""
    recipients = pd.read_csv(folder / "recipients.csv", dtype=str)
    pairs = write_pairs(tmp_path / "pairs.csv", recipients)
    cases = read_cases(folder / "awards.csv", folder / "recipients.csv", pairs)
    companies = cases.companies
    assert companies.groupby("firm")["half"].nunique().max() == 1
    assert set(companies["half"]) == {"tune", "hold-out"}
    assert companies[["uei", "duns"]].isna().all(axis=None)
    assert cases.recipients[["uei", "duns"]].isna().all(axis=None)
    assert set(companies["truth"].dropna()) <= set(cases.recipients["recipient_id"])
    assert companies["truth"].isna().equals(companies["group"] == "no counterpart")
    truth = cases.is_right(companies, companies["truth"])
    assert truth.equals(companies["truth"].notna())
    files = {"awards": folder / "awards.csv", "recipients": folder / "recipients.csv", "pairs": pairs}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    measure_real_pairs([*options, "--folder", str(tmp_path / "out")])
    stored = json.loads((tmp_path / "out" / "real_pairs.json").read_text())
    spelled = [
        row
        for title, table in stored["tables"].items()
        if title.startswith("With")
        for row in table
        if row["kind"] == "spelled: rule"
    ]
    assert spelled
    assert all(row["precision"].startswith("1.0000") for row in spelled)


def test_a_refit_finds_the_weights_that_made_the_choices() -> None:
    """Choices drawn with known weights give these back, whatever the start; held terms stay."""
    chance = np.random.default_rng(2)
    true = load_weights().copy()
    free = [at for at, term in enumerate(TERMS) if term not in HELD and term != "base"]
    terms = np.zeros((12_000, len(TERMS)))
    terms[:, TERMS.index("base")] = 1
    terms[:, free] = chance.normal(0, 0.5, (len(terms), len(free)))
    first = np.arange(0, len(terms), 3)
    true[TERMS.index("base")] = -0.5
    shares = np.exp(terms @ true).reshape(-1, 3)
    shares = np.concatenate([np.ones((len(shares), 1)), shares], axis=1)
    drawn = (shares.cumsum(axis=1) < chance.random((len(shares), 1)) * shares.sum(axis=1, keepdims=True)).sum(
        axis=1
    )
    is_right = (drawn[:, None] == np.arange(1, 4)).ravel()
    choices = Choices(first, terms, is_right, np.ones(len(first)))
    start = true.copy()
    start[free] += 0.5
    fitted, error = fit(choices, start, pull=0.1)
    assert np.abs((fitted - true)[free] / error[free]).max() < 4
    assert np.abs((fitted - true)[free]).max() < 0.3
    held = [at for at, term in enumerate(TERMS) if term in HELD and term != "same_name"]
    assert np.array_equal(fitted[held], true[held])
    assert choices.losses(fitted).mean() < choices.losses(start).mean()


def test_pairs_without_a_label_are_refused(folder: Path, tmp_path: Path) -> None:
    """The error names the column that is missing."""
    pairs = tmp_path / "pairs.csv"
    pd.DataFrame(columns=[name for name in PAIR_COLUMNS if name != "same"]).to_csv(pairs, index=False)
    with pytest.raises(InputError, match="same"):
        read_cases(folder / "awards.csv", folder / "recipients.csv", pairs)


def test_injected_causes_have_their_place() -> None:
    """The pieces of code that the benchmark of causes changes are in the code, once each."""
    patches = {
        patch for kind in KINDS.values() for side in (kind.before, kind.after) for patch in side.patches
    }
    assert len(patches) > 8
    lost = [
        patch
        for patch in patches
        if (ROOT / "sbir_toolkit" / patch.file).read_text(encoding="utf-8").count(patch.old) != 1
    ]
    assert not lost
