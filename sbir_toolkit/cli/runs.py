"""Commands about runs: start one, look at it, go on with it."""

from __future__ import annotations

import argparse
import sys
import time
import webbrowser
from typing import TYPE_CHECKING

from sbir_toolkit.cli.arguments import Commands, add_command, add_overrides, add_run
from sbir_toolkit.cli.display import Display, say_aside

if TYPE_CHECKING:
    from sbir_toolkit.pipeline.run import RunFolder


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    added = add_command(commands, "run", run)
    added.add_argument(
        "params", nargs="?", default="params/sample.yml", help="parameters file (default: %(default)s)"
    )
    add_overrides(added)
    added.add_argument("--only", action="append", metavar="STAGE", help="run no other stage; may be repeated")
    added.add_argument(
        "--from", dest="start", metavar="STAGE", help="run this stage and all that depends on it again"
    )
    added.add_argument("--fresh", action="store_true", help="reuse nothing")
    added.add_argument("--run-id", metavar="ID", help="id of the new run")

    added = add_command(commands, "plan", plan)
    added.add_argument(
        "params", nargs="?", default="params/sample.yml", help="parameters file (default: %(default)s)"
    )
    add_overrides(added)

    added = add_command(commands, "status", status)
    added.add_argument("run", nargs="?", help="a run's id (default: the newest)")
    added.add_argument(
        "--watch", action="store_true", help="show it anew each second until the run has ended"
    )

    add_run(add_command(commands, "resume", resume))
    add_command(commands, "runs", runs)
    add_run(add_command(commands, "report", report))
    add_run(add_command(commands, "open", open_report))
    added = add_command(commands, "drill", drill)
    added.add_argument("fault", nargs="*", help="what to break (default: one after the other, everything)")
    add_command(commands, "doctor", doctor)


def run(options: argparse.Namespace) -> int:
    """Run the pipeline."""
    from sbir_toolkit.memory import economise
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.nursery import open_nursery
    from sbir_toolkit.pipeline.project import find_params_file, find_project

    project = find_project(options.outputs)
    params = load_params(find_params_file(project, options.params), options.set)
    economise(params.limits.memory_mb)
    with open_nursery(params.limits.memory_mb) as nursery:  # it warms up while the rest is imported
        from sbir_toolkit.pipeline.conduct import Order
        from sbir_toolkit.pipeline.stages import load_pipeline
        from sbir_toolkit.pipeline.start import run_pipeline

        redo: frozenset[str] = frozenset()
        if options.start:
            pipeline = load_pipeline(project.declaration, params)
            redo = frozenset([options.start, *pipeline.dependants(pipeline[options.start].name)])
        wanted = frozenset(options.only) if options.only else None
        order = Order(redo=redo, wanted=wanted, is_fresh=options.fresh)
        with Display() as display:
            result = run_pipeline(
                project,
                params,
                order=order,
                run_id=options.run_id,
                nursery=nursery,
                say=display.say,
                on_start=lambda folder: _follow(display, folder),
            )
    return _tell(result)


def plan(options: argparse.Namespace) -> int:
    """Say what would run, what would be reused, and why."""
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.plan import make_plan
    from sbir_toolkit.pipeline.project import fetch_inputs, find_params_file, find_project
    from sbir_toolkit.pipeline.setup import make_setup
    from sbir_toolkit.pipeline.start import find_twin, why_nothing

    project = find_project(options.outputs)
    params = load_params(find_params_file(project, options.params), options.set)
    setup = make_setup(project, fetch_inputs(project, params, say=print))
    planned = make_plan(setup)
    twin = find_twin(setup, planned)
    print(planned if twin is None else why_nothing(twin, planned))
    return 0


def resume(options: argparse.Namespace) -> int:
    """Go on with an interrupted or failed run."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run
    from sbir_toolkit.pipeline.start import resume_pipeline

    project = find_project(options.outputs)
    folder = open_run(project, options.run)
    with Display() as display:
        result = resume_pipeline(
            project, folder, say=display.say, on_start=lambda folder: _follow(display, folder)
        )
    return _tell(result)


def status(options: argparse.Namespace) -> int:
    """Say where a run stands."""
    from sbir_toolkit.pipeline.doing import Events
    from sbir_toolkit.pipeline.progress import describe_status
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import has_ended, open_run, read_run

    project = find_project(options.outputs)
    folder = open_run(project, options.run)
    events = Events(folder.events)
    while True:
        record = read_run(folder)
        is_over = has_ended(record) or record["status"] == "interrupted"
        text = describe_status(folder, events)
        if options.watch and sys.stdout.isatty():
            print("\033[2J\033[H", end="")
        print(text, flush=True)
        if is_over or not options.watch:
            return 0
        time.sleep(1.0)


def runs(options: argparse.Namespace) -> int:
    """List all runs, the newest first."""
    from sbir_toolkit.pipeline.progress import describe_runs
    from sbir_toolkit.pipeline.project import find_project

    print(describe_runs(find_project(options.outputs)))
    return 0


def report(options: argparse.Namespace) -> int:
    """Print where a run's reports are."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run, read_run

    folder = open_run(find_project(options.outputs), options.run)
    for name, facts in read_run(folder)["stages"].items():
        where = folder.path / facts["report"] if facts.get("report") else f"no report ({facts['status']})"
        print(f"{name:<18} {where}")
    return 0


def open_report(options: argparse.Namespace) -> int:
    """Open a run's page in the browser."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run

    page = open_run(find_project(options.outputs), options.run).path / "index.html"
    print(page)
    if not webbrowser.open(page.as_uri()):
        print("there is no browser to be started from here: open this file in one", file=sys.stderr)
        return 1
    return 0


def drill(options: argparse.Namespace) -> int:
    """Break runs on purpose and show that they recover."""
    from sbir_toolkit.pipeline.drill import run_drills
    from sbir_toolkit.pipeline.project import find_project

    recovered = []
    for outcome in run_drills(find_project(options.outputs), options.fault, say=say_aside):
        print(outcome, flush=True)
        recovered.append(outcome.is_recovered)
    print(f"{sum(recovered)} of {len(recovered)} recovered")
    return 0 if all(recovered) else 1


def doctor(options: argparse.Namespace) -> int:
    """Say what would go wrong here."""
    from sbir_toolkit.pipeline.doctor import examine
    from sbir_toolkit.pipeline.project import find_project

    findings = examine(find_project(options.outputs))
    for finding in findings:
        print(finding)
    return 0 if all(finding.is_good for finding in findings) else 1


def _follow(display: Display, folder: RunFolder) -> None:
    from sbir_toolkit.pipeline.doing import Events
    from sbir_toolkit.pipeline.progress import describe_doing

    events = Events(folder.events)
    display.describe = lambda: describe_doing(folder, events)


def _tell(result: object) -> int:
    from sbir_toolkit.pipeline.progress import describe_end
    from sbir_toolkit.pipeline.start import RunResult

    assert isinstance(result, RunResult)
    print(describe_end(result.run, result.record))
    return result.exit_code
