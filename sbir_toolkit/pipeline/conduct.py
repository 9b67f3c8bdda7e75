"""Conducting a run: stages in their order, side by side where they may, stopped where they must.

A stage starts when all it waits for have ended; the report of one is rendered while the next runs. It is
*reused* when its key is known, *blocked* when a stage it reads from came to nothing or a gate forbids it, and
otherwise run by the runner; then its outputs are checked and only after that does it count as done. Whatever
happens to one stage, the others' state stays true, and `resume` goes on from there.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sbir_toolkit import errors
from sbir_toolkit.errors import ContractError, GateError, StageError
from sbir_toolkit.pipeline.certificate import check_outputs, check_sums
from sbir_toolkit.pipeline.gates import Hindrance, Judgement, judge
from sbir_toolkit.pipeline.keys import ResultStore, StageKey, StoredResult, stage_key, stored_result
from sbir_toolkit.pipeline.nursery import Nursery
from sbir_toolkit.pipeline.plan import plan_stage
from sbir_toolkit.pipeline.publish import publish_stage
from sbir_toolkit.pipeline.run import ENDED_WELL, RunState
from sbir_toolkit.pipeline.runner import Outcome, run_notebook
from sbir_toolkit.pipeline.setup import Setup
from sbir_toolkit.pipeline.stages import Stage
from sbir_toolkit.storage import read_json

Say = Callable[[str], None]
_HELD_UP = ("failed", "died", "blocked", "interrupted", "skipped")


@dataclass(frozen=True)
class Order:
    """What a run was asked to do besides its parameters.

    Parameters
    ----------
    redo
        Stages that run even though their result is known.
    wanted
        The only stages that may run; None: all.
    is_fresh
        Whether nothing from earlier runs may be reused.
    """

    redo: frozenset[str] = frozenset()
    wanted: frozenset[str] | None = None
    is_fresh: bool = False


class Conductor:
    """Runs the stages of one run.

    Parameters
    ----------
    setup
        Where, told what, which stages, on which inputs.
    state
        The run's record, kept up to date.
    order
        What else was asked for.
    nursery
        Forks the stages' processes.
    say
        Receives one line for each thing that happens.
    """

    def __init__(self, setup: Setup, state: RunState, order: Order, nursery: Nursery, say: Say) -> None:
        self._setup = setup
        self._pipeline = setup.pipeline
        self._state = state
        self._order = order
        self._nursery = nursery
        self._say = say
        self._store = ResultStore(setup.project)
        self._stop = threading.Event()
        self._judgement: Judgement | None = None
        # Reports are rendered one after the other beside the stages: nobody waits for one but the run's end.
        self._publisher = ThreadPoolExecutor(1)
        self._published: list[Future[None]] = []

    def conduct(self) -> None:
        """Run until every stage has ended, one way or another."""
        pending = {stage.name: stage for stage in self._pipeline.stages}
        running: dict[Future[None], str] = {}
        with (
            _stopping_on_signals(self._stop),
            ThreadPoolExecutor(self._setup.params.pipeline.parallel_stages) as pool,
            self._publisher,
        ):
            while pending or running:
                for name in [name for name in pending if self._may_start(pending[name], pending, running)]:
                    running[pool.submit(self._do_stage, pending.pop(name))] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running.pop(future)
                    future.result()
        for published in self._published:
            published.result()

    @property
    def was_stopped(self) -> bool:
        """Whether somebody asked the run to stop (Ctrl-C, SIGTERM)."""
        return self._stop.is_set()

    def _may_start(self, stage: Stage, pending: dict[str, Stage], running: dict[Future[None], str]) -> bool:
        waits_for = set(self._pipeline.before(stage))
        return not waits_for & (set(pending) | set(running.values()))

    def _do_stage(self, stage: Stage) -> None:
        hindrance = self._hindrance(stage)
        if hindrance is not None:
            self._hold_up(stage, hindrance)
            return
        key = stage_key(stage, self._setup, self._table_digests(stage), self._state.folder.run_id)
        is_redone = self._order.is_fresh or stage.name in self._order.redo
        result, reason = plan_stage(
            stage, key, self._setup, run_id=self._state.folder.run_id, is_redone=is_redone
        )
        if result is not None:
            self._reuse(stage, result, reason)
        elif not self._is_wanted(stage):
            why = f"not asked for, and its result isn't known ({reason})"
            self._state.update_stage(stage.name, status="skipped", reason=why, ended=time.time())
            self._say(f"{stage.name}: skipped - {why}")
        else:
            self._run(stage, key, reason)
        if "metrics" in stage.writes and self._state.stage(stage.name)["status"] in ENDED_WELL:
            self._judge(stage)

    def _hindrance(self, stage: Stage) -> Hindrance | None:
        if self._stop.is_set():
            return Hindrance("pending", "the run was told to stop before it began", ())
        if self._judgement is not None and self._judgement.decision.overall == "stop":
            return self._judgement.hindrance(stage)
        for name in self._pipeline.upstream(stage):
            facts = self._state.stage(name)
            if facts["status"] in _HELD_UP:
                is_conditional = bool(facts.get("held_by"))
                is_skipped = facts["status"] == "skipped" and (is_conditional or not self._is_wanted(stage))
                why = f"it reads what {name} writes, and {name} {_past(facts['status'])}"
                if facts["status"] == "skipped" and not is_skipped:
                    why += f"; run first, or with it: {self._run_first(stage)}"
                status = "skipped" if is_skipped else "blocked"
                return Hindrance(status, why, tuple(facts.get("held_by", ())))
        if self._judgement is not None and self._pipeline.asks_gates(stage):
            return self._judgement.hindrance(stage)
        return None

    def _hold_up(self, stage: Stage, hindrance: Hindrance) -> None:
        # What an earlier attempt at this run left must not pass for a result of this one.
        folder = self._state.folder
        if hindrance.status in ("blocked", "skipped"):
            for path in (
                *map(folder.table, stage.writes),
                folder.notebook(stage.notebook),
                folder.report(stage.notebook),
                folder.metrics(stage.name),
            ):
                path.unlink(missing_ok=True)
        self._state.update_stage(
            stage.name,
            status=hindrance.status,
            reason=hindrance.reason,
            held_by=list(hindrance.gates),
            ended=time.time(),
            outputs={},
            report=None,
        )
        self._say(f"{stage.name}: {hindrance.status} - {hindrance.reason}")

    def _run_first(self, stage: Stage) -> str:
        """Name the options by which all that a stage needs, and that isn't known, would run."""
        needed = {stage.name}
        for other in reversed(self._pipeline.stages):
            if other.name in needed:
                needed |= set(self._pipeline.upstream(other))
        skipped = [name for name in self._pipeline.names if self._state.stage(name)["status"] == "skipped"]
        return " ".join(f"--only {name}" for name in skipped if name in needed)

    def _is_wanted(self, stage: Stage) -> bool:
        return self._order.wanted is None or stage.name in self._order.wanted

    def _table_digests(self, stage: Stage) -> dict[str, str]:
        digests: dict[str, str] = {}
        for name in self._pipeline.upstream(stage):
            digests |= {table: made["digest"] for table, made in self._state.stage(name)["outputs"].items()}
        return digests

    def _reuse(self, stage: Stage, result: StoredResult, reason: str) -> None:
        if result.run_id == self._state.folder.run_id:
            self._state.update_stage(stage.name, status="done", reason=reason)
            self._say(f"{stage.name}: kept - {reason}")
            if not self._state.folder.report(stage.notebook).exists():
                self._publish(stage)
            return
        self._store.link(result, self._state.folder)
        outputs = {
            name: {"rows": table.rows, "digest": table.digest, "bytes": table.bytes}
            for name, table in result.tables.items()
        }
        report = self._state.folder.report(stage.notebook)
        self._state.update_stage(
            stage.name,
            status="reused",
            reason=reason,
            key=result.key,
            reused_from=result.run_id,
            ended=time.time(),
            outputs=outputs,
            report=f"reports/{report.name}" if report.exists() else None,
        )
        self._say(f"{stage.name}: reused - {reason}")

    def _run(self, stage: Stage, key: StageKey, reason: str) -> None:
        folder = self._state.folder
        self._say(f"{stage.name}: runs - {reason}")
        self._state.update_stage(
            stage.name,
            status="running",
            reason=reason,
            key=key.digest,
            source_key=key.source,
            started=time.time(),
        )
        for table in stage.writes:
            folder.table(table).unlink(missing_ok=True)
        outcome = run_notebook(stage, self._setup, folder, self._nursery, self._stop)
        facts: dict[str, Any] = {
            "status": outcome.status,
            "reason": outcome.message or reason,
            "error": outcome.error,
            **outcome.figures,
        }
        if outcome.status == "done":
            facts |= self._checked(stage, outcome)
        facts["exit_code"] = _exit_code(facts["status"], outcome)
        self._state.update_stage(stage.name, **facts)
        if facts["status"] == "done":
            self._store.add(
                stored_result(
                    stage, key, folder, self._setup.project, facts["outputs"], params=self._setup.params.name
                )
            )
        self._publish(stage)
        self._say(_describe(stage.name, facts))

    def _publish(self, stage: Stage) -> None:
        self._published.append(self._publisher.submit(publish_stage, stage, self._setup, self._state))

    def _checked(self, stage: Stage, outcome: Outcome) -> dict[str, Any]:
        try:
            outputs = check_outputs(stage, self._state.folder)
            check_sums(stage, self._state.folder, self._state.folder.table)
        except ContractError as broken:
            return {"status": "failed", "reason": str(broken)}
        rows_in = sum(
            made["rows"]
            for name in self._pipeline.upstream(stage)
            for table, made in self._state.stage(name)["outputs"].items()
            if table in stage.reads
        ) or self._records_read(stage)
        rows_out = sum(made["rows"] for made in outputs.values())
        return {
            "outputs": outputs,
            "rows_in": rows_in,
            "rows_out": rows_out,
            "rows_per_s": rows_in / outcome.figures["elapsed_s"],
        }

    def _records_read(self, stage: Stage) -> int:
        path = self._state.folder.metrics(stage.name)
        recorded = read_json(path) if path.exists() else {}
        return int(sum(count for name, count in recorded.items() if name.endswith("_records")))

    def _judge(self, stage: Stage) -> None:
        folder = self._state.folder
        judgement = judge(folder.table("metrics"), folder.table("metric_history"), self._setup.params)
        self._judgement = judgement
        self._state.update(
            way_out=judgement.way_out(), gates=judgement.rows(), marks=list(judgement.decision.marks)
        )
        for sentence in judgement.decision.sentences:
            self._say(f"{stage.name}: {sentence}")


