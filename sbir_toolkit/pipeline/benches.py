"""`bench`: a workload measured for the code that is here, beside what it cost before.

Each repeat is done with the code of one folder (`repeats`): the one here, or a git worktree of an earlier
commit, so that two versions can take turns on the same machine in the same minutes.
The repeats go into the history as runs under the workload's name, with their code, environment and
calibration; what was found goes into its table of benchmarks.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.params import Params
from sbir_toolkit.performance import (
    Baseline,
    Benchmark,
    Explanation,
    History,
    Patience,
    StageVerdicts,
    explain_change,
    stored_baseline,
    take_side,
)
from sbir_toolkit.performance.schema import describe_machine
from sbir_toolkit.pipeline.project import Project, input_path, make_synthetic_input
from sbir_toolkit.pipeline.repeats import CHILD, Version, warm_up_both
from sbir_toolkit.pipeline.run import describe_environment
from sbir_toolkit.pipeline.scratch import checked_out, scratch_folder
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.pipeline.workload import START, Workload
from sbir_toolkit.storage import digest_value
from sbir_toolkit.versions import code_version

_HERE = Path(__file__).parents[2]
_SHOWN = 8


@dataclass(frozen=True)
class Bench:
    """What a benchmark found.

    Attributes
    ----------
    benchmark : str
        Its id.
    against : str
        What the code was compared with.
    spread_share : float
        Half the interval of the CPU time of the whole.
    explained : list of Explanation
        What the change of each stage with a confirmed change is made of.
    """

    benchmark: str
    workload: Workload
    against: str
    repeats: int
    spread_share: float
    verdicts: StageVerdicts
    explained: list[Explanation] = field(default_factory=list)

    @property
    def has_regression(self) -> bool:
        """Whether a change for the worse is confirmed."""
        return len(self.verdicts.regressions) > 0

    @property
    def verdict(self) -> str:
        """Regression, suspect, improvement, no change, or unknown where nothing could be compared."""
        seen = set(self.verdicts.table["verdict"])
        ranked = ("regression", "suspect", "improvement", "no change")
        return next((verdict for verdict in ranked if verdict in seen), "unknown")

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        changes = self.verdicts.changes
        if len(changes):
            return str(changes["sentence"].iloc[0])
        judged = int((self.verdicts.table["verdict"] == "no change").sum())
        if not judged:
            return (
                "No verdict: this machine has no baseline of this workload yet; these repeats are its first"
            )
        return f"No change in {judged} measures of stages and phases"

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"{self.benchmark}: {self.verdict}, against {self.against}",
                f"{self.repeats} repeats, CPU time of the whole known to ±{self.spread_share:.1%}",
                self.sentence,
                *(f"  {row.id:<44} {row.sentence}" for row in self._shown()),
                *map(repr, self.explained),
                *self._way_on(),
            ]
        )

    def to_markdown(self) -> str:
        """Write a summary for a pull request."""
        rows = [
            f"| {row.stage} | {row.phase} | {row.measure} | {row.change_share:+.0%} | {row.verdict} |"
            for row in self._shown()
        ]
        head = (
            ["", "| stage | phase | measure | change | verdict |", "|---|---|---|---:|---|"] if rows else []
        )
        return "\n".join(
            [
                f"## Benchmark {self.workload.name}: {self.verdict}",
                "",
                f"{self.sentence} (against {self.against}, {self.repeats} repeats).",
                *(head if rows else []),
                *rows,
                *(f"\n{told.sentence}" for told in self.explained),
            ]
        )

    def _shown(self) -> list[Any]:
        return list(self.verdicts.changes.head(_SHOWN).itertuples(index=False))

    def _way_on(self) -> list[str]:
        found = self.verdicts.regressions["id"].head(1).tolist()
        return [f'to accept: sbir-toolkit accept {one} --run {self.benchmark} --why "..."' for one in found]


def run_bench(
    project: Project,
    params: Params,
    workload: Workload,
    *,
    against: str | None = None,
    say: Callable[[str], None] = print,
    patience: Patience | None = None,
    child: Sequence[str] = CHILD,
) -> Bench:
    """Measure a workload, compare it with what it cost before, and keep it all in the history.

    Parameters
    ----------
    params
        `performance` says what counts as a change, and where the history is.
    workload
        What is done; see `workload.WORKLOADS`.
    against
        A git revision to take turns with; None: compare with the history, and take turns with the code of
        its baseline when something is suspected and git has that code.
    say
        Is told what goes on.
    patience
        How often it is measured.
    child
        The words that start one repeat with the code of now, to be followed by its job file.

    Raises
    ------
    ParameterError
        When git doesn't know the revision, or its code has no such workload.
    """
    files, name = make_files(project, params, workload, say)
    history = History(params.performance.history_url or project.history)
    environment = describe_environment()
    machine = describe_machine(environment)
    begun, settings = time.time(), Params().model_dump(mode="json")
    identity = _new_identity(history, workload, begun)
    told = {
        "benchmark": identity,
        "environment": environment,
        "params": {"workload": name, **settings},
        "params_digest": digest_value([name, settings]),
    }
    baseline = None if against else stored_baseline(history, name, machine)
    revision = against or (_turning_point(baseline, environment) if baseline else None)
    with (
        scratch_folder(project) as folder,
        checked_out(project.root, revision, folder, is_asked=against is not None) as old,
        ExitStack() as closing,
    ):
        code = code_version(project.root)
        now = Version(_HERE, files, folder, {**told, "name": name, "role": "r", "code": code}, child)
        closing.enter_context(now)
        before = None
        if old is not None and revision is not None:
            was = {"commit": revision, "is_dirty": False, "digest": None}
            own = {**told, "name": f"{name}, before", "role": "b", "code": was}
            before = Version(old, files, folder, own)
            closing.enter_context(before)
        if against and before is not None:
            before.measure()
        say("warming up")
        order = list(now.measure().record["stages"])

        def make_ready(suspects: set[str]) -> None:
            """Leave out of the turns what comes after the last suspect, and importing if that isn't one."""
            if before is not None:
                now.until = before.until = max(suspects, key=order.index)
                if START in suspects:
                    before.measure()  # once for nothing, as its code has to be compiled
                else:
                    warm_up_both(now, before)

        bench = Benchmark(
            now.measure,
            params.performance,
            before=before.measure if before else None,
            before_turns=make_ready,
            baseline=baseline,
            patience=patience or Patience(),
            say=say,
        )
        verdicts = bench.run()
    for repeat in (*bench.before_, *bench.repeats_):
        history.record_run(repeat.record, repeat.figures)
    # Turns with the code of before tell what it costs now; without them the stored repeats do.
    sides = (
        (bench.before_, bench.repeats_[-len(bench.before_) :])
        if bench.before_
        else ((baseline or Baseline()).repeats, bench.repeats_)
    )
    old_ids, new_ids = ([repeat.record["run_id"] for repeat in side] for side in sides)
    changed = verdicts.table.loc[verdicts.table["verdict"].isin(("regression", "improvement")), "stage"]
    explained = []
    if len(changed):
        taken = take_side(history, old_ids, "before"), take_side(history, new_ids, "now")
        pipeline = load_pipeline(project.declaration, params)
        paths = {stage.name: pipeline.path(stage) for stage in pipeline.stages}
        explained = [
            explain_change(stage, *taken, project=project.root, path=paths.get(stage))
            for stage in changed.drop_duplicates()
        ]
    found = Bench(
        identity,
        workload,
        f"commit {against}" if against else f"the history ({len(old_ids)} repeats)",
        len(bench.repeats_),
        bench.spread,
        verdicts,
        explained,
    )
    history.record_benchmark(
        benchmark=identity,
        name=name,
        machine=machine,
        created=begun,
        ended=time.time(),
        against=found.against,
        code_commit=code["commit"],
        repeats=found.repeats,
        spread_share=found.spread_share,
        verdict=found.verdict,
        sentence=found.sentence,
        verdicts=verdicts.changes.to_json(orient="records"),
    )
    return found


