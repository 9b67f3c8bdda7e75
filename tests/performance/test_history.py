import multiprocessing
import sqlite3

import pytest
from sqlalchemy.exc import StatementError

from sbir_toolkit.errors import InputError
from sbir_toolkit.performance import History, measure_run
from sbir_toolkit.performance.schema import ADDED

from .runs import CREATED, phase_event, run_record, stage

RUNS_EACH = 15


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "outputs" / "history.sqlite")


def write_runs(path, writer):
    history = History(path)
    for number in range(RUNS_EACH):
        history.record_run(run_record(f"{writer}-{number}", {"load": stage(), "match": stage()}))


def test_a_new_history_is_empty(history):
    """Every table can be read before the first run, with its columns and types."""
    for frame in (history.runs(), history.stages(), history.phases(), history.metrics(), history.alerts()):
        assert frame.empty
        assert "run_id" in frame.columns
        assert "created" in frame.columns
    assert str(history.stages()["elapsed_s"].dtype) == "float64"


def test_a_run_comes_back(history):
    """What was entered is read back, with what makes runs comparable beside each stage."""
    alert = {"id": "peak_mb:match", "severity": "warning", "message": "much", "metrics": {"value": 9.0}}
    run = run_record(stages={"load": stage(), "match": {"status": "pending"}}, alerts=[alert])
    history.record_run(run, measure_run(run, [phase_event("load", "read", 1, 4)]))
    runs, stages, phases = history.runs(), history.stages(), history.phases()
    assert runs.loc[0, ["run_id", "status", "fingerprint", "code_commit"]].tolist() == [
        "run",
        "done",
        "machine",
        "abc",
    ]
    assert runs.loc[0, "elapsed_s"] == 100.0
    assert not runs.loc[0, "code_is_dirty"]
    assert stages["stage"].tolist() == ["load", "match"]
    assert stages.loc[0, ["elapsed_s", "rows_in", "name", "fingerprint"]].tolist() == [
        10.0,
        1000,
        "sample",
        "machine",
    ]
    assert stages.loc[1, ["elapsed_s", "rows_in"]].isna().all()
    assert phases["phase"].tolist() == ["start-up", "read"]
    assert phases.loc[1, "elapsed_s"] == 4.0
    assert history.metrics().loc[0, ["metric", "value"]].tolist() == ["match_rate", 0.8]
    assert history.alerts().loc[0, ["alert_id", "metrics"]].tolist() == ["peak_mb:match", '{"value": 9.0}']


def test_a_run_entered_again_is_replaced(history):
    """Entering a run twice leaves one, as it was entered last."""
    history.record_run(
        run_record(stages={"load": stage(), "match": stage()}, metrics={"match_rate": 0.1, "x": 1})
    )
    history.record_run(
        run_record(stages={"load": stage(elapsed_s=3)}, metrics={"match_rate": 0.2}, status="failed")
    )
    assert history.runs()["status"].tolist() == ["failed"]
    assert history.stages()["elapsed_s"].tolist() == [3.0]
    assert history.metrics()["value"].tolist() == [0.2]


def test_a_bare_run_is_taken(history):
    """A run that has only just begun can be entered; what it lacks is null."""
    history.record_run({"run_id": "bare", "created": CREATED, "metrics": {"match_rate": None}})
    assert history.runs().loc[0, ["name", "elapsed_s"]].isna().all()
    assert history.metrics()["value"].isna().all()


def test_oldest_first(history):
    """Runs come in the order of their creation, whatever the order of entering."""
    for run_id, created in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        history.record_run(run_record(run_id, created=created))
    assert history.runs()["run_id"].tolist() == ["a", "b", "c"]
    assert history.stages()["run_id"].tolist() == ["a", "b", "c"]


def test_two_processes_write_at_once(tmp_path):
    """Two processes that begin the file and enter runs at the same time lose none of them."""
    path = tmp_path / "history.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_runs, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    history = History(path)
    assert sorted(history.runs()["run_id"]) == sorted(
        f"{name}-{number}" for name in "ab" for number in range(RUNS_EACH)
    )
    assert len(history.stages()) == 2 * 2 * RUNS_EACH
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_failed_entry_leaves_the_old_one(history):
    """A run is replaced wholly or not at all."""
    history.record_run(run_record())
    broken = run_record(stages={"match": stage(cpu_s=[])})
    with pytest.raises(StatementError):
        history.record_run(broken)
    assert history.stages()["elapsed_s"].tolist() == [10.0]


def test_another_schema_version_is_refused(tmp_path, history):
    """A history that another release wrote is refused, not misread."""
    path = tmp_path / "outputs" / "history.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(InputError, match="schema version"):
        History(path)


def test_what_is_no_history_is_refused(tmp_path):
    """A file that isn't a database, and a database in memory, are refused with a reason."""
    path = tmp_path / "history.sqlite"
    path.write_text(
        "not a database, but long enough to be taken for a file with a header of one hundred bytes" * 3
    )
    with pytest.raises(InputError, match="can't be opened"):
        History(path)
    with pytest.raises(InputError, match="must be a file"):
        History("sqlite://")


def test_a_url_does_as_well(tmp_path):
    """A database URL opens the same history as its path, and never shows a password."""
    path = tmp_path / "history.sqlite"
    History(path).record_run(run_record())
    assert len(History(f"sqlite:///{path}").runs()) == 1
    assert str(path) in repr(History(path))


def test_an_older_history_is_brought_up_to_date(tmp_path, history):
    """What version 1 wrote is kept, gets the new columns, and says which machine it was."""
    path = tmp_path / "outputs" / "history.sqlite"
    history.record_run(
        run_record(environment={"cpu": "Xeon", "cores": 2, "memory_bytes": 8e9, "os": "Linux"})
    )
    with sqlite3.connect(path) as connection:
        for table, names in [item for added in ADDED.values() for item in added.items()]:
            for name in names:
                connection.execute(f"ALTER TABLE {table.name} DROP COLUMN {name}")
        connection.execute("DROP TABLE accepted")
        connection.execute("UPDATE schema_version SET version = 1")
    connection.close()
    newer = History(path)
    assert newer.runs()["machine"].tolist() == ["Xeon, 2 cores, 8 GB, Linux"]
    assert newer.stages()["elapsed_s"].tolist() == [10.0]
    assert newer.accepted().empty
    assert len(History(path).runs()) == 1
