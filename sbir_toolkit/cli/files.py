"""Commands about files: fetch the official ones, remove what nobody uses any more."""

from __future__ import annotations

import argparse
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from sbir_toolkit.cli.arguments import Commands, add_command, add_overrides
from sbir_toolkit.cli.display import say_aside


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    added = add_command(commands, "fetch", fetch)
    added.add_argument("what", choices=["awards", "recipients"], help="which file")
    added.add_argument(
        "params", nargs="?", default="params/full.yml", help="parameters file (default: %(default)s)"
    )
    add_overrides(added)

    added = add_command(commands, "prune", prune)
    added.add_argument(
        "--days",
        type=float,
        default=90,
        help="what was used within so many days stays (default: %(default)s)",
    )
    added.add_argument("--dry-run", action="store_true", help="only say what would go")


def fetch(options: argparse.Namespace) -> int:
    """Fetch an official file: resumed where it stopped, only if there is a newer one, with its digest."""
    from sbir_toolkit.params import load_params
    from sbir_toolkit.pipeline.project import find_params_file, find_project
    from sbir_toolkit.sources import fetch_file

    project = find_project(options.outputs)
    params = load_params(find_params_file(project, options.params), options.set)
    url = str(params.lookup(f"fetch.{options.what}"))
    named = params.lookup(f"{options.what}.path")
    name = PurePosixPath(urlsplit(url).path).name
    path = project.root / (named if isinstance(named, str) else f"data/{name}")
    print(fetch_file(url, path, params.fetch, say=say_aside))
    return 0


def prune(options: argparse.Namespace) -> int:
    """Remove from the store what no run has used for long; all of it can be made or fetched again."""
    from sbir_toolkit.pipeline.project import find_project
    from sbir_toolkit.pipeline.pruning import prune_store

    print(prune_store(find_project(options.outputs), days=options.days, is_dry=options.dry_run))
    return 0
