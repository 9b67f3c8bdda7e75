"""One run for `benchmarks/causes.py`: three stages' work, measured and recorded.

It is started with the checkout whose code is to be measured first on its path, so the code digests in the
record are those of the code that did the work.

    PYTHONPATH=CHECKOUT python benchmarks/cause_run.py JOB.json
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sbir_toolkit.params import load_params
from sbir_toolkit.performance import calibrate
from sbir_toolkit.pipeline.run import describe_environment
from sbir_toolkit.pipeline.stage_work import Job, measure_work
from sbir_toolkit.storage import digest_file, digest_value, read_json, write_json
from sbir_toolkit.versions import code_version

STAGES = ("load_awards", "load_recipients", "match_recipients")


def main(job_file: str) -> None:
    """Do the run that a job file describes."""
    job = read_json(Path(job_file))
    checkout, folder = Path(job["checkout"]), Path(job["folder"])
    params = load_params(checkout / "params" / "base.yml", job["set"])
    folder.mkdir(parents=True)
    files = {name: Path(path) for name, path in job["inputs"].items()}
    environment = describe_environment()
    record = {
        "run_id": folder.name,
        "name": job["name"],
        "created": time.time(),
        "status": "done",
        "exit_code": 0,
        "params_digest": digest_value(params.model_dump(mode="json")),
        "params": params.model_dump(mode="json"),
        "code": code_version(checkout),
        "environment": environment,
        "inputs": {
            name: {"path": str(path), "bytes": path.stat().st_size, "digest": digest_file(path)}
            for name, path in files.items()
        },
    }
    calibrations, stages = [calibrate()], {}
    inputs = {name: [str(path)] for name, path in files.items()}
    for stage in STAGES:
        work = Job(stage, params, inputs, folder / "data", folder / "data", Path(job["store"]))
        stages[stage] = measure_work(work, folder / "events.ndjson")
        calibrations.append(calibrate())
    record |= {"stages": stages, "calibration_s": sum(calibrations) / len(calibrations), "ended": time.time()}
    write_json(folder / "run.json", record)


if __name__ == "__main__":
    main(sys.argv[1])
