"""Made-up runs with known figures, for the tests of performance."""

from __future__ import annotations

from typing import Any

from sbir_toolkit.performance import measure_run

CREATED = 1_000_000_000.0
DAY_S = 86_400.0


def stage(started: float = 0.0, elapsed_s: float = 10.0, **values: Any) -> dict[str, Any]:
    """Give one finished stage that started some seconds after its run."""
    return {
        "status": "done",
        "started": CREATED + started,
        "ended": CREATED + started + elapsed_s,
        "elapsed_s": elapsed_s,
        "cpu_s": elapsed_s,
        "peak_bytes": 100_000_000,
        "rows_in": 1_000,
        "rows_out": 1_000,
        **values,
    }


def run_record(run_id: str = "run", stages: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    """Give one run's record."""
    return {
        "run_id": run_id,
        "name": "sample",
        "created": CREATED,
        "ended": CREATED + 100,
        "status": "done",
        "exit_code": 0,
        "params_digest": "sha256:params",
        "code": {"commit": "abc", "is_dirty": False, "digest": "sha256:code"},
        "environment": {
            "fingerprint": "machine",
            "python": "3.11",
            "cores": 2,
            "libraries": {"pandas": "3.1"},
        },
        "inputs": {"awards": {"path": "awards.csv", "bytes": 3, "digest": "sha256:awards"}},
        "stages": {"match": stage()} if stages is None else stages,
        "totals": {"elapsed_s": 100.0, "cpu_s": 50.0, "peak_bytes": 100_000_000},
        "metrics": {"match_rate": 0.8},
        "alerts": [],
        **values,
    }


def phase_event(stage: str, phase: str, started: float, elapsed_s: float, **values: Any) -> dict[str, Any]:
    """Give the event of a phase that started some seconds after the run."""
    at = CREATED + started
    event = {"kind": "phase", "stage": stage, "phase": phase, "started": at, "elapsed_s": elapsed_s}
    return {"at": at + elapsed_s, "cpu_s": elapsed_s, "rows": 100, **event, **values}


def chunk_event(chunk: str, ended: float, elapsed_s: float, **values: Any) -> dict[str, Any]:
    """Give the event of a chunk that ended some seconds after the run's start."""
    event = {"kind": "chunk", "stage": "match", "chunk": chunk, "at": CREATED + ended, "elapsed_s": elapsed_s}
    return {"rows": 100, "cpu_s": elapsed_s, "worker": "a", **event, **values}


def sample_event(stage: str, at: float, memory_bytes: int) -> dict[str, Any]:
    """Give a sample of a stage's process tree some seconds after the run's start."""
    return {"kind": "sample", "stage": stage, "at": CREATED + at, "memory_bytes": memory_bytes}


def keep(history: Any, run: dict[str, Any], events: list[dict[str, Any]] | None = None) -> None:
    """Enter a run into a history, with its figures."""
    history.record_run(run, measure_run(run, events or []))
