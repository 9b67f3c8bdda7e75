"""The same result on a cluster that was started from outside, whatever becomes of its workers."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sbir_toolkit.enrichment import cluster, enrich_awards
from sbir_toolkit.enrichment.schedulers import worker_count
from sbir_toolkit.errors import StageError
from sbir_toolkit.params import Compute, Params
from sbir_toolkit.storage import digest_file, read_lines

TABLES = ("companies", "company_matches", "matches", "enriched_awards")
DASK = Path(sys.executable).with_name("dask")


class Cluster:
    """A scheduler and its workers, each a process started by the README's commands."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{port}"
        self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker; without a nanny, so that a killed one stays away."""
        return self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def wait_for(self, workers: int) -> None:
        """Wait until just so many workers are there."""
        with cluster.connect(Compute(scheduler=self.address)) as client:
            wait_until(lambda: len(client.nthreads()) == workers)

    def stop(self) -> None:
        """Kill all that was started here."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [DASK, *words],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path)
    try:
        yield running
    finally:
        running.stop()


def told(scheduler: str) -> Params:
    compute = {"scheduler": scheduler, "workers": 2, "chunk_companies": 2}
    return Params.model_validate({"compute": compute, "limits": {"read_rows": 64}})


def digests(folder: Path) -> dict[str, str]:
    return {name: digest_file(folder / f"{name}.parquet") for name in TABLES}


def test_a_worker_dies_another_joins(started: Cluster, stored: tuple[Path, Path], tmp_path: Path) -> None:
    """The dead worker's chunk is done by others, none twice; the bytes are the same; unfit ones are named."""
    steady, doomed = started.add_worker(), started.add_worker()
    enrich_awards(*stored, tmp_path / "plain", tmp_path / "store", told("threads"))
    started.wait_for(2)
    assert worker_count(Compute(scheduler=started.address)) == 2
    store = tmp_path / "shared"

    def committed() -> list[str]:
        found = list(store.glob("matching/*/journal.ndjson"))
        return [str(line["worker"]) for line in read_lines(found[0])] if found else []

    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(enrich_awards, *stored, tmp_path / "ours", store, told(started.address))
        wait_until(lambda: len(committed()) >= 4 or running.done())
        steady.send_signal(signal.SIGSTOP)  # so that the work lasts until the new worker is there
        try:
            doomed.kill()
            started.wait_for(1)
            started.add_worker()
            started.wait_for(2)
        finally:
            steady.send_signal(signal.SIGCONT)  # or the work would never end
        enriched = running.result()
    assert digests(tmp_path / "ours") == digests(tmp_path / "plain")
    keys = [line["key"] for line in read_lines(next(store.glob("matching/*/journal.ndjson")))]
    assert len(keys) == len(set(keys)) == enriched.chunks

    with cluster.connect(Compute(scheduler=started.address)) as client:
        shared = cluster.share([stored[0]], tmp_path)
        cluster.check_workers(client, shared)
        other = tuple((name, "1" if name == "pandas" else version) for name, version in shared.made_by)
        unfit = replace(shared, made_by=other, reads=((str(stored[0]), 10**13),))
        with pytest.raises(StageError) as refused:
            cluster.check_workers(client, unfit)
    for words in ("another version of pandas", "sees another file", "--memory-limit"):
        assert str(refused.value).count(words) == 2


def test_where_no_scheduler_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address at which nobody answers is named, with what to do."""
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    with pytest.raises(StageError, match=r"(?s)no Dask scheduler answers.*tcp://127.0.0.1:9.*dask scheduler"):
        worker_count(Compute(scheduler="tcp://127.0.0.1:9"))


def test_what_a_worker_does_not_see_is_named(tmp_path: Path) -> None:
    """A file that is missing or another, a folder that is another or can't be written into."""
    file = tmp_path / "companies.parquet"
    file.write_bytes(b"12345")
    shared = cluster.share([file], tmp_path)
    assert cluster.find_faults(shared) == ()
    (fault,) = cluster.find_faults(replace(shared, reads=((str(file), 6),)))
    assert "sees another file" in fault
    assert str(file) in fault
    (fault,) = cluster.find_faults(replace(shared, reads=((str(tmp_path / "index"), 5),)))
    assert "can't see a file" in fault
    (fault,) = cluster.find_faults(replace(shared, reads=(), mark="another\n"))
    assert "another folder under the same path" in fault
    (fault,) = cluster.find_faults(replace(shared, reads=(), writes=str(tmp_path / "nowhere")))
    assert "can't write where results go" in fault
