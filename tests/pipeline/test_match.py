"""The matcher alone gives what the pipeline gives, one row per award, in the order of the file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit import (
    load_awards,
    load_recipients,
    match_awards,
    read_awards,
    read_recipients,
    write_synthetic,
)
from sbir_toolkit.cli import main
from sbir_toolkit.errors import ParameterError, ToolkitError
from sbir_toolkit.params import Limits, Params, load_params
from sbir_toolkit.pipeline.explanation import MatchedTables, explain_award, explain_awards
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.sources.synthetic import SyntheticFiles
from sbir_toolkit.storage import digest_file, write_json, write_text
from sbir_toolkit.tables import MATCHES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SyntheticFiles:
    return write_synthetic(tmp_path_factory.mktemp("files"), awards=600, recipients=3000, seed=5)


def test_match_is_one_to_one_in_order_and_repeatable(files: SyntheticFiles, tmp_path: Path) -> None:
    """Each award that could be read has a row; with a warm store, or by the command, the same bytes."""
    out = tmp_path / "out.parquet"
    matched = match_awards(files.awards, files.recipients, out, Params(), tmp_path / "store")
    awards, rejects = read_awards(files.awards)
    matches = pd.read_parquet(out)
    assert MATCHES.check_file(out) == len(awards) == matched.awards.rows
    assert matches["award_id"].tolist() == awards["award_id"].tolist()
    assert len(pd.read_parquet(tmp_path / "out.rejects.parquet")) == len(rejects) > 0
    (kept,) = tmp_path.glob("store/recipients/*/recipient_rejects.parquet")
    assert len(pd.read_parquet(kept)) == len(read_recipients(files.recipients)[1])
    is_rejected = matches["decision"] == "reject"
    assert (
        matches.loc[is_rejected, ["recipient_id", "recipient_name", "recipient_uei", "tier"]]
        .isna()
        .all(axis=None)
    )
    assert matches.loc[~is_rejected, "recipient_id"].notna().all()
    again = match_awards(files.awards, files.recipients, tmp_path / "b.parquet", Params(), tmp_path / "store")
    assert again.enriched.chunks_reused == again.enriched.chunks
    by_command = tmp_path / "c.parquet"
    words = ["--outputs", tmp_path / "other", "match", files.awards, files.recipients, "-o", by_command]
    done = subprocess.run(
        [sys.executable, "-m", "sbir_toolkit.cli", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"matches: {by_command}" in done.stdout
    assert digest_file(out) == digest_file(tmp_path / "b.parquet") == digest_file(by_command)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts mapped memory as data")
def test_match_stays_within_a_limit_of_memory(files: SyntheticFiles, tmp_path: Path) -> None:
    """With the data of the process capped by the system, and the limit lowered, the bytes are the same."""
    free, capped = tmp_path / "free.parquet", tmp_path / "capped.parquet"
    match_awards(files.awards, files.recipients, free, Params(), tmp_path / "store")
    cap_mb = 400
    capping = (
        f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({cap_mb * 10**6},) * 2);"
        "import sys; from sbir_toolkit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["--outputs", tmp_path / "other", "match", files.awards, files.recipients, "-o", capped]
    words += ["-p", "limits.memory_mb=256"]
    command = [sys.executable, "-c", capping, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sorted 51 MB at a time" in done.stdout
    assert digest_file(capped) == digest_file(free)


def test_recipients_of_any_form_give_the_same_matches(files: SyntheticFiles, tmp_path: Path) -> None:
    """The same recipients as CSV, as a database dump, and as the dump with SAM.gov's extract behind it."""
    made = {"awards": 600, "recipients": 3000, "seed": 5}
    dump = write_synthetic(tmp_path / "dump", **made, recipients_format="dump").recipients
    sam = write_synthetic(tmp_path / "sam", **made, recipients_format="sam").recipients
    found = []
    for number, recipients in enumerate((files.recipients, dump, [dump, sam])):
        out = tmp_path / f"{number}.parquet"
        match_awards(files.awards, recipients, out, Params(), tmp_path / "store")
        found.append(pd.read_parquet(out)[["award_id", "recipient_id", "decision"]])
    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], found[2])


def test_match_writes_a_review_list_and_takes_it_back(files: SyntheticFiles, tmp_path: Path) -> None:
    """`--review` asks; filled in, the answers are applied, and one that fits nothing is said."""
    words = [
        "--outputs",
        tmp_path / "o",
        "match",
        files.awards,
        files.recipients,
        "-o",
        tmp_path / "m.parquet",
    ]
    unsure = ["-p", "matching.accept_probability=1", "--review", tmp_path / "ask.xlsx"]
    assert main([str(word) for word in (*words, *unsure)]) == 0
    asked = pd.read_excel(tmp_path / "ask.xlsx", dtype=str)
    asked["decision"] = ["same", "nobody", *[None] * (len(asked) - 2)]
    asked.assign(who="Ann", why="known").to_excel(tmp_path / "told.xlsx", index=False)
    told = load_params(overrides=[f"matching.overrides={tmp_path / 'told.xlsx'}"])
    matched = match_awards(files.awards, files.recipients, tmp_path / "m.parquet", told, tmp_path / "store")
    matches = pd.read_parquet(tmp_path / "m.parquet").query("tier == 'override'")
    assert set(matches["recipient_id"]) == {asked["recipient_id"][0]}
    assert len(matches) == int(asked["awards"][0])
    assert "override in row 3 not used" in repr(matched)
    with pytest.raises(ParameterError, match="workbook"):
        match_awards(
            files.awards, files.recipients, tmp_path / "m.parquet", told, tmp_path, review=tmp_path / "a.csv"
        )


