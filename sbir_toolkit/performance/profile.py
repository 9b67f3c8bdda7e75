"""What each function of a stage costs: time in Python, in native code and in the system, and memory.

A stage's work is done once more under scalene, a sampling profiler, in a process of its own. Only functions
of this package are told apart: what pandas, pyarrow or rapidfuzz do counts as native time of the function
that called them. The profile of one version of the code can be held against another's, function by function.

Source: E. D. Berger, S. Stern, J. Altmayer Pizzorno, "Triangulating Python performance issues with Scalene",
OSDI 2023.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.storage import read_json

PROFILE_COLUMNS = {
    "function": "str",
    "cpu_s": "float64",
    "share": "float64",
    "python_s": "float64",
    "native_s": "float64",
    "system_s": "float64",
    "peak_mb": "float64",
    "copied_mb_per_s": "float64",
}
_PACKAGE = "sbir_toolkit"
_LEAST_SHARE = 0.002
_PARTS = {"python_s": "n_cpu_percent_python", "native_s": "n_cpu_percent_c", "system_s": "n_sys_percent"}


def profile_program(
    program: Path, arguments: Sequence[str], out: Path, *, has_memory: bool, env: Mapping[str, str]
) -> pd.DataFrame:
    """Run a program under scalene to its end.

    Parameters
    ----------
    program, arguments
        A file of Python, and what it is told.
    out
        Where scalene's JSON goes (`scalene view` shows it).
    has_memory
        Whether memory is profiled too; it takes several times as long.
    env
        The process's variables.

    Returns
    -------
    pandas.DataFrame
        As `read_functions` gives it.

    Raises
    ------
    StageError
        When scalene isn't installed, can't run here, or the program fails.
    """
    if importlib.util.find_spec("scalene") is None:
        raise _refusal(program, "scalene isn't installed", "pip install scalene")
    command = [sys.executable, "-m", "scalene", "run", "--outfile", str(out), "--no-stacks"]
    command += ["--profile-all", "--profile-only", f"{Path(__file__).parents[1]}{os.sep}"]
    command += [] if has_memory else ["--cpu-only"]
    command += [str(program), "---", *arguments]
    # Scalene hooks the import of modules, and now and then one that is imported beside it is lost.
    for _ in range(2):
        out.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)
        if done.returncode == 0:
            break
    if done.returncode == 0 and out.exists():
        return read_functions(read_json(out))
    said = (done.stderr + done.stdout).strip()[-1_500:] or f"exit code {done.returncode}, no profile"
    todo = "see what the program said" if done.returncode else "take more input: it may have ended too soon"
    raise _refusal(program, said, "leave --memory away" if has_memory else todo)


def read_functions(profile: Mapping[str, Any]) -> pd.DataFrame:
    """Read what each function cost from scalene's JSON.

    Returns
    -------
    pandas.DataFrame
        One row for each function with at least a five hundredth of the time, the dearest first: function
        (file: name), cpu_s, share (of the profiled time), python_s, native_s, system_s, peak_mb,
        copied_mb_per_s (both 0 where memory wasn't profiled).
    """
    elapsed_s = float(profile["elapsed_time_sec"])
    rows = []
    for file, told in profile["files"].items():
        where = file.replace(os.sep, "/").rpartition(f"{_PACKAGE}/")[2]
        for function in told["functions"]:
            seconds = {name: elapsed_s * function[key] / 100 for name, key in _PARTS.items()}
            cpu_s = sum(seconds.values())
            rows.append(
                {
                    "function": f"{where}: {function['line']}",
                    "cpu_s": cpu_s,
                    "share": cpu_s / elapsed_s if elapsed_s > 0 else 0.0,
                    **seconds,
                    "peak_mb": function["n_peak_mb"],
                    "copied_mb_per_s": function["n_copy_mb_s"],
                }
            )
    frame = pd.DataFrame(rows, columns=list(PROFILE_COLUMNS)).astype(PROFILE_COLUMNS)
    frame = frame[(frame["share"] >= _LEAST_SHARE) | (frame["peak_mb"] > 0)]
    ordered: pd.DataFrame = frame.sort_values(["cpu_s", "function"], ascending=[False, True])
    return ordered.reset_index(drop=True)


def compare_profiles(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Hold the functions of two versions against each other.

    Parameters
    ----------
    before, after : pandas.DataFrame
        From `read_functions`, of the same stage on about the same work.

    Returns
    -------
    pandas.DataFrame
        One row for each function, the largest change first: function, before_s, after_s, changed_s,
        changed_peak_mb.
    """
    old, new = (frame.groupby("function")[["cpu_s", "peak_mb"]].sum() for frame in (before, after))
    functions = old.index.union(new.index)
    old, new = (side.reindex(functions, fill_value=0.0) for side in (old, new))
    table = pd.DataFrame(
        {
            "before_s": old["cpu_s"],
            "after_s": new["cpu_s"],
            "changed_s": new["cpu_s"] - old["cpu_s"],
            "changed_peak_mb": new["peak_mb"] - old["peak_mb"],
        }
    )
    ordered: pd.DataFrame = table.sort_values("changed_s", key=abs, ascending=False, kind="stable")
    return ordered.rename_axis("function").reset_index()


def _refusal(program: Path, got: str, todo: str) -> StageError:
    return StageError(
        explain("scalene gave no profile", where=program, expected="a profile", got=got, todo=todo)
    )
