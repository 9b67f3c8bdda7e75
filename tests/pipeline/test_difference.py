"""What became of each award between two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit import Params
from sbir_toolkit.cli import main
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.storage import write_json, write_parquet, write_text
from sbir_toolkit.tables import MATCHES

from ..performance.runs import run_record
from .toy import make_project

# award: (recipient, decision, probability, evidence) before and after
AWARDS = {
    "same": [("r1", "accept", 0.99, 5.0), ("r1", "accept", 0.99, 5.0)],
    "moved": [("r1", "accept", 0.99, 5.0), ("r2", "accept", 0.97, 4.0)],
    "lost": [("r1", "accept", 0.95, 5.0), ("r1", "review", 0.80, 2.0)],
    "gained": [(None, "reject", None, None), ("r9", "accept", 0.93, "Ada")],
    "surer": [("r3", "review", 0.50, 1.0), ("r3", "review", 0.60, 1.5)],
    "gone": [("r4", "accept", 0.99, 5.0), None],
    "new": [None, ("r5", "accept", 0.99, 5.0)],
}


def write_evidence(told: str | float) -> str:
    """Write what weighed so much, or who decided it."""
    person = {"override": "same", "who": told, "why": "seen UEI"}
    return json.dumps(person if isinstance(told, str) else {"name": told, "place": 1.0})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two runs that matched the same awards with other parameters."""
    project = make_project(tmp_path, {"match": {"writes": ["funding"]}})
    for side, run_id in enumerate(("a", "b")):
        rows = [(award, *told[side]) for award, told in AWARDS.items() if told[side]]
        frame = pd.DataFrame(
            {
                "award_id": [row[0] for row in rows],
                "company": [f"{row[0]} Inc" for row in rows],
                "recipient_id": [row[1] for row in rows],
                "recipient_uei": None,
                "recipient_name": [row[1] and row[1].upper() for row in rows],
                "tier": ["name_fuzzy" if row[1] else None for row in rows],
                "match_probability": [row[3] for row in rows],
                "margin": None,
                "decision": [row[2] for row in rows],
                "evidence": [row[4] and write_evidence(row[4]) for row in rows],
            }
        )
        folder = project.runs / run_id
        (folder / "data").mkdir(parents=True)
        write_parquet(folder / "data" / "matches.parquet", MATCHES.arrow(frame[MATCHES.names]))
        params = {"matching": {"accept_probability": 0.9 + side / 100}}
        write_json(folder / "run.json", {**run_record(run_id), "created": side, "params": params})
        write_text(folder / "params.yml", Params().to_yaml())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SBIR_OUTPUTS", str(project.outputs))
    return project


def test_each_award_that_differs_is_of_one_kind(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts and examples are shown, the gravest first, with what differs between the runs."""
    assert main(["diff", "a", "b", "--export", str(project.root / "d.parquet")]) == 0
    said = capsys.readouterr().out
    assert "a -> b: 5 awards in both, of which 4 differ; 1 only before, 1 only now" in said
    assert "matching.accept_probability 0.9 -> 0.91" in said
    assert "accept 0.930 R9; decided by Ada: seen UEI" in said
    assert "lost lost Inc: accept 0.950 R1 -> review 0.800 R1; name +5.0 -> +2.0 bits" in said
    table = pd.read_parquet(project.root / "d.parquet")
    assert dict(zip(table["award_id"], table["kind"], strict=True)) == {
        "moved": "another recipient",
        "lost": "no longer accepted",
        "gained": "newly accepted",
        "surer": "another probability",
        "gone": "only before",
        "new": "only now",
    }
    assert main(["diff", "a", "a"]) == 0
    assert "0 differ" in capsys.readouterr().out


def test_a_run_without_matches_is_refused(project: Project) -> None:
    """What is missing is named, and so is a file name that says no format."""
    assert main(["diff", "a", "b", "--export", str(project.root / "d.txt")]) == 2
    (project.runs / "b" / "data" / "matches.parquet").unlink()
    assert main(["diff", "a", "b"]) == 2
