"""Commands about matching: match two files, explain a match, make files to try it on."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path, PurePosixPath

from sbir_toolkit.cli.arguments import Commands, add_command, add_overrides
from sbir_toolkit.cli.display import say_aside


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    added = add_command(commands, "match", match)
    added.add_argument("awards", help="SBIR.gov awards, CSV; this and the others may be URLs")
    added.add_argument("recipients", help="federal recipients: CSV, Parquet, or USAspending's database")
    added.add_argument("params", nargs="?", help="parameters file (default: the defaults)")
    added.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="FILE",
        help="another file of recipients; may be repeated; those named before count more",
    )
    added.add_argument("-o", "--out", required=True, metavar="OUT.parquet", help="where the matches go")
    added.add_argument("--review", metavar="FILE.xlsx", help="write what a person should decide, to fill in")
    add_overrides(added)

    added = add_command(commands, "explain", explain)
    added.add_argument("run", help="a run's id, its folder, or latest")
    added.add_argument("award_id", help="an award's id, contract or agency tracking number")

    added = add_command(commands, "diff", diff)
    added.add_argument("before", help="a run's id, its folder, or latest")
    added.add_argument("after", help="a later run's id")
    added.add_argument("--export", metavar="FILE", help="write all that differ as .parquet or .csv too")

    added = add_command(commands, "synth", synth)
    added.add_argument("out", help="the folder to write to")
    added.add_argument("--awards", type=int, required=True, metavar="N", help="award records")
    added.add_argument("--recipients", type=int, required=True, metavar="M", help="recipients")
    added.add_argument(
        "--form",
        choices=["csv", "parquet", "dump", "sam"],
        default="csv",
        help="how the recipients are written: dump is USAspending's database, sam is SAM.gov's extract",
    )
    added.add_argument(
        "--awards-form",
        choices=["csv", "legacy", "json"],
        default="csv",
        help="how the awards are written: legacy is the bulk file of before, json what the interface answers",
    )
    added.add_argument(
        "--archives",
        action="store_true",
        help="write USAspending's award archives, too: who was paid under these awards' contracts",
    )
    added.add_argument("--seed", type=int, default=20_261_123, metavar="S", help="same seed, same bytes")


def match(options: argparse.Namespace) -> int:
    """Match a file of awards to a file of recipients, without notebooks."""
    from sbir_toolkit.memory import economise
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.project import fetch_inputs, find_params_file, find_project, with_overrides

    project = find_project(options.outputs)
    file = find_params_file(project, options.params) if options.params else None
    asked = load_params(file, options.set)
    economise(asked.limits.memory_mb)  # before anything loads Arrow
    from sbir_toolkit.pipeline.match import match_awards
    from sbir_toolkit.sources.remote import check_writable, fetch_input, is_url, send_file

    params = with_overrides(project, fetch_inputs(project, asked, say=say_aside))

    def here(name: str) -> Path:
        return fetch_input(name, project.store, params.fetch, say=say_aside) if is_url(name) else Path(name)

    if is_url(options.out):
        check_writable(options.out)
    awards, recipients = here(options.awards), [here(name) for name in (options.recipients, *options.also)]
    review = Path(options.review) if options.review else None
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if is_url(options.out) else None
        out = Path(folder) / PurePosixPath(options.out).name if folder else Path(options.out)
        matched = match_awards(awards, recipients, out, params, project.store, review=review)
        if folder:
            # What was rejected first: who finds the matches finds both.
            for path in sorted(Path(folder).iterdir(), key=lambda path: path == out):
                send_file(path, f"{options.out.rpartition('/')[0]}/{path.name}")
    told = repr(matched)
    print(told.replace(folder, options.out.rpartition("/")[0]) if folder else told)
    return 0


def diff(options: argparse.Namespace) -> int:
    """Say which awards changed recipient, decision or probability between two runs, and why."""
    from sbir_toolkit.pipeline.difference import diff_runs
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run

    project = find_project(options.outputs)
    found = diff_runs(project, open_run(project, options.before), open_run(project, options.after))
    print(found)
    if options.export:
        print(found.export(Path(options.export)))
    return 0


def explain(options: argparse.Namespace) -> int:
    """Say why an award has its recipient, and who came second."""
    from sbir_toolkit.pipeline.explanation import explain_award
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.run import open_run

    project = find_project(options.outputs)
    print(explain_award(project, open_run(project, options.run), options.award_id))
    return 0


def synth(options: argparse.Namespace) -> int:
    """Write synthetic awards and recipients in the official layouts, with the truth beside them."""
    from sbir_toolkit.sources.synthetic import write_synthetic

    files = write_synthetic(
        Path(options.out),
        awards=options.awards,
        recipients=options.recipients,
        seed=options.seed,
        recipients_format=options.form,
        awards_format=options.awards_form,
        archives=options.archives,
    )
    print(files.awards, files.recipients, files.truth, *files.archives, sep="\n")
    return 0
