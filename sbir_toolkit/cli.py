"""The command line: `sbir-toolkit COMMAND`.

Each command is a few lines that call the library and print what it says. Errors raised on purpose are printed
as they are, without a traceback, and end with their own exit code: 1 a stage failed, 2 bad parameters or
input, 3 a quality gate stopped or blocked something.
"""

from __future__ import annotations

import argparse
import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from sbir_toolkit.errors import ToolkitError
from sbir_toolkit.errors import explain as explain_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    from sbir_toolkit.pipeline.entry import skip_slow_grammar

    skip_slow_grammar()
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ToolkitError as refused:
        print(f"error: {refused}", file=sys.stderr)
        return refused.exit_code
    except KeyboardInterrupt:
        print("stopped by the keyboard", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`sbir-toolkit runs | head`); that's no failure.
        sys.stderr.close()
        return 0
    except OSError as refused:
        # What the system refuses anywhere (no permission, a full disk) is said plainly.
        said = explain_error("the system refused", where=refused.filename, got=refused.strerror or refused)
        print(f"error: {said}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Run the pipeline."""
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.conduct import Order
    from sbir_toolkit.pipeline.project import find_params_file, find_project
    from sbir_toolkit.pipeline.stages import load_pipeline
    from sbir_toolkit.pipeline.start import run_pipeline

    project = find_project(options.outputs)
    params = load_params(find_params_file(project, options.params), options.set)
    redo: frozenset[str] = frozenset()
    if options.start:
        pipeline = load_pipeline(project.declaration, params)
        redo = frozenset([options.start, *pipeline.dependants(pipeline[options.start].name)])
    wanted = frozenset(options.only) if options.only else None
    order = Order(redo=redo, wanted=wanted, is_fresh=options.fresh)
    return _tell(run_pipeline(project, params, order=order, run_id=options.run_id, say=_say))


def plan(options: argparse.Namespace) -> int:
    """Say what would run, what would be reused, and why."""
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.plan import make_plan
    from sbir_toolkit.pipeline.project import find_params_file, find_project
    from sbir_toolkit.pipeline.setup import make_setup

    project = find_project(options.outputs)
    params = load_params(find_params_file(project, options.params), options.set)
    print(make_plan(make_setup(project, params)))
    return 0


def resume(options: argparse.Namespace) -> int:
    """Go on with an interrupted or failed run."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run
    from sbir_toolkit.pipeline.start import resume_pipeline

    project = find_project(options.outputs)
    return _tell(resume_pipeline(project, open_run(project, options.run), say=_say))


def status(options: argparse.Namespace) -> int:
    """Say where a run stands."""
    from sbir_toolkit.pipeline.progress import describe_status
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run, read_run

    project = find_project(options.outputs)
    folder = open_run(project, options.run)
    while True:
        text = describe_status(folder)
        if options.watch and sys.stdout.isatty():
            print("\033[2J\033[H", end="")
        print(text, flush=True)
        if not options.watch or read_run(folder)["status"] not in ("pending", "running"):
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
    return 0 if webbrowser.open(page.as_uri()) else 1


def match(options: argparse.Namespace) -> int:
    """Match a file of awards to a file of recipients, without notebooks."""
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.match import match_awards
    from sbir_toolkit.pipeline.project import find_params_file, find_project

    project = find_project(options.outputs)
    file = find_params_file(project, options.params) if options.params else None
    params = load_params(file, options.set)
    print(
        match_awards(Path(options.awards), Path(options.recipients), Path(options.out), params, project.store)
    )
    return 0


def explain(options: argparse.Namespace) -> int:
    """Say why an award has its recipient, and who came second."""
    from sbir_toolkit.pipeline.match import explain_award
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run

    project = find_project(options.outputs)
    print(explain_award(project, open_run(project, options.run), options.award_id))
    return 0


def synth(options: argparse.Namespace) -> int:
    """Write synthetic awards and recipients in the official layouts, with the truth beside them."""
    from sbir_toolkit.sources.synthetic import write_synthetic

    files = write_synthetic(
        Path(options.out), awards=options.awards, recipients=options.recipients, seed=options.seed
    )
    print(files.awards, files.recipients, files.truth, sep="\n")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Say what would go wrong here."""
    from sbir_toolkit.pipeline.doctor import examine
    from sbir_toolkit.pipeline.project import find_project

    findings = examine(find_project(options.outputs))
    for finding in findings:
        print(finding)
    return 0 if all(finding.is_good for finding in findings) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sbir-toolkit",
        description="Which federal recipients are behind the SBIR/STTR awards, and how sure is that?",
    )
    parser.add_argument(
        "--outputs", metavar="DIR", help="where results go (default: SBIR_OUTPUTS, or outputs/)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    added = _add(commands, "run", run)
    added.add_argument(
        "params", nargs="?", default="params/sample.yml", help="parameters file (default: %(default)s)"
    )
    _add_set(added)
    added.add_argument("--only", action="append", metavar="STAGE", help="run no other stage; may be repeated")
    added.add_argument(
        "--from", dest="start", metavar="STAGE", help="run this stage and all that depends on it again"
    )
    added.add_argument("--fresh", action="store_true", help="reuse nothing")
    added.add_argument("--run-id", metavar="ID", help="id of the new run")

    added = _add(commands, "plan", plan)
    added.add_argument(
        "params", nargs="?", default="params/sample.yml", help="parameters file (default: %(default)s)"
    )
    _add_set(added)

    added = _add(commands, "status", status)
    added.add_argument("run", nargs="?", help="a run's id (default: the newest)")
    added.add_argument(
        "--watch", action="store_true", help="show it anew each second until the run has ended"
    )

    _add_run(_add(commands, "resume", resume))
    _add(commands, "runs", runs)
    _add_run(_add(commands, "report", report))
    _add_run(_add(commands, "open", open_report))

    added = _add(commands, "match", match)
    added.add_argument("awards", help="SBIR.gov awards, CSV")
    added.add_argument("recipients", help="federal recipients, CSV or Parquet")
    added.add_argument("params", nargs="?", help="parameters file (default: the defaults)")
    added.add_argument("-o", "--out", required=True, metavar="OUT.parquet", help="where the matches go")
    _add_set(added)

    added = _add(commands, "explain", explain)
    added.add_argument("run", help="a run's id")
    added.add_argument("award_id", help="an award's id, as in the table matches")

    added = _add(commands, "synth", synth)
    added.add_argument("out", help="the folder to write to")
    added.add_argument("--awards", type=int, required=True, metavar="N", help="award records")
    added.add_argument("--recipients", type=int, required=True, metavar="M", help="recipients")
    added.add_argument("--seed", type=int, default=20_261_123, metavar="S", help="same seed, same bytes")

    _add(commands, "doctor", doctor)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, function: object
) -> argparse.ArgumentParser:
    text = str(function.__doc__)
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="a run's id (default: the newest)")


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        dest="set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a parameter; may be repeated",
    )


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def _tell(result: object) -> int:
    from sbir_toolkit.pipeline.progress import describe_end
    from sbir_toolkit.pipeline.start import RunResult

    assert isinstance(result, RunResult)
    print(describe_end(result.run, result.record))
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
