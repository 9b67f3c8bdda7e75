"""Speed from run to run, for the command line: the history as a table, and accepting a change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.performance import History, StageVerdicts, accept_change, judge_stages, measure_run
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, list_runs, read_run, run_params
from sbir_toolkit.storage import atomic_path, read_lines

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_RUNS = 12
_EXPORTS = (".parquet", ".csv")


def open_history(project: Project) -> History:
    """Open the history that the newest run's parameters name, or the project's own file."""
    folders = list_runs(project)
    url = run_params(folders[0]).performance.history_url if folders else None
    return History(url or project.history)


def judge_run(project: Project, run: RunFolder) -> StageVerdicts:
    """Judge a run's stages and phases against the runs before it."""
    record = read_run(run)
    figures = measure_run(record, read_lines(run.events))
    return judge_stages(open_history(project), record, figures, run_params(run).performance)


def describe_history(project: Project, stage: str | None = None) -> str:
    """Write a table of what stages took in the newest runs, and the verdicts on the newest one."""
    import pandas as pd

    table = _stage_table(project, stage)
    if table.empty:
        return "no run has measured a stage yet: sbir-toolkit run params/sample.yml"
    newest = table["run_id"].drop_duplicates().tail(_SHOWN_RUNS)
    shown = table[table["run_id"].isin(newest)]
    lines = [
        shown.assign(
            created=pd.to_datetime(shown["created"], unit="s").dt.strftime("%Y-%m-%d %H:%M"),
            peak_mb=shown["peak_bytes"] / 1e6,
        )[["run_id", "created", "stage", "status", "rows_in", "elapsed_s", "cpu_s", "peak_mb"]].to_string(
            index=False, float_format="{:,.1f}".format, na_rep="-"
        )
    ]
    folders = list_runs(project)
    if folders:
        verdicts = judge_run(project, folders[0]).table
        own = verdicts if stage is None else verdicts[verdicts["stage"] == stage]
        lines += ["", f"verdicts on run {folders[0].run_id}:"]
        lines += [f"  {row.verdict:<12} {row.id:<34} {row.sentence}" for row in own.itertuples(index=False)]
    return "\n".join(lines)


def export_history(project: Project, stage: str | None, file: Path) -> str:
    """Write what stages took in all runs to a Parquet or CSV file; give a sentence about it.

    Raises
    ------
    ParameterError
        When the file's name ends otherwise.
    """
    if file.suffix not in _EXPORTS:
        raise ParameterError(
            explain("the history is exported as Parquet or CSV", where=file, expected=" or ".join(_EXPORTS))
        )
    table = _stage_table(project, stage)
    with atomic_path(file) as temporary:
        if file.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
    return f"{file}: {len(table):,} rows, one for each run and stage"


def accept_regression(project: Project, run: RunFolder, regression: str, why: str) -> str:
    """Accept a change that a run reported as the new baseline."""
    return accept_change(open_history(project), run.run_id, judge_run(project, run), regression, why)


def _stage_table(project: Project, stage: str | None) -> pd.DataFrame:
    stages = open_history(project).stages()
    if stage is None:
        return stages
    own: pd.DataFrame = stages[stages["stage"] == stage]
    if own.empty and len(stages):
        known = ", ".join(sorted(set(stages["stage"])))
        raise ParameterError(explain(f"no run has measured a stage '{stage}'", expected=f"one of: {known}"))
    return own
