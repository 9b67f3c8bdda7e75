"""The command line: `sbir-toolkit COMMAND`.

Each command is a few lines that call the library and print what it says. Errors raised on purpose are printed
as they are, without a traceback, and end with their own exit code: 1 a stage failed, 2 bad parameters or
input, 3 a quality gate stopped or blocked something.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sbir_toolkit.errors import ToolkitError
from sbir_toolkit.errors import explain as explain_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    from sbir_toolkit.pipeline.entry import skip_slow_grammar

    skip_slow_grammar()
    options = make_parser().parse_args(arguments)
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


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    from sbir_toolkit.cli import files, matching, performance, runs
    from sbir_toolkit.cli.arguments import ShowVersion

    parser = argparse.ArgumentParser(
        prog="sbir-toolkit",
        description="Which federal recipients are behind the SBIR/STTR awards, and how sure is that?",
    )
    parser.add_argument(
        "--outputs", metavar="DIR", help="where results go (default: SBIR_OUTPUTS, or outputs/)"
    )
    parser.add_argument(
        "--version", action=ShowVersion, nargs=0, dest=argparse.SUPPRESS, help="say which one it is"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in (runs, matching, performance, files):
        module.add_commands(commands)
    return parser
