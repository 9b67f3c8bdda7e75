"""What is forked from one warm process is as good as a process of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from sbir_toolkit.params import load_params
from sbir_toolkit.pipeline.nursery import KERNEL_NAME, STAGE_NAME
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import read_run
from sbir_toolkit.pipeline.start import RunResult, resume_pipeline, run_pipeline

from .toy import make_project, write_notebook

PARAMS = {"synthetic": {"awards": 20, "recipients": 50}}
# A notebook that says what its process is like.
TELLS = """
import json, os, sys
from pathlib import Path
import psutil
me = psutil.Process()
facts = {{
    "kernel": me.name(),
    "pid": me.pid,
    "stage": me.parent().name(),
    "group": os.getpgid(0),
    "folder": os.getcwd(),
    "paths": sys.path,
    "variables": {{name: os.environ.get(name) for name in ("MPLBACKEND", "SBIR_STAGE", "SHADE")}},
    "is_marked": hasattr(psutil, "mark"),
    "command": me.cmdline(),
}}
psutil.mark = True
Path({file!r}).write_text(json.dumps(facts))
"""
KILLS = """
import os, signal, psutil
from pathlib import Path
if not Path({file!r}).exists():
    Path({file!r}).touch()
    os.kill(psutil.Process().parents()[{above}].pid, signal.SIGKILL)
    signal.pause()
"""


def start(project: Project, *overrides: str) -> RunResult:
    params = load_params(project.root / "params" / "toy.yml", overrides)
    return run_pipeline(project, params, say=lambda line: None)


def test_stages_have_processes_of_their_own(tmp_path: Path) -> None:
    """Names, group, folder and environment are right; what one stage changes, the next doesn't see."""
    told = [tmp_path / "first.json", tmp_path / "second.json"]
    for file in told:
        write_notebook(tmp_path / "notebooks" / f"{file.stem}.ipynb", TELLS.format(file=str(file)))
    result = start(make_project(tmp_path, {"first": {}, "second": {"after": ["first"]}}, **PARAMS))
    assert result.exit_code == 0
    first, second = (json.loads(file.read_text()) for file in told)
    for facts in (first, second):
        assert (facts["kernel"], facts["stage"]) == (KERNEL_NAME, STAGE_NAME)
        assert facts["group"] == facts["pid"] != os.getpgid(0)
        assert Path(facts["folder"]) == tmp_path / "notebooks"
        assert "" in facts["paths"] and str(Path.cwd()) not in facts["paths"][:1]
        assert facts["variables"]["MPLBACKEND"] == "Agg"
        assert not facts["is_marked"]
    assert [facts["variables"]["SBIR_STAGE"] for facts in (first, second)] == ["first", "second"]
    assert first["pid"] != second["pid"]
    assert not psutil.pid_exists(first["pid"]) and not psutil.pid_exists(second["pid"])


def test_kernel_that_is_not_this_python_is_started_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel of another name, with variables of its own, gets them."""
    spec = tmp_path / "jupyter" / "kernels" / "shady"
    spec.mkdir(parents=True)
    argv = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "env": {"SHADE": "blue"}, "display_name": "Shady", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    told = tmp_path / "told.json"
    write_notebook(tmp_path / "notebooks" / "tell.ipynb", TELLS.format(file=str(told)))
    result = start(make_project(tmp_path, {"tell": {}}, **PARAMS), "pipeline.kernel=shady")
    assert result.exit_code == 0
    facts = json.loads(told.read_text())
    assert facts["variables"]["SHADE"] == "blue"
    assert "ipykernel_launcher" in facts["command"]


@pytest.mark.parametrize(
    ("above", "said"),
    [
        (0, "the process that ran the notebook was killed by SIGKILL; its processes held at most"),
        (1, "the process that ran the notebook died; its processes held at most"),
    ],
    ids=["stage", "nursery"],
)
def test_killed_stage_and_killed_nursery(tmp_path: Path, above: int, said: str) -> None:
    """The stage died, nothing of it goes on, later stages have a nursery, and `resume` mends it."""
    flag, told = tmp_path / "killed", tmp_path / "told.json"
    write_notebook(tmp_path / "notebooks" / "kill.ipynb", KILLS.format(file=str(flag), above=above))
    write_notebook(tmp_path / "notebooks" / "tell.ipynb", TELLS.format(file=str(told)))
    project = make_project(tmp_path, {"kill": {}, "tell": {"after": ["kill"]}}, **PARAMS)
    result = start(project)
    facts = read_run(result.run)["stages"]
    assert facts["kill"]["status"] == "died"
    assert said in facts["kill"]["reason"]
    assert facts["tell"]["status"] == "done"
    assert json.loads(told.read_text())["stage"] == STAGE_NAME
    left = [
        one for one in psutil.Process().children(recursive=True) if one.name() in (STAGE_NAME, KERNEL_NAME)
    ]
    _, alive = psutil.wait_procs(left, timeout=5)
    assert not alive
    assert resume_pipeline(project, result.run, say=lambda line: None).exit_code == 0
