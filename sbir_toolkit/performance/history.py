"""The history: what every run took, in one small database.

A trend needs runs that are long gone, so the figures of each run are kept apart from the run's folder: in
SQLite beside the runs by default, or in any database that SQLAlchemy knows the URL of. Several runs may end
at once: SQLite is put into write-ahead mode, each run is entered in one transaction that takes the write lock
at its start, and a writer waits for the one before. A run that is entered again (it was resumed, say)
replaces what was known about it.

The database carries the version of its schema: an older one is brought up to date when it is opened, one that
a newer release wrote is refused rather than misread.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.locks import locked
from sbir_toolkit.performance.schema import (
    ACCEPTED,
    ALERTS,
    BENCHMARKS,
    METADATA,
    METRICS,
    PHASES,
    RUNS,
    SCHEMA_VERSION,
    STAGES,
    VERSION,
    describe_machine,
    upgrade,
)

_WAIT_S = 60.0
_SCHEMA_LOCK = 72_742  # any number, the same for all who open the history
_OF_RUN = (
    "created",
    "name",
    "fingerprint",
    "params_digest",
    "code_digest",
    "machine",
    "calibration_s",
    "benchmark",
)
_WRITES = {"sbir_writes": True}


class History:
    """The database of past runs.

    Parameters
    ----------
    url_or_path
        A file, made when missing, or a database URL such as `postgresql+psycopg://host/name`.

    Raises
    ------
    InputError
        When the database can't be opened, isn't a history, or is of another schema version.
    """

    def __init__(self, url_or_path: str | os.PathLike[str]) -> None:
        text = os.fspath(url_or_path)
        self.url = (
            sa.make_url(text)
            if "://" in text
            else sa.URL.create("sqlite", database=str(Path(text).absolute()))
        )
        # No pool: a connection lives as long as one call; threads and forked processes share nothing.
        self._engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        if self.url.get_backend_name() == "sqlite":
            _prepare_sqlite(self._engine)
        try:
            self._create_schema()
        except sa.exc.DBAPIError as wrong:
            raise self._refusal("can't be opened", wrong.orig) from wrong

    def __repr__(self) -> str:
        return f"History({self.url.render_as_string(hide_password=True)!r})"

    def record_run(self, run: Mapping[str, Any], figures: pd.DataFrame | None = None) -> None:
        """Enter a run; if it is known already, its old rows are replaced.

        Parameters
        ----------
        run
            The run's record, as in its `run.json`. What it doesn't hold is null.
        figures : pandas.DataFrame, optional
            Of the contract STAGE_FIGURES (see `measure_run`); its phases are kept as well.

        Raises
        ------
        InputError
            When the database can't be written, or stays locked by another writer.
        """
        run_id = run["run_id"]
        rows = {
            RUNS: [_run_row(run)],
            STAGES: [
                {"position": position, **_stage_row(run_id, name, stage)}
                for position, (name, stage) in enumerate(run.get("stages", {}).items())
            ],
            PHASES: _phase_rows(run_id, figures),
            METRICS: [
                {"run_id": run_id, "metric": name, "value": value}
                for name, value in run.get("metrics", {}).items()
            ],
            ALERTS: list(
                {alert["id"]: _alert_row(run_id, alert) for alert in run.get("alerts", ())}.values()
            ),
        }
        try:
            with self._engine.execution_options(**_WRITES).begin() as connection:
                for table in reversed(rows):
                    connection.execute(sa.delete(table).where(table.c.run_id == run_id))
                for table, values in rows.items():
                    if values:
                        connection.execute(sa.insert(table), values)
        except sa.exc.OperationalError as wrong:
            raise self._refusal(
                f"can't take up run {run_id}", wrong.orig, "a database that can be written"
            ) from wrong

    def record_benchmark(self, **told: Any) -> None:
        """Enter what a benchmark found, by the columns of `benchmarks`; its repeats are runs that name it."""
        with self._engine.execution_options(**_WRITES).begin() as connection:
            connection.execute(sa.insert(BENCHMARKS), [told])

    def benchmarks(self) -> pd.DataFrame:
        """Read what benchmarks found, the oldest first; `verdicts` is their noteworthy verdicts as JSON."""
        return self._read(sa.select(BENCHMARKS).order_by(BENCHMARKS.c.created))

    def accept(self, regression: str, name: str, machine: str, *, since: float, why: str) -> None:
        """Accept a change: from now on what came after `since` is the baseline.

        Parameters
        ----------
        regression
            Identity of the change, as `slowdown:match_recipients`.
        name, machine
            For runs of this name on this machine.
        since
            Seconds since 1970; runs created before no longer count.
        why
            The reason, in words; kept with the time and the user's name.
        """
        row = {"regression": regression, "name": name, "machine": machine, "since": since, "why": why}
        with self._engine.execution_options(**_WRITES).begin() as connection:
            connection.execute(sa.insert(ACCEPTED), [{**row, "at": time.time(), "who": getpass.getuser()}])

    def accepted(self) -> pd.DataFrame:
        """Read what was accepted, the oldest first: regression, name, machine, at, since, why, who."""
        return self._read(sa.select(ACCEPTED).order_by(ACCEPTED.c.at))

    def runs(self) -> pd.DataFrame:
        """Read all runs, the oldest first: one row each with its status, code, environment and totals."""
        return self._read(sa.select(RUNS).order_by(RUNS.c.created, RUNS.c.run_id))

    def stages(self) -> pd.DataFrame:
        """Read the stages of all runs, with what makes them comparable: name, fingerprint, digests."""
        return self._read_with_run(STAGES, STAGES.c.position)

    def phases(self) -> pd.DataFrame:
        """Read the phases of all runs, with their runs' created, name and fingerprint."""
        return self._read_with_run(PHASES, PHASES.c.position)

    def metrics(self) -> pd.DataFrame:
        """Read the quality metrics of all runs: run_id, created, name, metric, value."""
        return self._read_with_run(METRICS, METRICS.c.metric)

    def metrics_with(self, name: str, run_id: str, values: Mapping[str, float | None]) -> pd.DataFrame:
        """Give the shares that runs with parameters of one name measured, with those of a run under way.

        Returns
        -------
        pandas.DataFrame
            One row for each run and metric, the oldest run first: run_id, metric, value.
        """
        known = self.metrics()
        earlier = known[(known["name"] == name) & (known["run_id"] != run_id)][["run_id", "metric", "value"]]
        own = [(run_id, metric, value) for metric, value in values.items() if value is not None]
        latest = pd.DataFrame(own, columns=["run_id", "metric", "value"]).astype(earlier.dtypes.to_dict())
        together = pd.concat([earlier, latest], ignore_index=True)
        is_share = together["metric"].map(together.groupby("metric")["value"].max()) <= 1
        shares: pd.DataFrame = together[is_share]
        return shares.reset_index(drop=True)

    def alerts(self) -> pd.DataFrame:
        """Read the alerts of all runs."""
        return self._read_with_run(ALERTS, ALERTS.c.alert_id)

    def _read_with_run(self, table: sa.Table, then_by: sa.Column[Any]) -> pd.DataFrame:
        of_run = [RUNS.c[name] for name in _OF_RUN]
        own = [column for column in table.c if column.name != "position"]
        selected = sa.select(*own, *of_run).join(RUNS, RUNS.c.run_id == table.c.run_id)
        return self._read(selected.order_by(RUNS.c.created, RUNS.c.run_id, then_by))

    def _read(self, query: sa.Select[Any]) -> pd.DataFrame:
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        columns = list(query.selected_columns)
        frame = pd.DataFrame(rows, columns=[column.name for column in columns])
        return frame.astype({column.name: _dtype(column) for column in columns})

    def _create_schema(self) -> None:
        if self.url.get_backend_name() != "sqlite":
            if not self._is_whole():
                self._create_tables()
            return
        if self.url.database in (None, "", ":memory:"):
            raise self._refusal("must be a file", "a database in memory")
        path = Path(str(self.url.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_whole():
            return
        # Two processes can't both turn a new file into write-ahead mode, and SQLite doesn't wait there.
        with locked(path.with_name(f".{path.name}.lock"), "the history", wait_s=_WAIT_S):
            if not self._is_whole():
                with contextlib.closing(self._engine.raw_connection()) as raw:
                    raw.cursor().execute("PRAGMA journal_mode=WAL")
                self._create_tables()

    def _is_whole(self) -> bool:
        """Tell whether the schema is there; raises when it is another one."""
        with self._engine.connect() as connection:
            inspector = sa.inspect(connection)
            if not inspector.has_table(VERSION.name):
                return False
            version = connection.execute(sa.select(VERSION.c.version)).scalar()
        if version is not None and version > SCHEMA_VERSION:
            raise self._refusal("is of another schema version", version, f"version {SCHEMA_VERSION}")
        return version == SCHEMA_VERSION

    def _create_tables(self) -> None:
        with self._engine.execution_options(**_WRITES).begin() as connection:
            if self.url.get_backend_name() == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            METADATA.create_all(connection, tables=[VERSION])
            version = connection.execute(sa.select(VERSION.c.version)).scalar()
            if version is None:
                METADATA.create_all(connection)
                connection.execute(sa.insert(VERSION), [{"version": SCHEMA_VERSION}])
            elif version < SCHEMA_VERSION:
                upgrade(connection, version)

    def _refusal(self, what: str, got: object, expected: str = "a history of runs") -> InputError:
        return InputError(
            explain(
                f"the history {what}",
                where=self.url.render_as_string(hide_password=True),
                expected=expected,
                got=got,
                todo="move it away to begin a new one, or use the release that wrote it",
            )
        )


def _prepare_sqlite(engine: sa.Engine) -> None:
    # The driver's own transactions begin without the write lock, and then fail where they should wait.
    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={int(_WAIT_S * 1000)}")
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        is_writing = connection.get_execution_options().get("sbir_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _run_row(run: Mapping[str, Any]) -> dict[str, Any]:
    code, environment = run.get("code") or {}, run.get("environment") or {}
    totals = run.get("totals") or {}
    own = ("run_id", "name", "created", "ended", "status", "exit_code", "params_digest")
    machine = ("fingerprint", "python", "os", "cpu", "cores", "memory_bytes")
    return {
        **{name: run.get(name) for name in own},
        **{f"code_{name}": code.get(name) for name in ("commit", "is_dirty", "digest")},
        **{name: environment.get(name) for name in machine},
        "libraries": _as_json(environment.get("libraries") or {}),
        "inputs": _as_json(run.get("inputs") or {}),
        "params": _as_json(run.get("params") or {}),
        "code_rooms": _as_json(code.get("rooms") or {}),
        "machine": describe_machine(environment),
        **{name: run.get(name) for name in ("calibration_s", "benchmark")},
        **{name: totals.get(name) for name in ("elapsed_s", "cpu_s", "peak_bytes")},
    }


def _stage_row(run_id: str, name: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    given = [
        column.name for column in STAGES.c if column.name not in {"run_id", "stage", "position", "outputs"}
    ]
    return {
        "run_id": run_id,
        "stage": name,
        **{column: stage.get(column) for column in given},
        "outputs": _as_json(stage.get("outputs") or {}),
    }


def _phase_rows(run_id: str, figures: pd.DataFrame | None) -> list[dict[str, Any]]:
    if figures is None:
        return []
    known = [column.name for column in PHASES.c if column.name in figures]
    phases = figures.loc[figures["phase"] != "all", known].astype(object)
    rows = phases.where(phases.notna(), None).itertuples(index=False, name=None)
    return [
        {"run_id": run_id, "position": position, **dict(zip(phases.columns, row, strict=True))}
        for position, row in enumerate(rows)
    ]


def _alert_row(run_id: str, alert: Mapping[str, Any]) -> dict[str, Any]:
    figures = _as_json(alert.get("metrics") or {})
    return {
        "run_id": run_id,
        "alert_id": alert["id"],
        "severity": alert["severity"],
        "message": alert["message"],
        "metrics": figures,
    }


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _dtype(column: Any) -> str:
    if isinstance(column.type, sa.Boolean):
        return "boolean"
    return "str" if isinstance(column.type, sa.Text) else "float64"
