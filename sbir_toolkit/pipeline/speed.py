"""Speed from run to run, for the command line: history, two runs side by side, accepting a change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.performance import (
    Explanation,
    History,
    StageVerdicts,
    accept_change,
    cause_frame,
    explain_change,
    judge_stages,
    measure_run,
    take_side,
)
from sbir_toolkit.pipeline.benches import read_verdicts
from sbir_toolkit.pipeline.profiling import compare_stages
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, chunks_of, list_runs, open_run, read_run, run_params
from sbir_toolkit.pipeline.stages import load_pipeline
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
    benchmarks = _list_benchmarks(open_history(project))
    if table.empty:
        return benchmarks or "no run has measured a stage yet: sbir-toolkit run params/sample.yml"
    newest = table["run_id"].drop_duplicates().tail(_SHOWN_RUNS)
    shown = table[table["run_id"].isin(newest)]
    lines = [
        shown.assign(
            rows_in=shown["rows_in"].map("{:,.0f}".format, na_action="ignore"),
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
        lines += _list_verdicts(StageVerdicts(own))
    return "\n".join([*lines, *(["", benchmarks] if benchmarks and stage is None else [])])


def _list_verdicts(verdicts: StageVerdicts) -> list[str]:
    """Write a line for each verdict; those that lack the same have one line together."""
    table = verdicts.table
    told = table[(table["verdict"] != "unknown") | table["missing"].isna()]
    lines = [f"  {row.verdict:<12} {row.id:<34} {row.sentence}" for row in told.itertuples(index=False)]
    return lines + [
        f"  {'unknown':<12} {lack.stages}: {lack.missing} (figures: {lack.verdicts})"
        for lack in verdicts.missing.itertuples(index=False)
    ]


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes
    ----------
    explained
        What the change of each stage is made of.
    verdicts
        The rule's verdicts on the second run, from all that is known; two runs alone prove nothing.
    profiled
        Which functions cost more or less, where stages were profiled in the code of both runs.
    least_share
        What changed by less than this share of the first run's time is counted, not told, unless it is a
        confirmed regression.
    is_backwards
        Whether the second run is the earlier one.
    """

    before: str
    after: str
    explained: list[Explanation]
    verdicts: StageVerdicts
    profiled: tuple[str, ...] = ()
    least_share: float = 0.0
    is_backwards: bool = False

    @property
    def has_regression(self) -> bool:
        """Whether the second run confirmed a change for the worse."""
        return len(self.verdicts.regressions) > 0

    def __repr__(self) -> str:
        lines = [self._sides, *self._causes(), *self._explained(), *self.profiled]
        if not self.explained:
            lines.append("no stage worked in both runs")
        return "\n".join([*lines, "", *self._judged()])

    def to_markdown(self) -> str:
        """Write a summary for a pull request."""
        rows = [
            f"| {told.stage} | {told.before_s:,.2f} | {told.after_s:,.2f} | "
            f"{told.after_s / told.before_s - 1:+.0%} | {told.sentence.partition(': ')[2]} |"
            for told in self.explained
        ]
        head = [
            f"## Speed: {self._sides}",
            "",
            "| stage | before, s | after, s | change | why |",
            "|---|---:|---:|---:|---|",
        ]
        return "\n".join([*head, *rows, "", *(f"- {line}" for line in (*self._judged(), *self.profiled))])

    @property
    def _sides(self) -> str:
        backwards = f" (backwards: {self.after} is the earlier run)" if self.is_backwards else ""
        return f"{self.before} -> {self.after}{backwards}"

    def _explained(self) -> list[str]:
        """Tell the stages and parts whose change is worth speaking of, and how many aren't."""
        least_s = self.least_share * sum(told.before_s for told in self.explained)
        confirmed = set(self.verdicts.regressions["stage"])
        lines, stages, parts = [], [], 0
        for told in self.explained:
            changed_s = told.after_s - told.before_s
            if abs(changed_s) < least_s and told.stage not in confirmed:
                stages.append(f"{told.stage} {changed_s:+,.2f} s")
                continue
            # The largest part is told in any case, or nobody would know what the change is made of.
            is_told = (told.table["changed_s"].abs() >= least_s) | (told.table["rank"] == 1)
            parts += int((~is_told).sum())
            lines.append(repr(replace(told, table=told.table[is_told])))
        if stages or parts:
            named = f" ({', '.join(stages)})" if stages else ""
            lines.append(
                f"left out, below {self.least_share:.0%} of the first run's time "
                f"(performance.least_change_share): stages {len(stages)}{named}, parts of others {parts}"
            )
        return lines

    def _causes(self) -> list[str]:
        causes = cause_frame(self.explained)
        if causes.empty:
            return []
        first = causes.iloc[0]
        return [
            f"first of all: {first['changed_s']:+,.2f} s of {first['part']} in {first['stage']} "
            f"({first['where']}); {first['cause']} ({first['confidence']} confidence)"
        ]

    def _judged(self) -> list[str]:
        found = self.verdicts.regressions["sentence"].tolist()
        return [f"confirmed regression: {words}" for words in found] or ["no regression is confirmed"]


def compare_runs(project: Project, before: RunFolder, after: RunFolder) -> Comparison:
    """Compare two runs stage by stage and phase by phase."""
    history = open_history(project)
    sides = [
        take_side(history, [run.run_id], run.run_id, lambda run_id: chunks_of(project, run_id))
        for run in (before, after)
    ]
    pipeline = load_pipeline(project.declaration, run_params(after))
    paths = {stage.name: pipeline.path(stage) for stage in pipeline.stages}
    worked = [set(side.phases.index.get_level_values("stage")) for side in sides]
    both = [name for name in read_run(after)["stages"] if name in worked[0] & worked[1]]
    explained = [explain_change(name, *sides, project=project.root, path=paths.get(name)) for name in both]
    profiled = compare_stages(project, before, after, both)
    return Comparison(
        before.run_id,
        after.run_id,
        explained,
        judge_run(project, after),
        tuple(profiled),
        least_share=run_params(after).performance.least_change_share,
        is_backwards=read_run(after)["created"] < read_run(before)["created"],
    )


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


def accept_regression(project: Project, run_id: str | None, regression: str, why: str) -> str:
    """Accept a change that a run or a benchmark reported as the new baseline; None: the newest run."""
    history = open_history(project)
    benchmark = read_verdicts(history, run_id) if run_id else None
    if benchmark is not None:
        return accept_change(history, *benchmark, regression, why)
    run = open_run(project, run_id)
    return accept_change(history, run.run_id, judge_run(project, run), regression, why)


def _list_benchmarks(history: History) -> str:
    known = history.benchmarks().tail(_SHOWN_RUNS)
    lines = [f"  {row.benchmark:<34} {row.verdict:<12} {row.sentence}" for row in known.itertuples()]
    return "\n".join(["benchmarks:", *lines]) if lines else ""


def _stage_table(project: Project, stage: str | None) -> pd.DataFrame:
    stages = open_history(project).stages()
    stages = stages[stages["benchmark"].isna()]
    if stage is None:
        return stages
    own: pd.DataFrame = stages[stages["stage"] == stage]
    if own.empty and len(stages):
        known = ", ".join(sorted(set(stages["stage"])))
        raise ParameterError(explain(f"no run has measured a stage '{stage}'", expected=f"one of: {known}"))
    return own
