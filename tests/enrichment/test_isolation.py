"""A company that kills whoever matches it is found, named and left out; all others are matched."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit import enrich_awards
from sbir_toolkit.enrichment import execute, isolation
from sbir_toolkit.enrichment.persistence import persist
from sbir_toolkit.errors import StageError
from sbir_toolkit.matching.match import match_and_keep
from sbir_toolkit.params import Matching, Params
from sbir_toolkit.tables import COMPANY_MATCHES, COMPANY_REJECTS, ENRICHED_AWARDS, MATCHES
from tests.enrichment import faulty

STORED = tuple[Path, Path]


@pytest.fixture
def at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the faulty matcher in place, for this process and its workers, and take it away again."""
    monkeypatch.setattr(execute, "match_and_keep", match_and_keep)
    monkeypatch.setattr(execute, "match_chunk", faulty.match_faulty_chunk)


def make_params(scheduler: str) -> Params:
    return Params.model_validate(
        {
            "compute": {"chunk_companies": 6, "workers": 2, "scheduler": scheduler},
            "limits": {"read_rows": 64},
        }
    )


def write_refusals(folder: Path, awards: Path, recipients: Path) -> Path:
    """Say of each company that can't be matched that it isn't some recipient."""
    firms = pd.read_parquet(awards, columns=["company", "state"]).drop_duplicates()
    is_faulty = firms["company"].str.upper().str.contains(f"{faulty.DEADLY}|{faulty.WRONG}")
    some_id = pd.read_parquet(recipients, columns=["recipient_id"]).iloc[0, 0]
    refusals = firms[is_faulty].assign(recipient_id=some_id, decision="different", who="Ann", why="known")
    refusals.to_csv(folder / "refusals.csv", index=False)
    return folder / "refusals.csv"


def check_left_out(folder: Path, reasons: dict[str, str]) -> None:
    """Check that just these are left out, with reasons, and that rows are conserved."""
    rejects = pd.read_parquet(folder / "company_rejects.parquet")
    assert len(rejects) == len(reasons)
    for name, reason in reasons.items():
        row = rejects.loc[rejects["company"].str.upper().str.contains(name)].squeeze()
        assert reason in row["reason"]
    for contract in (COMPANY_MATCHES, COMPANY_REJECTS, MATCHES, ENRICHED_AWARDS):
        contract.check_file(folder / f"{contract.name}.parquet")
    matches = pd.read_parquet(folder / "company_matches.parquet")
    is_out = matches["company_id"].isin(rejects["company_id"])
    assert len(matches) == 90
    assert matches.loc[is_out, "decision"].eq("reject").all()
    assert matches.loc[~is_out, "decision"].eq("accept").all()
    awards = pd.read_parquet(folder / "matches.parquet")
    assert len(awards) == 400
    unmatched = awards["evidence"].str.contains("unmatched", na=False)
    assert (awards["decision"] == "accept").sum() == 400 - unmatched.sum()
    assert unmatched.sum() == rejects["awards"].sum()


@pytest.mark.parametrize("scheduler", ["processes", "distributed"])
def test_companies_that_kill_or_raise_are_left_out(
    stored: STORED, tmp_path: Path, at_fault: None, scheduler: str
) -> None:
    """Whoever computes: the two are named with their reasons, the other 88 matched, no run is lost.

    Who says that one of them isn't a recipient doesn't make this process match it.
    """
    params = make_params(scheduler)
    params = params.model_copy(
        update={"matching": Matching(overrides=str(write_refusals(tmp_path, *stored)))}
    )
    done = enrich_awards(*stored, tmp_path, tmp_path / "store", params)
    told = pd.read_parquet(tmp_path / "overrides.parquet")
    assert told["status"].tolist() == ["unused", "unused"]
    assert told["reason"].str.contains("can't be matched").all()
    assert done.companies_rejected == 2
    assert "2 companies can't be matched" in repr(done)
    check_left_out(tmp_path, {faulty.DEADLY: "SIGKILL", faulty.WRONG: "ValueError: month must be"})
    left = [path.name for path in tmp_path.glob("store/matching/*/*") if path.suffix in (".begun", ".tmp")]
    assert left == []


