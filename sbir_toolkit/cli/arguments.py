"""What the commands' arguments have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class ShowVersion(argparse.Action):
    """Print the version and end; it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """End the command."""
        from importlib.metadata import version

        print(f"{parser.prog} {version('sbir-toolkit')}")
        parser.exit()


def add_command(
    commands: Commands, name: str, function: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command; its docstring is its help."""
    text = str(function.__doc__)
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """Let a run be named."""
    parser.add_argument("run", nargs="?", help="a run's id or folder (default: the newest)")


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Let parameters be overridden."""
    parser.add_argument(
        "-p",
        dest="set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a parameter; may be repeated",
    )