def exit_code_of(record: dict[str, Any]) -> int:
    """The exit code of a run: that of a failed stage, 3 when a gate held something up, 0 when all is done."""
    stages = record["stages"].values()
    failed = [
        stage.get("exit_code", StageError.exit_code)
        for stage in stages
        if stage["status"] in ("failed", "died")
    ]
    if failed:
        return int(max(failed))
    if any(gate["action"] in ("block", "stop") for gate in record["gates"]):
        return GateError.exit_code
    return 0 if all(stage["status"] in (*ENDED_WELL, "skipped") for stage in stages) else StageError.exit_code


def status_of(record: dict[str, Any], *, was_stopped: bool) -> str:
    """The status of a run that has ended: done, failed, stopped or blocked by a gate, interrupted."""
    statuses = {stage["status"] for stage in record["stages"].values()}
    if was_stopped:
        return "interrupted"
    if statuses & {"failed", "died"}:
        return "failed"
    if any(gate["action"] == "stop" for gate in record["gates"]):
        return "stopped"
    return "blocked" if "blocked" in statuses else "done"


@contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    # Signals can only be caught in the main thread; elsewhere whoever owns that thread decides.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _past(status: str) -> str:
    return {"blocked": "was blocked", "skipped": "was skipped", "interrupted": "was interrupted"}.get(
        status, status
    )


def _exit_code(status: str, outcome: Outcome) -> int:
    # The notebook's error is known by the name of its class only; the toolkit's own classes say what they
    # mean.
    if status == "done":
        return 0
    raised = getattr(errors, outcome.error, StageError) if outcome.error else StageError
    return int(getattr(raised, "exit_code", StageError.exit_code))


def _describe(name: str, facts: dict[str, Any]) -> str:
    cost = f"{facts['elapsed_s']:.1f} s, {facts['peak_bytes'] / 1e6:,.0f} MB at most"
    if facts["status"] != "done":
        return f"{name}: {facts['status']} after {cost}\n{facts['reason']}"
    tables = ", ".join(f"{table} {made['rows']:,}" for table, made in facts["outputs"].items())
    return f"{name}: done in {cost}; {tables}"
