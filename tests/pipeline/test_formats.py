"""Every form in which the government publishes its files goes through `run` and through `match` alike."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit import match_awards, write_synthetic
from sbir_toolkit.params import load_params
from sbir_toolkit.pipeline.conduct import Order
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import read_run
from sbir_toolkit.pipeline.start import run_pipeline

ROOT = Path(__file__).parents[2]
MADE = {"awards": 150, "recipients": 400, "seed": 5}
Make = Callable[[Path], tuple[Path, list[Path]]]
STAGES = frozenset({"load_awards", "load_recipients", "match_recipients"})


def answers_parquet_and_extract(folder: Path) -> tuple[Path, list[Path]]:
    """Awards as SBIR.gov's interface gives them; Parquet with SAM.gov's extract behind it."""
    parquet = write_synthetic(folder / "a", **MADE, awards_format="json", recipients_format="parquet")
    sam = write_synthetic(folder / "b", **MADE, recipients_format="sam")
    return parquet.awards, [parquet.recipients, sam.recipients]


def legacy_dump_and_archives(folder: Path) -> tuple[Path, list[Path]]:
    """Awards in the legacy layout; both tables of a dump, one out of its archive, and award archives."""
    dump = write_synthetic(folder / "a", **MADE, awards_format="legacy", recipients_format="dump")
    paid = write_synthetic(folder / "b", **MADE, archives=True)
    with zipfile.ZipFile(dump.recipients) as packed:
        members = {Path(name).name: packed.read(name) for name in packed.namelist()}
    for name in ("toc.dat", "5379.dat.gz"):
        (folder / name).write_bytes(members[name])
    return dump.awards, [dump.recipients, folder / "5379.dat.gz", *paid.archives]


@pytest.mark.parametrize("make", [answers_parquet_and_extract, legacy_dump_and_archives])
def test_files_of_each_form_give_the_same_by_run_and_by_match(tmp_path: Path, make: Make) -> None:
    """All of the files are read, and the notebooks' matches are those of the matcher alone."""
    awards, recipients = make(tmp_path)
    named = json.dumps([str(path) for path in recipients])
    params = load_params(
        ROOT / "params" / "sample.yml", [f"awards.path={awards}", f"recipients.path={named}"]
    )
    done = run_pipeline(
        Project(ROOT, tmp_path / "outputs"), params, order=Order(wanted=STAGES), say=lambda line: None
    )
    stages = read_run(done.run)["stages"]
    assert {name for name, stage in stages.items() if stage["status"] == "done"} == STAGES
    match_awards(awards, recipients, tmp_path / "out.parquet", params, tmp_path / "store")
    matches = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(done.run.path / "data" / "matches.parquet"), matches)
    assert (matches["decision"] == "accept").sum() > MADE["awards"] // 4
    known = pd.read_parquet(done.run.path / "data" / "recipients.parquet")
    assert len(known) > MADE["recipients"] // 2
    if len(recipients) > 2:
        assert {"contract"} <= set(matches["tier"])