SCRIPT = """
import sys
from pathlib import Path
from sbir_toolkit import enrich_awards
from sbir_toolkit.enrichment import execute
from tests.enrichment import faulty
from tests.enrichment.test_isolation import make_params

if __name__ == "__main__":
    execute.match_chunk = faulty.match_faulty_chunk
    awards, recipients, folder = map(Path, sys.argv[1:])
    enrich_awards(awards, recipients, folder, folder / "store", make_params("threads"))
"""


def test_threads_die_twice_and_then_it_is_known(stored: STORED, tmp_path: Path) -> None:
    """In threads the whole process dies; the third time it is known who did it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    codes = [
        subprocess.run(
            [sys.executable, script, *stored, tmp_path / "out"],
            cwd=root,
            env={"PYTHONPATH": str(root)},
            check=False,
        ).returncode
        for _ in range(3)
    ]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    check_left_out(tmp_path / "out", {faulty.DEADLY: "SIGKILL", faulty.WRONG: "ValueError"})


def test_what_could_not_be_matched_is_tried_again_next_month(
    stored: STORED, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refreshed file takes over what was found, but not that nothing could be."""
    params = make_params("threads")
    with monkeypatch.context() as patch:
        patch.setattr(execute, "match_and_keep", match_and_keep)
        patch.setattr(execute, "match_chunk", faulty.match_faulty_chunk)
        patch.setattr(faulty, "DEADLY", "no such name")
        patch.setattr(isolation.Apart, "run", _run_here)
        assert enrich_awards(*stored, tmp_path, tmp_path / "store", params).companies_rejected == 1
    params = params.model_copy(update={"compute": params.compute.model_copy(update={"chunk_companies": 7})})
    done = enrich_awards(*stored, tmp_path, tmp_path / "store", params)
    assert (done.companies_rejected, done.companies_reused) == (0, 89)
    assert done.decisions["accept"] == 400


def _run_here(apart: isolation.Apart, task: isolation.ChunkTask) -> object:
    try:
        return execute.match_chunk(task)
    except ValueError as wrong:
        return f"ValueError: {wrong}"


def test_many_are_not_to_blame(stored: STORED, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every company fails it is the program's fault, and said so."""
    monkeypatch.setattr(execute, "match_and_keep", match_and_keep)
    monkeypatch.setattr(execute, "match_chunk", faulty.match_faulty_chunk)
    monkeypatch.setattr(faulty, "DEADLY", "no such name")
    monkeypatch.setattr(faulty, "WRONG", "RESEARCH")
    monkeypatch.setattr(isolation.Apart, "run", _run_here)
    params = Params.model_validate({"compute": {"workers": 1}})
    with pytest.raises(StageError, match="can't be their fault"):
        enrich_awards(*stored, tmp_path, tmp_path / "store", params)


def test_only_what_may_go_away_is_tried_again() -> None:
    """A broken connection three times, with longer pauses; a full disk or a wrong value once."""
    pauses: list[float] = []
    left = [ConnectionResetError(), OSError(errno.EIO, "I/O"), TimeoutError()]

    def work(task: str) -> str:
        if left:
            raise left.pop()
        return task

    assert persist(work, "done", pause=pauses.append) == "done"
    assert pauses == sorted(pauses)
    assert len(pauses) == 3
    for wrong in (OSError(errno.ENOSPC, "full"), FileNotFoundError(errno.ENOENT, "no"), ValueError("v")):
        tries: list[str] = []

        def fail(task: str, wrong: Exception = wrong, tries: list[str] = tries) -> str:
            tries.append(task)
            raise wrong

        with pytest.raises(type(wrong)):
            persist(fail, "x", pause=pauses.append)
        assert tries == ["x"]
    left += [TimeoutError() for _ in range(9)]
    with pytest.raises(TimeoutError):
        persist(work, "x", pause=lambda _: None)
    assert len(left) == 5
