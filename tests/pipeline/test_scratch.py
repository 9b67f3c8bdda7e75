"""What a benchmark works in is gone afterwards, also when it was killed, and what others have stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.scratch import checked_out, scratch_folder

HOLD = """
import sys
from pathlib import Path
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.scratch import checked_out, scratch_folder

root = Path(sys.argv[1])
with scratch_folder(Project(root, root / "outputs")) as folder:
    with checked_out(root, "HEAD", folder, is_asked=True) as code:
        print(code, flush=True)
        sys.stdin.read()
"""


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository whose newest commit has a workload, and the one before hasn't."""
    root = tmp_path / "project"
    workload = root / "sbir_toolkit" / "pipeline" / "workload.py"
    workload.parent.mkdir(parents=True)
    git(root, "init", "--quiet")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "nothing yet")
    workload.write_text("")
    git(root, "add", "sbir_toolkit")
    git(root, "commit", "--quiet", "--message", "a workload")
    return Project(root, root / "outputs")


def worktrees(project: Project) -> set[Path]:
    told = git(project.root, "worktree", "list", "--porcelain").splitlines()
    found = {Path(line.removeprefix("worktree ")) for line in told if line.startswith("worktree ")}
    return found - {project.root}


def test_a_killed_benchmark_is_cleared_away_by_the_next_one(project: Project, tmp_path: Path) -> None:
    """Its folder and what git knows of it; not those of one that still works, nor anybody else's worktree."""
    own = tmp_path / "own"
    git(project.root, "worktree", "add", "--detach", str(own))
    own.rename(tmp_path / "on a disk that isn't mounted now")
    command = [sys.executable, "-c", HOLD, str(project.root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as dead, subprocess.Popen(command, **pipes) as living:
        codes = [Path(process.stdout.readline().strip()) for process in (dead, living)]
        os.kill(dead.pid, signal.SIGKILL)
        dead.wait()
        assert worktrees(project) == {own, *codes}
        with scratch_folder(project) as folder:
            assert worktrees(project) == {own, codes[1]}
            assert [codes[0].parent.exists(), codes[1].exists()] == [False, True]
            assert list(folder.iterdir()) == []
        living.communicate()
    assert worktrees(project) == {own}
    assert list((project.store / "bench").iterdir()) == []


def test_a_revision_is_there_for_a_while(project: Project) -> None:
    """One that has no benchmark is refused when it was asked for, and otherwise done without."""
    with scratch_folder(project) as folder:
        with checked_out(project.root, "HEAD", folder, is_asked=True) as code:
            assert code is not None
            assert (code / "sbir_toolkit").is_dir()
        assert worktrees(project) == set()
        with checked_out(project.root, "HEAD~1", folder, is_asked=False) as code:
            assert code is None
        refused = checked_out(project.root, "HEAD~1", folder, is_asked=True)
        with pytest.raises(ParameterError, match="from before there was a benchmark"), refused:
            pass
    assert worktrees(project) == set()
