"""Profiles of stages: made on a run's own inputs, kept beside the run, found again by stage and by code.

`profiles/STAGE.json` of the run says what was profiled, when and in which version of the code;
`profiles/STAGE.scalene.json` is what scalene wrote (`scalene view` shows it).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.params import Params
from sbir_toolkit.performance.profile import PROFILE_COLUMNS, compare_profiles, profile_program
from sbir_toolkit.pipeline import stage_work
from sbir_toolkit.pipeline.project import Project, input_paths
from sbir_toolkit.pipeline.run import RunFolder, list_runs, read_run, run_params
from sbir_toolkit.storage import read_json, write_json
from sbir_toolkit.versions import code_version

_SHOWN = 15
_SHOWN_CHANGES = 4
_REST = "the rest (imports, libraries called by nobody above, other functions, waiting)"


@dataclass(frozen=True)
class Profile:
    """What the functions of a stage cost in one version of the code.

    Attributes
    ----------
    stage, run_id
        What was done once more, and on which run's inputs.
    at
        When, in seconds since 1970.
    code
        Digest of the code.
    has_memory
        Whether memory was profiled.
    functions : pandas.DataFrame
        As `read_functions` gives it.
    """

    stage: str
    run_id: str
    at: float
    code: str
    has_memory: bool
    functions: pd.DataFrame

    @classmethod
    def read(cls, file: Path) -> Profile:
        """Read a profile that was kept."""
        told = read_json(file)
        functions = pd.DataFrame(told.pop("functions"), columns=list(PROFILE_COLUMNS))
        return cls(**told, functions=functions.astype(PROFILE_COLUMNS))

    def write(self, file: Path) -> None:
        """Keep it."""
        told: dict[str, Any] = {name: getattr(self, name) for name in ("stage", "run_id", "at", "code")}
        told |= {"has_memory": self.has_memory, "functions": self.functions.to_dict("records")}
        write_json(file, told)

    def __repr__(self) -> str:
        shown = self.functions.head(_SHOWN)
        if not self.has_memory:
            shown = shown.drop(columns=["peak_mb", "copied_mb_per_s"])
        formats = {"share": "{:.0%}".format, "function": "{}".format}
        rest = 1 - shown["share"].sum()
        table = shown.to_string(index=False, float_format="{:,.2f}".format, formatters=formats)
        title = f"{self.stage} on the inputs of run {self.run_id}: what its functions cost"
        return f"{title}\n{table}\n{_REST}: {rest:.0%}"


def profile_stage(project: Project, run: RunFolder, stage: str, *, has_memory: bool = False) -> Profile:
    """Do a stage's work once more under the profiler, from an empty store; keep the profile beside the run.

    Raises
    ------
    ParameterError
        When the stage has no work outside its notebook.
    StageError
        When scalene can't run.
    """
    stage_work.require_work(stage)
    params = run_params(run)
    # Only functions in this very process are seen: chunks are computed in threads.
    params = params.model_copy(update={"compute": params.compute.model_copy(update={"scheduler": "threads"})})
    folder = run.path / "profiles"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = make_job(project, run, stage, Path(scratch), params)
        job.folder.mkdir()
        file = Path(scratch) / "job.json"
        job.write(file)
        functions = profile_program(
            Path(stage_work.__file__),
            [str(file)],
            folder / f"{stage}.scalene.json",
            has_memory=has_memory,
            env={},
        )
    code = code_version(project.root)["digest"]
    profile = Profile(stage, run.run_id, time.time(), code, has_memory, functions)
    profile.write(folder / f"{stage}.json")
    return profile


def make_job(project: Project, run: RunFolder, stage: str, scratch: Path, params: Params) -> stage_work.Job:
    """Describe a stage's work on what a run read, with all that comes out in a scratch folder."""
    inputs = {
        name: [str(path) for path in input_paths(project, params, name)] for name in ("awards", "recipients")
    }
    return stage_work.Job(stage, params, inputs, run.path / "data", scratch / "data", scratch / "store")


def find_profile(project: Project, stage: str, code: str | None = None) -> Profile | None:
    """Find the newest profile of a stage, of any code or of one version of it."""
    files = [run.path / "profiles" / f"{stage}.json" for run in list_runs(project)]
    found = [Profile.read(file) for file in files if file.exists()]
    alike = [profile for profile in found if code is None or profile.code == code]
    return max(alike, key=lambda profile: profile.at, default=None)


def newest_functions(project: Project, stage: str) -> pd.DataFrame:
    """Give the functions of a stage's newest profile; none when there is no profile."""
    found = find_profile(project, stage)
    return pd.DataFrame(columns=list(PROFILE_COLUMNS)) if found is None else found.functions


def compare_stages(project: Project, before: RunFolder, after: RunFolder, stages: Sequence[str]) -> list[str]:
    """Say which functions cost more or less, where a stage was profiled in the code of both runs.

    Returns
    -------
    list of str
        A line for each stage whose code is another one now and that has both profiles.
    """
    codes = [(read_run(run).get("code") or {}).get("digest") for run in (before, after)]
    if codes[0] == codes[1] or None in codes:
        return []
    lines = []
    for stage in stages:
        old, new = (find_profile(project, stage, code) for code in codes)
        if old is not None and new is not None:
            table = compare_profiles(old.functions, new.functions).head(_SHOWN_CHANGES)
            changes = [
                f"{row.function} {row.changed_s:+,.2f} s ({row.before_s:,.2f} -> {row.after_s:,.2f})"
                for row in table.itertuples(index=False)
            ]
            lines.append(f"{stage}, by its profiles: {'; '.join(changes)}")
    return lines