def test_match_finds_the_truth(files: SyntheticFiles, tmp_path: Path) -> None:
    """Against the truth beside the files: nearly all links are right, most of what can be linked is."""
    out = tmp_path / "out.parquet"
    match_awards(files.awards, files.recipients, out, Params(), tmp_path / "store")
    matches = pd.read_parquet(out)
    truth = pd.read_csv(files.truth, dtype=str).query("is_rejected == '0'").reset_index(drop=True)
    accepted = matches["decision"] == "accept"
    right = accepted & (matches["recipient_id"] == truth["recipient_hash"])
    assert right.sum() / accepted.sum() > 0.98
    assert right.sum() / truth["recipient_hash"].notna().sum() > 0.85


def test_explain_names_winner_and_evidence(files: SyntheticFiles, tmp_path: Path) -> None:
    """For an award of a run: one sentence, the pieces of evidence; an unknown award is refused."""
    run = RunFolder(tmp_path / "runs" / "r1")
    project = Project(ROOT, tmp_path)
    load_awards(files.awards, run.path / "data", Limits())
    load_recipients(files.recipients, run.path / "data", Limits())
    write_text(run.params, Params().to_yaml())
    write_json(run.record, {"run_id": "r1", "created": 0.0})
    awards = pd.read_parquet(run.table("awards"))
    explanation = explain_award(project, run, awards["award_id"].iloc[0])
    assert awards["company"].iloc[0] in repr(explanation)
    assert "<svg" in explanation._repr_html_()
    evidence = json.dumps({"override": "same", "who": "Ann", "why": "asked them"})
    recipient = pd.read_parquet(run.table("recipients"))["recipient_id"].iloc[7]
    told = {"award_id": awards["award_id"].iloc[0], "recipient_id": recipient, "evidence": evidence}
    told |= {"decision": "accept", "match_probability": 0.99, "margin": 0.9}
    pd.DataFrame([told]).to_parquet(run.table("matches"))
    assert "Ann decided that it is" in explain_award(project, run, awards["award_id"].iloc[0]).sentence
    sibling = {
        "company_id": "c1",
        "company": "Kestrel Optics",
        "city": "Avon",
        "state": "CT",
        "zip5": "06001",
    }
    unidentified = dict.fromkeys(("uei", "duns", "contracts"))
    pd.DataFrame([sibling | unidentified]).to_parquet(run.table("companies"))
    pd.DataFrame([told | {"evidence": json.dumps({"told by": "c1 5000"})}]).to_parquet(run.table("matches"))
    related = explain_award(project, run, awards["award_id"].iloc[0])
    assert "Kestrel Optics (Avon CT 06001) is it, a company of the same name" in related.sentence
    tables = MatchedTables.found(run.table)
    two = explain_awards(tables, awards["award_id"].iloc[[3, 1]], project.store, Params())
    assert [one.company.split(" (")[0] for one in two.each] == awards["company"].iloc[[3, 1]].tolist()
    assert "nothing to explain" in repr(explain_awards(tables, [], project.store, Params()))
    numbers = awards["tracking_number"].value_counts()
    own = awards.set_index("tracking_number").loc[numbers.index[numbers == 1][0]]
    assert own["company"] in repr(explain_award(project, run, f" {own.name.lower()}"))
    awards.assign(contract="N-1").to_parquet(run.table("awards"))
    with pytest.raises(ParameterError, match=rf"awards have the number 'N-1'(.|\n)*{own['award_id']}: |more"):
        explain_award(project, run, "N-1")
    with pytest.raises(ParameterError, match="there is no award 'nobody'"):
        explain_award(project, run, "nobody")


def test_unreadable_input_leaves_nothing_half_done(files: SyntheticFiles, tmp_path: Path) -> None:
    """An error in either file is the toolkit's own, and no output appears."""
    junk = tmp_path / "junk.csv"
    junk.write_bytes(bytes(range(256)) * 40)
    for awards, recipients in (
        (junk, files.recipients),
        (files.awards, junk),
        (files.recipients, files.awards),
    ):
        with pytest.raises(ToolkitError):
            match_awards(awards, recipients, tmp_path / "out.parquet", Params(), tmp_path / "store")
    assert not (tmp_path / "out.parquet").exists()


def test_two_matches_of_one_store_wait_for_each_other(files: SyntheticFiles, tmp_path: Path) -> None:
    """The second says whom it waits for; when that one is killed it goes on from there: the same bytes."""
    whole = tmp_path / "whole.parquet"
    match_awards(files.awards, files.recipients, whole, Params(), tmp_path / "store")
    outs = [tmp_path / f"{name}.parquet" for name in ("killed", "second", "third")]

    def start(out: Path) -> subprocess.Popen[str]:
        words = ["--outputs", tmp_path / "shared", "match", files.awards, files.recipients, "-o", out]
        command = [sys.executable, "-m", "sbir_toolkit.cli", *map(str, words)]
        return subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )

    with start(outs[0]) as first:
        notes = tmp_path / "shared" / "store" / "files"
        while first.poll() is None and not list(notes.glob("*.owner")):
            time.sleep(0.005)
        first.send_signal(signal.SIGSTOP)  # it holds the lock for as long as the test needs it to
        with start(outs[1]) as second, start(outs[2]) as third:
            assert second.stderr is not None
            assert third.stderr is not None
            said = [second.stderr.readline(), third.stderr.readline()]  # now both are waiting
            first.kill()
            (_, said_then), (_, said_third) = second.communicate(timeout=120), third.communicate(timeout=120)
    for line in said:
        assert line.startswith(f"waiting for the matching of these two files (process {first.pid} on ")
    assert f"process {first.pid} on " in said_then + said_third
    assert " died; going on from what it left" in said_then + said_third
    assert second.returncode == third.returncode == 0
    assert digest_file(outs[1]) == digest_file(outs[2]) == digest_file(whole)
