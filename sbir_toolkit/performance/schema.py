"""The tables of the history, as a database keeps them.

Numbers that may be missing are nullable, and what has no fixed columns (library versions, inputs, a stage's
outputs, an alert's figures) is kept as JSON text. A change here needs a new `SCHEMA_VERSION` and a way from
the old one to it.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 1
METADATA = sa.MetaData()


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text) for name in names]


def _number(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double) for name in names]


def _whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger) for name in names]


def _of_run(*more: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in ("run_id", *more)]


VERSION = sa.Table("schema_version", METADATA, sa.Column("version", sa.Integer, primary_key=True))
RUNS = sa.Table(
    "runs",
    METADATA,
    *_of_run(),
    *_text("name"),
    *_number("created", "ended"),
    *_text("status"),
    *_whole("exit_code"),
    *_text("params_digest", "code_commit", "code_digest"),
    sa.Column("code_is_dirty", sa.Boolean),
    *_text("fingerprint", "python", "os", "cpu"),
    *_whole("cores", "memory_bytes"),
    *_text("libraries", "inputs"),
    *_number("elapsed_s", "cpu_s"),
    *_whole("peak_bytes"),
)
STAGES = sa.Table(
    "stages",
    METADATA,
    *_of_run("stage"),
    sa.Column("position", sa.Integer, nullable=False),
    *_text("status", "key"),
    *_number("started", "ended", "elapsed_s", "cpu_s"),
    *_whole("peak_bytes", "read_bytes", "written_bytes", "rows_in", "rows_out"),
    *_number("rows_per_s"),
    *_text("reused_from", "reason", "outputs"),
)
PHASES = sa.Table(
    "phases",
    METADATA,
    *_of_run("stage", "phase"),
    sa.Column("position", sa.Integer, nullable=False),
    *_number("started_s", "elapsed_s", "cpu_s"),
    *_whole("peak_bytes", "rows"),
    *_number("rows_per_s"),
)
METRICS = sa.Table("metrics", METADATA, *_of_run("metric"), *_number("value"))
ALERTS = sa.Table("alerts", METADATA, *_of_run("alert_id"), *_text("severity", "message", "metrics"))
