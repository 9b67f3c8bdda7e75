"""Commands about speed: benchmarks, what runs took, whether they changed, what was accepted."""

from __future__ import annotations

import argparse
from pathlib import Path

from sbir_toolkit.cli.arguments import Commands, add_command, add_overrides, add_run
from sbir_toolkit.cli.display import say_aside

REGRESSION_EXIT_CODE = 4


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    added = add_command(commands, "bench", bench)
    added.add_argument(
        "suite", nargs="?", choices=["small", "medium", "full"], default="small", help="default: %(default)s"
    )
    added.add_argument(
        "--against", metavar="REV", help="take turns with the code of a git revision (default: the history)"
    )
    added.add_argument("--ci", action="store_true", help="print Markdown only")
    add_overrides(added)

    added = add_command(commands, "history", history)
    added.add_argument("stage", nargs="?", help="a stage's name (default: all)")
    added.add_argument("--export", metavar="FILE", help="write the table as .parquet or .csv instead")

    added = add_command(commands, "compare", compare)
    added.add_argument("before", help="a run's id")
    added.add_argument("after", help="a later run's id")
    added.add_argument(
        "--ci", action="store_true", help="print Markdown; end with exit code 4 on a confirmed regression"
    )

    added = add_command(commands, "accept", accept)
    added.add_argument("regression", help="what was reported, such as slowdown:match_recipients")
    added.add_argument("--why", required=True, metavar="TEXT", help="the reason; it is kept")
    added.add_argument("--run", help="the run or benchmark that reported it (default: the newest run)")

    added = add_command(commands, "profile", profile)
    added.add_argument("stage", help="a stage's name")
    added.add_argument("--run", help="on whose inputs (default: the newest run)")
    added.add_argument(
        "--memory", action="store_true", help="profile memory too; takes several times as long"
    )

    added = add_command(commands, "advise", advise)
    add_run(added)
    added.add_argument("--verify", action="store_true", help="try each change and say what it really saves")


def bench(options: argparse.Namespace) -> int:
    """Measure fixed work until it is known whether it got slower; exit code 4 when it did."""
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.benches import run_bench
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.workload import WORKLOADS

    project = find_project(options.outputs)
    params = load_params(None, options.set)
    found = run_bench(project, params, WORKLOADS[options.suite], against=options.against, say=say_aside)
    print(found.to_markdown() if options.ci else found)
    return REGRESSION_EXIT_CODE if found.has_regression else 0


def profile(options: argparse.Namespace) -> int:
    """Do a stage's work once more under the profiler; say what each function costs."""
    from sbir_toolkit.pipeline.profiling import profile_stage
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run

    project = find_project(options.outputs)
    run = open_run(project, options.run)
    print(profile_stage(project, run, options.stage, has_memory=options.memory))
    print(f"kept in {run.path / 'profiles'}; 'scalene view' shows the file of scalene")
    return 0


def advise(options: argparse.Namespace) -> int:
    """Say what held a run up, what to change, and what that would save."""
    from sbir_toolkit.pipeline.advising import advise_run, check_advice
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run

    project = find_project(options.outputs)
    run = open_run(project, options.run)
    advice = advise_run(project, run)
    print(check_advice(project, run, advice) if options.verify else advice)
    return 0


def history(options: argparse.Namespace) -> int:
    """Show what stages took from run to run, with the verdicts on the newest run."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.speed import describe_history, export_history

    project = find_project(options.outputs)
    if options.export:
        print(export_history(project, options.stage, Path(options.export)))
    else:
        print(describe_history(project, options.stage))
    return 0


def compare(options: argparse.Namespace) -> int:
    """Say which stage and phase of two runs changed, by how much, and what can account for it."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run
    from sbir_toolkit.pipeline.speed import compare_runs

    project = find_project(options.outputs)
    told = compare_runs(project, open_run(project, options.before), open_run(project, options.after))
    if not options.ci:
        print(told)
        return 0
    print(told.to_markdown())
    return REGRESSION_EXIT_CODE if told.has_regression else 0


def accept(options: argparse.Namespace) -> int:
    """Accept a change of speed or memory: what came after it is the new baseline."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.speed import accept_regression

    print(accept_regression(find_project(options.outputs), options.run, options.regression, options.why))
    return 0
