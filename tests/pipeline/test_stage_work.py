"""A stage's work without its notebook, on small made-up files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbir_toolkit import Params, write_synthetic
from sbir_toolkit.errors import ParameterError, StageError
from sbir_toolkit.performance import chunk_figures, measure_run
from sbir_toolkit.pipeline.stage_work import WORK, Job, measure_work
from sbir_toolkit.storage import read_lines


def test_each_stage_does_its_work_and_is_measured(tmp_path: Path) -> None:
    """All stages that have work outside their notebooks run on one another's tables."""
    write_synthetic(tmp_path / "files", awards=300, recipients=900, seed=1)
    inputs = {name: [str(tmp_path / "files" / f"{name}.csv")] for name in ("awards", "recipients")}
    data, events = tmp_path / "data", tmp_path / "events.ndjson"
    params = Params.model_validate({"accuracy": {"sample_companies": 50, "decoys": 20}})
    stages = {
        stage: measure_work(Job(stage, params, inputs, data, data, tmp_path / "store"), events)
        for stage in WORK
    }
    assert stages["load_awards"]["rows_in"] == 300
    assert all(facts["cpu_s"] > 0 and facts["peak_bytes"] > 10e6 for facts in stages.values())
    run = {"run_id": "r", "created": stages["load_awards"]["started"], "stages": stages}
    figures = measure_run(run, read_lines(events))
    assert {"read", "join", "score", "metrics", "accuracy_estimates"} <= set(figures["phase"])
    assert len(chunk_figures(read_lines(events))) >= 1
    (data / "awards.parquet").unlink()
    with pytest.raises(StageError, match="the work of match_recipients failed"):
        measure_work(Job("match_recipients", params, inputs, data, data, tmp_path / "store"), events)
    with pytest.raises(ParameterError, match="without its notebook"):
        measure_work(Job("findings", params, inputs, data, data, tmp_path / "store"), events)
