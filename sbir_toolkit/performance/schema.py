"""The tables of the history, as a database keeps them, and the way from older ones.

Numbers that may be missing are nullable, and what has no fixed columns (library versions, inputs, parameters,
a stage's outputs, an alert's figures) is kept as JSON text. A change here needs a new `SCHEMA_VERSION` and a
line in `ADDED` that says what the version brought; columns are only ever added.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 6
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
    *_text("machine", "params", "code_rooms"),
    *_number("calibration_s"),
    *_text("benchmark"),
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
    *_number("user_s", "system_s", "queued_s"),
    *_whole("minor_faults", "major_faults"),
    *_number("others_cpu_s"),
)
PHASES = sa.Table(
    "phases",
    METADATA,
    *_of_run("stage", "phase"),
    sa.Column("position", sa.Integer, nullable=False),
    *_number("started_s", "elapsed_s", "cpu_s"),
    *_whole("peak_bytes", "rows"),
    *_number("rows_per_s"),
    *_number("user_s", "system_s", "queued_s"),
    *_whole("minor_faults", "major_faults", "read_bytes", "written_bytes"),
    *_text("inside"),
    *_number("own_s"),
)
METRICS = sa.Table("metrics", METADATA, *_of_run("metric"), *_number("value"))
ALERTS = sa.Table("alerts", METADATA, *_of_run("alert_id"), *_text("severity", "message", "metrics"))
BENCHMARKS = sa.Table(
    "benchmarks",
    METADATA,
    sa.Column("benchmark", sa.Text, primary_key=True),
    *_text("name", "machine"),
    *_number("created", "ended"),
    *_text("against", "code_commit"),
    *_whole("repeats"),
    *_number("spread_share"),
    *_text("verdict", "sentence", "verdicts"),
)
ACCEPTED = sa.Table(
    "accepted",
    METADATA,
    sa.Column("regression", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("machine", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, primary_key=True),
    *_number("since"),
    *_text("why", "who"),
)

# What each version brought: columns of tables that were there before. New tables are made by themselves.
ADDED: dict[int, dict[sa.Table, tuple[str, ...]]] = {
    2: {
        RUNS: ("machine", "params", "code_rooms", "calibration_s"),
        STAGES: ("user_s", "system_s", "minor_faults", "major_faults"),
        PHASES: ("user_s", "system_s", "minor_faults", "major_faults", "read_bytes", "written_bytes"),
    },
    3: {PHASES: ("inside",)},
    4: {RUNS: ("benchmark",)},
    5: {STAGES: ("queued_s",), PHASES: ("queued_s", "own_s")},
    6: {STAGES: ("others_cpu_s",)},
}


def upgrade(connection: sa.Connection, version: int) -> None:
    """Bring the tables of an older version up to this one, in the transaction that is open."""
    METADATA.create_all(connection)
    for newer in range(version + 1, SCHEMA_VERSION + 1):
        for table, names in ADDED[newer].items():
            for name in names:
                kind = table.c[name].type.compile(connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}"))
    machine = RUNS.c["cpu", "cores", "memory_bytes", "os"]
    for row in connection.execute(sa.select(RUNS.c.run_id, *machine)).all():
        told = describe_machine(dict(zip(("cpu", "cores", "memory_bytes", "os"), row[1:], strict=True)))
        connection.execute(sa.update(RUNS).where(RUNS.c.run_id == row[0]).values(machine=told))
    connection.execute(sa.update(VERSION).values(version=SCHEMA_VERSION))


def describe_machine(environment: dict[str, object]) -> str:
    """Say on what machine a run ran; libraries aren't part of it, since they may be a change's cause.

    Examples
    --------
    >>> describe_machine({"cpu": "Xeon", "cores": 2, "memory_bytes": 24_700_000_000, "os": "Linux 6"})
    'Xeon, 2 cores, 25 GB, Linux 6'
    """
    memory = environment.get("memory_bytes")
    size = f"{memory / 1e9:.0f} GB" if isinstance(memory, int | float) else "unknown memory"
    parts = (environment.get("cpu"), f"{environment.get('cores')} cores", size, environment.get("os"))
    return ", ".join(str(part) for part in parts)
