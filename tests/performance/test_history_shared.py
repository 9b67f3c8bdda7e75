"""A history that many write at once: nothing committed is lost, in SQLite and in PostgreSQL."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from sbir_toolkit.performance import History, measure_run

from .runs import CREATED, phase_event, run_record, stage

WRITERS, RUNS_EACH = 8, 6
WRITE = """
import os, sys
from sbir_toolkit.performance import History
from tests.performance.runs import run_record, stage

url, writers, runs_each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
children = []
for writer in range(writers):
    child = os.fork()
    if child == 0:
        history = History(url)
        # The first one goes on until it is killed.
        for number in range(runs_each if writer else 10_000):
            run_id = f"w{writer}-{number}"
            history.record_run(run_record(run_id, {"load": stage(), "match": stage()}))
            os.write(1, f"{os.getpid()} {run_id}\\n".encode())
        os._exit(0)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
os.write(1, f"codes {codes}\\n".encode())
"""


def find_postgres():
    """Find the folder of the server's programs and how to run them; skips where that can't be."""
    pg_ctl = shutil.which("pg_ctl")
    if pg_ctl is None or not Path(pg_ctl).resolve().with_name("initdb").exists():
        pytest.skip("no PostgreSQL here: pg_ctl isn't on the path, or has no initdb beside it")
    if os.geteuid() != 0:
        return Path(pg_ctl).resolve().parent, []
    if "postgres" not in {entry.pw_name for entry in pwd.getpwall()} or shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL doesn't run as root, and there is no user postgres or no setpriv")
    return Path(pg_ctl).resolve().parent, [
        "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
    ]  # fmt: skip


def run(command, **options):
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **options)


@pytest.fixture(scope="module")
def postgres():
    """Start a server of its own; gives the URL of its databases."""
    pytest.importorskip("psycopg", reason="the extra `postgres` isn't installed")
    programs, as_user = find_postgres()
    # Not in pytest's own folder: another user must be able to come by.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if as_user:
            shutil.chown(folder, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = ["-D", str(folder / "data")]
        run([*as_user, programs / "initdb", *data, "-U", "sbir", "-A", "trust", "-N"])
        options = f"-p {port} -h 127.0.0.1 -k {folder}"
        run([*as_user, programs / "pg_ctl", *data, "-o", options, "-l", folder / "log", "-w", "start"])
        yield f"postgresql+psycopg://sbir@127.0.0.1:{port}/"
        run([*as_user, programs / "pg_ctl", *data, "-m", "fast", "-w", "stop"])


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Give the URL of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "history.sqlite")
    server = request.getfixturevalue("postgres")
    name = f"history_{abs(hash(request.node.name)) % 10**9}"
    engine = sa.create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return f"{server}{name}"


def test_a_run_comes_back(url):
    """What is entered is read back as it was, whatever the database."""
    history = History(url)
    record = run_record(stages={"load": stage(), "match": {"status": "pending"}})
    history.record_run(record, measure_run(record, [phase_event("load", "read", 1, 4)]))
    history.record_run(record, measure_run(record, [phase_event("load", "read", 1, 3)]))
    assert history.stages()["stage"].tolist() == ["load", "match"]
    assert history.phases().set_index("phase").loc["read", "elapsed_s"] == 3.0
    assert history.metrics()["value"].tolist() == [0.8]
    history.accept("slowdown:load", "sample", "here", since=CREATED, why="more checks")
    assert history.accepted()["why"].tolist() == ["more checks"]


def test_eight_writers_and_a_kill_lose_nothing(url):
    """Eight processes begin the history and write at once, one is killed: what was told of is there."""
    command = [sys.executable, "-c", WRITE, url, str(WRITERS), str(RUNS_EACH)]
    lines, told = [], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            lines.append(line.split(maxsplit=1))
            told += lines[-1][1].startswith("w0-")
            if told == 3:
                os.kill(int(next(pid for pid, what in lines if what.startswith("w0-"))), signal.SIGKILL)
                told += 1
    assert lines[-1] == ["codes", f"{[-signal.SIGKILL.value] + [0] * (WRITERS - 1)}\n"]
    history = History(url)
    kept = set(history.runs()["run_id"])
    assert {f"w{writer}-{number}" for writer in range(1, WRITERS) for number in range(RUNS_EACH)} <= kept
    assert {what.strip() for _, what in lines[:-1]} <= kept
    # A run is there with all its stages, or not at all.
    assert len(history.stages()) == 2 * len(kept)
