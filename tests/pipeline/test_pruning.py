"""What nobody has used for long is removed from the store, and nothing that is needed."""

from __future__ import annotations

import os
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sbir_toolkit import Params
from sbir_toolkit.cli import main
from sbir_toolkit.locks import locked
from sbir_toolkit.pipeline.project import Project, input_path, make_synthetic_input
from sbir_toolkit.pipeline.pruning import DAY_S, prune_store
from sbir_toolkit.sources.remote import fetch_input
from sbir_toolkit.storage import write_json

from .servers import serving

PIECES = ("index/i1", "synthetic/s1", "matching/m1", "recipients/r1", "remote/u1/v1")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a piece of each kind that was last used two hundred days ago."""
    project = Project(tmp_path, tmp_path / "outputs")
    for name in (*PIECES, "stages-1/load", "accepted/sample"):
        keep(project, name, days=200)
    return project


def keep(project: Project, name: str, days: float) -> Path:
    folder = project.store / name
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"x" * 1000)
    age(folder, days)
    return folder


def age(folder: Path, days: float) -> None:
    then = time.time() - days * DAY_S
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


def record(project: Project, status: str, days: float) -> None:
    folder = project.runs / f"r-{status}"
    stages = {"load": {"status": status}}
    created = time.time() - days * DAY_S
    write_json(
        folder / "run.json",
        {"run_id": folder.name, "status": status, "created": created, "stages": stages, "is_published": True},
    )


def left(project: Project) -> set[str]:
    return {str(path.parent.relative_to(project.store)) for path in project.store.rglob("content")}


def test_unused_pieces_go_and_used_ones_stay(project: Project) -> None:
    """What was used within the days stays, of an address also without its oldest version."""
    keep(project, "index/i2", days=10)
    keep(project, "remote/u1/v2", days=10)
    record(project, "done", days=300)
    pruned = prune_store(project, days=90)
    assert left(project) == {"index/i2", "remote/u1/v2", "stages-1/load", "accepted/sample"}
    assert len(pruned.pieces) == len(PIECES)
    assert (sum(piece.bytes for piece in pruned.pieces), pruned.kept_bytes) == (5000, 2000)
    assert prune_store(project, days=90).pieces == ()
    assert prune_store(project, days=5).kept_bytes == 0
    assert not (project.store / "remote" / "u1").exists()


def test_only_saying_removes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command lists what would go with its size and its last day; then it removes that."""
    (project.root / "notebooks").mkdir()
    (project.root / "notebooks" / "pipeline.yml").write_text("stages: {}")
    monkeypatch.chdir(project.root)
    before = left(project)
    assert main(["--outputs", str(project.outputs), "prune", "--dry-run"]) == 0
    assert "5 piece(s), 0.0 MB would be removed" in capsys.readouterr().out
    assert left(project) == before
    assert main(["--outputs", str(project.outputs), "prune"]) == 0
    assert left(project) == {"stages-1/load", "accepted/sample"}
    assert main(["--outputs", str(project.outputs), "prune", "--days", "0"]) == 2


@pytest.mark.parametrize("status", ["interrupted", "failed", "running"])
def test_what_a_run_that_can_be_resumed_needs_stays(project: Project, status: str) -> None:
    """What was used since that run began stays, and it says why; what was used before goes."""
    keep(project, "index/older", days=400)
    record(project, status, days=250)
    pruned = prune_store(project, days=90)
    assert [piece.path.name for piece in pruned.pieces] == ["older"]
    assert f"since run r-{status} began stays" in repr(pruned)


def test_what_somebody_holds_stays(project: Project) -> None:
    """A piece whose lock is held is left alone."""
    held = (project.store / "index" / "i1.lock", project.store / "matching" / "m1" / "writer.lock")
    with locked(held[0], "this index"), locked(held[1], "the matching"):
        age(project.store / "matching" / "m1", 200)
        prune_store(project, days=90)
    assert {"index/i1", "matching/m1"} <= left(project)


def test_use_is_noted(project: Project, tmp_path: Path) -> None:
    """Samples and fetched files that are used again count as used now, and can be had again when gone."""
    params = Params.model_validate({"synthetic": {"awards": 10, "recipients": 20}})
    make_synthetic_input(project, params)
    sample = input_path(project, params, "awards").parent
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.csv").write_text("a")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "there")
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        fetched = fetch_input(f"{address}/a.csv", project.store, params.fetch, say=print)
        for folder in (sample, fetched.parent):
            age(folder, 200)
        make_synthetic_input(project, params)
        fetch_input(f"{address}/a.csv", project.store, params.fetch, say=print)
        prune_store(project, days=90)
        assert sample.exists() and fetched.exists()
        for folder in (sample, fetched.parent):
            age(folder, 200)
        prune_store(project, days=90)
        assert not sample.exists() and not fetched.exists()
        assert fetch_input(f"{address}/a.csv", project.store, params.fetch, say=print).read_text() == "a"
    assert make_synthetic_input(project, params)