def _new_identity(history: History, workload: Workload, begun: float) -> str:
    """Name a benchmark by its time; a small one may begin in the same second as the one before it."""
    base = f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(begun))}-bench-{workload.name}"
    taken = set(history.benchmarks()["benchmark"])
    names = (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def read_verdicts(history: History, benchmark: str) -> tuple[str, StageVerdicts] | None:
    """Give a repeat's run id and the noteworthy verdicts of a benchmark; None: there is none of that id."""
    known = history.benchmarks()
    own = known[known["benchmark"] == benchmark]
    if own.empty:
        return None
    runs = history.runs()
    of_it = runs[(runs["benchmark"] == benchmark) & (runs["name"] == own["name"].iloc[0])]
    return str(of_it["run_id"].iloc[0]), StageVerdicts.of(json.loads(own["verdicts"].iloc[0]))


def make_files(
    project: Project, params: Params, workload: Workload, say: Callable[[str], None]
) -> tuple[tuple[Path, Path], str]:
    """Make a workload's files, once; give them and the name under which their repeats are comparable."""
    made = params.synthetic.model_copy(
        update={"awards": workload.awards, "recipients": workload.recipients, "seed": workload.seed}
    )
    source = {"path": None}
    own = params.model_copy(
        update={
            "synthetic": made,
            "awards": params.awards.model_copy(update=source),
            "recipients": params.recipients.model_copy(update=source),
        }
    )
    if make_synthetic_input(project, own):
        say(f"written: {workload.awards:,} awards, {workload.recipients:,} recipients")
    awards, recipients = (input_path(project, own, name) for name in ("awards", "recipients"))
    return (awards, recipients), f"bench {workload.name} {awards.parent.name}"


def _turning_point(baseline: Baseline, environment: dict[str, Any]) -> str | None:
    """Name the newest commit of the baseline that can stand for it: clean, with the libraries of now."""
    libraries = json.dumps(environment["libraries"], sort_keys=True, ensure_ascii=False)
    accepted = max(baseline.accepted.values(), default=math.inf)
    for repeat in reversed(baseline.repeats):
        record = repeat.record
        is_clean = record["code_is_dirty"] is not pd.NA and not record["code_is_dirty"]
        counts = record["benchmark"] not in baseline.flagged or record["created"] >= accepted
        if record["code_commit"] and is_clean and counts and record["libraries"] == libraries:
            return str(record["code_commit"])
    return None
