"""The way in: a page that lists the runs, newest first, and a page for each run.

`outputs/index.html` shows for each run what became of it, how long it took, its match rate, its alerts, and
links to its reports. `outputs/runs/<run_id>/index.html` shows one run: its stages, gates, alerts and inputs,
and its certificate, which names each output with its rows and its digest, so that anyone can check that a
file is the one this run made. Both are drawn from the runs' own records (`run.json`) and rewritten whole;
links are relative, so the folder can be moved.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sbir_toolkit.reports.tables import BADGES, TEMPLATES, make_badge, table_style
from sbir_toolkit.reports.units import (
    DASH,
    format_bytes,
    format_count,
    format_metric,
    format_moment,
    format_seconds,
    format_share,
)
from sbir_toolkit.storage import write_text

Run = Mapping[str, Any]


def write_index(outputs: Path, runs: list[dict[str, Any]]) -> Path:
    """Write the page that lists the runs, and the page of each run whose folder is there.

    Parameters
    ----------
    outputs
        The outputs' folder, with the runs in `runs/<run_id>/`.
    runs
        The runs' records, as in `run.json`, in any order.

    Returns
    -------
    pathlib.Path
        The page, `outputs/index.html`.
    """
    ordered = sorted(runs, key=lambda run: (run.get("created") or 0.0, str(run["run_id"])), reverse=True)
    rows = [_summarise(outputs, run) for run in ordered]
    for run, row in zip(ordered, rows, strict=True):
        if row["has_folder"]:
            write_run_page(outputs / "runs" / str(run["run_id"]), run)
    path = outputs / "index.html"
    _write_if_changed(path, _environment().get_template("index.html.j2").render(rows=rows, style=_style()))
    return path


def write_run_page(folder: Path, run: Run) -> Path:
    """Write the page of one run.

    Parameters
    ----------
    folder
        The run's folder.
    run
        The run's record, as in `run.json`.

    Returns
    -------
    pathlib.Path
        The page, `<folder>/index.html`.
    """
    certificate = run.get("certificate") or {}
    page = _environment().get_template("run.html.j2").render(
        run_id=str(run["run_id"]),
        strip=_strip(run),
        stages=[_describe_stage(folder, name, stage) for name, stage in (run.get("stages") or {}).items()],
        gates=list(run.get("gates") or []),
        notices=list(run.get("notices") or []),
        decisions=[entry for entry in run.get("decisions") or [] if entry["gate"]],
        alerts=list(run.get("alerts") or []),
        advice=run.get("advice") or {},
        inputs=[(name, _input_facts(value)) for name, value in (run.get("inputs") or {}).items()],
        metrics=[(name, format_metric(name, value)) for name, value in _sorted(run.get("metrics"))],
        certificate=list(certificate.get("outputs") or []),
        parts=list(certificate.get("parts") or []),
        overrides=certificate.get("overrides") or {},
        is_complete=bool(certificate.get("is_complete")),
        is_running=run.get("status") == "running",
        style=_style(),
    )  # fmt: skip
    path = folder / "index.html"
    _write_if_changed(path, page)
    return path


def _summarise(outputs: Path, run: Run) -> dict[str, Any]:
    run_id = str(run["run_id"])
    folder = outputs / "runs" / run_id
    link = f"runs/{quote(run_id)}/"
    has_folder = folder.is_dir()
    stages = [
        _describe_stage(folder, name, stage, prefix=link) for name, stage in (run.get("stages") or {}).items()
    ]
    alerts = list(run.get("alerts") or [])
    verdicts = [str(gate.get("verdict", "unknown")) for gate in run.get("gates") or []]
    return {
        "run_id": run_id,
        "link": f"{link}index.html" if has_folder else "",
        "has_folder": has_folder,
        "when": format_moment(run.get("created")),
        "name": str(run.get("name") or DASH),
        "status": str(run.get("status") or "unknown"),
        "elapsed": format_seconds((run.get("totals") or {}).get("elapsed_s")),
        "peak": format_bytes((run.get("totals") or {}).get("peak_bytes")),
        "match_rate": format_share((run.get("metrics") or {}).get("match_rate")),
        "gates": _worst(verdicts),
        "alerts": len(alerts),
        "alert_messages": "; ".join(str(alert.get("message", "")) for alert in alerts),
        "stages": stages,
    }


def _worst(verdicts: list[str]) -> str:
    return next((name for name in ("fail", "unknown", "warn", "pass") if name in verdicts), "")


def _describe_stage(folder: Path, name: str, stage: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    status = str(stage.get("status") or "unknown")
    report = str(stage.get("report") or "")
    is_there = bool(report) and (folder / report).is_file()
    reason = str(stage.get("reason") or "")
    if not reason and stage.get("reused_from"):
        reason = f"reused from {stage['reused_from']}"
    number = str(stage.get("notebook") or Path(report).name).partition("_")[0]
    return {
        "name": name.replace("_", " "),
        "short": number if number.isdigit() else name[:2],
        "status": status,
        "kind": BADGES.get(status, "idle"),
        "link": prefix + quote(report) if is_there else "",
        "files": [
            (Path(file).name, prefix + quote(file))
            for file in stage.get("files") or []
            if (folder / file).is_file()
        ],
        "elapsed": format_seconds(stage.get("elapsed_s")),
        "cpu": format_seconds(stage.get("cpu_s")),
        "peak": format_bytes(stage.get("peak_bytes")),
        "rows_in": format_count(stage.get("rows_in")),
        "rows_out": format_count(stage.get("rows_out")),
        "reason": reason,
    }


def _strip(run: Run) -> list[tuple[str, str | Markup]]:
    code, totals = run.get("code") or {}, run.get("totals") or {}
    commit = str(code.get("commit") or DASH)[:10] + (" with changes" if code.get("is_dirty") else "")
    strip = [
        ("status", Markup(make_badge(str(run.get("status") or "unknown")))),
        ("started", format_moment(run.get("created"))),
        ("took", format_seconds(totals.get("elapsed_s"))),
        ("peak memory", format_bytes(totals.get("peak_bytes"))),
        ("match rate", format_share((run.get("metrics") or {}).get("match_rate"))),
        ("parameters", f"{run.get('name') or DASH}"),
        ("code", commit),
    ]
    return strip


def _input_facts(value: Any) -> dict[str, str]:
    facts = value if isinstance(value, Mapping) else {"path": value}
    return {
        "path": str(facts.get("path") or DASH),
        "size": format_bytes(facts.get("bytes")),
        "digest": str(facts.get("digest") or DASH),
    }


def _sorted(values: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    return sorted((values or {}).items())


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["badge"] = lambda word: Markup(make_badge(str(word)))
    environment.filters["count"] = format_count
    environment.filters["seconds"] = format_seconds
    environment.filters["share"] = format_share
    environment.filters["metric"] = lambda value, name: format_metric(str(name), value)
    return environment


def _style() -> Markup:
    return Markup((TEMPLATES / "page.css").read_text(encoding="utf-8") + table_style())


def _write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
