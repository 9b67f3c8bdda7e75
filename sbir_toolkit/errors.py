"""Every error the toolkit raises on purpose.

There is one base, `ToolkitError`, so that a caller can tell "the toolkit refuses, and says why" from a bug.
A message always answers five questions in this order: what went wrong, where, what was expected, what was
found, what to do next. `explain` puts those answers into one readable block, so no message forgets one of
them.

Each class carries the exit code that the command line ends with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class ToolkitError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class ParameterError(ToolkitError):
    """A parameter is unknown, has the wrong type or contradicts another one."""

    exit_code = 2


class InputError(ToolkitError):
    """An input file is missing, unreadable, or not what it should be.

    Parameters
    ----------
    message
        What, where, expected, got, next step (see `explain`).
    rows
        The offending rows, when there are any, so that a caller can look at them.
    """

    exit_code = 2

    def __init__(self, message: str, rows: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.rows = rows


class PipelineError(ToolkitError):
    """The pipeline's declaration is wrong: a cycle, a missing producer, two producers."""

    exit_code = 2


class StageError(ToolkitError):
    """A stage failed, died, or left outputs that break their contract."""


class ContractError(StageError):
    """A table doesn't hold what its contract promises.

    Parameters
    ----------
    message
        What, where, expected, got, next step.
    rows
        The offending rows, when there are any.
    """

    def __init__(self, message: str, rows: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.rows = rows


class GateError(ToolkitError):
    """A quality gate stopped or blocked what depends on it."""

    exit_code = 3


class BusyError(ToolkitError):
    """Another living process owns what this one needs to write."""


def explain(
    what: str, *, where: object = None, expected: object = None, got: object = None, todo: str = ""
) -> str:
    """Put the answers a reader of an error needs into one block of text.

    Parameters
    ----------
    what
        What went wrong, as a sentence without a full stop.
    where
        The file, line, column, key or stage concerned.
    expected, got
        What should have been there, and what was.
    todo
        What to do next, as an instruction.

    Returns
    -------
    str
        One line per answer; answers that weren't given are left out.

    Examples
    --------
    >>> print(
    ...     explain(
    ...         "the file has no header",
    ...         where="awards.csv",
    ...         expected="42 column names",
    ...         got="an empty file",
    ...         todo="download it again",
    ...     )
    ... )
    the file has no header
      where:    awards.csv
      expected: 42 column names
      got:      an empty file
      to do:    download it again
    """
    answers = {"where": where, "expected": expected, "got": got, "to do": todo or None}
    lines = [what]
    lines += [f"  {name + ':':<9} {value}" for name, value in answers.items() if value is not None]
    return "\n".join(lines)
