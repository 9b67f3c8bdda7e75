"""Storing results: one JSON file with everything, and one page of Markdown that is printed too."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.judge import Judgement, share_row
from sbir_toolkit.storage import write_json, write_text


def store(
    name: str,
    options: argparse.Namespace,
    machine: Mapping[str, Any],
    measured: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    *,
    notes: Sequence[str] = (),
) -> None:
    """Print the tables and store everything as `<folder>/<name>.json` and `.md`.

    Parameters
    ----------
    name
        Of the benchmark.
    options
        Of the command line.
    machine
        As `describe_machine` gave it before the first run.
    measured
        Each single run's figures.
    tables
        By title; text and numbers as they are to be shown.
    notes
        What a reader must know to read the tables.
    """
    lines = [f"# {name}", "", _where(machine), ""]
    for title, table in tables.items():
        lines += [f"## {title}", "", *_markdown(table), ""]
    lines += [f"- {note}" for note in notes]
    record = {
        "benchmark": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "options": {
            key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()
        },
        "machine": dict(machine),
        "measured": dict(measured),
        "tables": {title: _plain(table.to_dict("records")) for title, table in tables.items()},
        "notes": list(notes),
    }
    write_json(options.folder / f"{name}.json", record)
    write_text(options.folder / f"{name}.md", "\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))
    print(f"\nstored: {options.folder / name}.json and .md")


def accuracy_table(judgements: Mapping[str, Judgement]) -> pd.DataFrame:
    """Lay out judgements with their intervals: a row for each figure, a column for each tool."""
    columns: dict[str, list[str]] = {}
    for tool, judgement in judgements.items():
        rows = judgement.figures
        columns["figure"] = [
            f"{figure}, per {of}" for figure, of in zip(rows["figure"], rows["of"], strict=True)
        ]
        columns[tool] = [_with_interval(row) for row in rows.to_dict("records")]
    return pd.DataFrame(columns)


def kinds_table(judgement: Judgement) -> pd.DataFrame:
    """Lay out precision and recall by kind of noise, the most frequent kind first."""
    rows = []
    for noise, figures in judgement.kinds.groupby("noise"):
        precision, recall = (figures[figures["figure"] == name].iloc[0] for name in ("precision", "recall"))
        rows.append(
            {
                "noise": noise,
                "awards": int(recall["cases"]),
                "linked": int(precision["cases"]),
                "recall": _with_interval(recall.to_dict()),
                "precision": _with_interval(precision.to_dict()),
            }
        )
    return pd.DataFrame(rows).sort_values(["awards", "linked"], ascending=False, ignore_index=True)


def shown_share(counts: pd.Series) -> str:
    """Write a share with its Wilson interval and its number of cases."""
    return _with_interval(share_row("", counts))


def _where(machine: Mapping[str, Any]) -> str:
    toolkit = machine["toolkit"]
    commit = (toolkit["commit"] or "unknown")[:12] + (" with changes" if toolkit["is_dirty"] else "")
    parts = (
        machine["processor"],
        f"{machine['cores']} cores",
        f"{machine['memory_gb']} GB",
        f"Python {machine['python']}",
        f"commit {commit}",
        f"load before {machine['load_before']}",
    )
    return ", ".join(parts)


def _with_interval(row: Mapping[str, Any]) -> str:
    if math.isnan(row["value"]):
        return "-"
    cases = f"n = {row['cases']:,}"
    if math.isnan(row["low"]):
        return f"{row['value']:.4f}, {cases}"
    return f"{row['value']:.4f} ({row['low']:.4f}-{row['high']:.4f}), {cases}"


def _markdown(table: pd.DataFrame) -> list[str]:
    cells = [list(table.columns), *([str(value) for value in row] for row in table.itertuples(index=False))]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _plain(value: Any) -> Any:
    """JSON has no NaN: what isn't known is null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
