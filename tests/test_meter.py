"""Measuring says what really happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sbir_toolkit import meter
from sbir_toolkit.meter import proc
from sbir_toolkit.storage import read_lines


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events.ndjson"
    monkeypatch.setenv(meter.EVENTS_VARIABLE, str(path))
    monkeypatch.setenv(meter.STAGE_VARIABLE, "a_stage")
    return path


def test_phase_records_time_rows_and_success(events: Path) -> None:
    """A phase becomes one event with its wall time, rows and details."""
    with meter.phase("sleep") as span:
        time.sleep(0.05)
        span.rows = 3
        span.details["kind"] = "short"
    (event,) = read_lines(events)
    assert (event["stage"], event["phase"], event["rows"], event["details"], event["is_done"]) == (
        "a_stage",
        "sleep",
        3,
        {"kind": "short"},
        True,
    )
    assert 0.05 <= event["elapsed_s"] < 1


def test_failed_phase_is_recorded_as_such(events: Path) -> None:
    """An error passes through, and the event says that the phase didn't end."""
    with pytest.raises(ValueError, match="no"), meter.phase("break"):
        raise ValueError("no")
    assert read_lines(events)[0]["is_done"] is False


def test_nothing_is_written_when_nobody_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Library code may be measured anywhere at no cost."""
    monkeypatch.chdir(tmp_path)
    with meter.phase("quiet"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_sampler_sees_memory_of_a_grandchild() -> None:
    """Memory that a child's child holds counts, within a tenth."""
    size = 200_000_000
    grandchild = f"x = bytearray({size}); x[::4096] = b'1' * len(x[::4096]); import time; time.sleep(2)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    process = subprocess.Popen([sys.executable, "-c", child])
    sampler = meter.TreeSampler(process.pid, 0.05).start()
    process.wait()
    sampler.stop()
    assert size < sampler.peak_bytes_ < size * 1.2
    assert sampler.last_.cpu_s > 0


@pytest.mark.parametrize("held", [0, 150_000_000])
def test_sampler_sees_a_short_spike_of_a_child(held: int) -> None:
    """400 MB for 200 ms in a child that is soon gone counts, within a tenth, whatever its parent holds."""
    size = 400_000_000
    spike = f"x = bytearray({size}); x[::4096] = b'1' * len(x[::4096]); import time; time.sleep(0.2)"
    parent = (
        f"import subprocess, sys, time; kept = bytearray({held}); kept[::4096] = b'1' * len(kept[::4096]);"
        f"time.sleep(0.7); subprocess.run([sys.executable, '-c', {spike!r}]); time.sleep(0.7)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    sampler = meter.TreeSampler(process.pid, 0.5).start()
    process.wait()
    sampler.stop()
    assert 0.9 * (size + held) < sampler.peak_bytes_ < 1.1 * (size + held)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells what processes share")
def test_forks_that_end_take_no_memory_with_them() -> None:
    """What they shared isn't given back three times: a tree never holds less than nothing."""
    script = (
        "import os, sys, time; kept = b'1' * 50_000_000\n"
        "for _ in range(3):\n"
        "    if (child := os.fork()) == 0: time.sleep(60)\n"
        "    print(child, flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        forks = [int(process.stdout.readline()) for _ in range(3)]
        sampler = meter.TreeSampler(process.pid, 1.0)
        assert 40_000_000 < sampler.sample().memory_bytes < 100_000_000
        for fork in forks:
            os.kill(fork, signal.SIGKILL)
        assert sampler.sample().memory_bytes >= 0
        process.communicate()


def test_phase_tells_what_the_system_did(events: Path) -> None:
    """Page faults and the two kinds of CPU time stand in the event."""
    with meter.phase("work"):
        memory = bytearray(50_000_000)
        memory[::4096] = b"1" * len(memory[::4096])
    (event,) = read_lines(events)
    assert event["minor_faults"] > 10
    assert event["user_s"] + event["system_s"] == pytest.approx(event["cpu_s"], abs=0.03)


@pytest.mark.skipif(not proc.KNOWS_QUEUES, reason="the system doesn't tell how long threads queue")
def test_phase_tells_queueing_from_waiting(events: Path) -> None:
    """A thread that others keep off its core queues; one that sleeps doesn't."""
    core = {min(os.sched_getaffinity(0))}
    spin = f"import os; os.sched_setaffinity(0, {core}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, core)
        try:
            with meter.phase("work"):
                until = time.process_time() + 0.2
                while time.process_time() < until:
                    pass
        finally:
            os.sched_setaffinity(0, allowed)
            other.kill()
    with meter.phase("sleep"):
        time.sleep(0.2)
    work, sleep = (event for event in read_lines(events) if event["kind"] == "phase")
    assert work["queued_s"] > 0.1
    assert work["cpu_s"] + work["queued_s"] == pytest.approx(work["elapsed_s"], rel=0.2)
    assert sleep["queued_s"] < 0.1


def test_sampler_tells_what_others_used() -> None:
    """Work that isn't the tree's counts as others', while the tree itself does nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle:
        sampler = meter.TreeSampler(idle.pid, 1.0)
        sampler.sample()
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        usage = sampler.sample()
        idle.communicate(b"\n")
    assert usage.others_cpu_s is not None
    assert usage.others_cpu_s > 0.45
    assert usage.cpu_s < 0.5


@pytest.mark.skipif(not proc.KNOWS_QUEUES, reason="the system doesn't tell how long threads queue")
def test_queueing_is_read_of_the_threads_that_are_there() -> None:
    """Threads come and go, and a fork has other ones than its parent: each is asked for its own figures."""
    queues, go_on = proc.OwnQueues(), threading.Event()

    def threads() -> set[int]:
        queued = queues.by_thread()
        assert queued is not None
        assert min(queued.values()) >= 0
        return set(queued)

    before, worker = threads(), threading.Thread(target=go_on.wait)
    worker.start()
    assert threads() == before | {worker.native_id}
    go_on.set()
    worker.join()
    until = time.monotonic() + 5  # the system may take a moment longer
    while threads() != before:
        assert time.monotonic() < until
    queues.close()
    assert threads() == before


@pytest.mark.skipif(not proc.KNOWS_QUEUES, reason="the system doesn't tell how long threads queue")
def test_a_thread_closes_its_file_when_it_ends() -> None:
    """However many threads measure phases, no files stay open behind them."""

    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    proc.queued_by_this_thread()
    before, seen = files(), []
    for _ in range(20):
        thread = threading.Thread(target=lambda: seen.append(proc.queued_by_this_thread()))
        thread.start()
        thread.join()
    assert len(seen) == 20
    assert min(queued[0] for queued in seen if queued) >= 0
    assert files() == before


def test_a_phase_in_a_fork_asks_for_its_own_threads(events: Path) -> None:
    """A fork doesn't read the files that its parent opened of the parent's threads."""
    with meter.phase("before"):
        pass
    if (child := os.fork()) == 0:
        with meter.phase("forked"):
            pass
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    forked = read_lines(events)[-1]
    assert (forked["phase"], forked["pid"]) == ("forked", child)
    assert forked["queued_s"] is None or 0 <= forked["queued_s"] <= 1


def test_laps_share_what_was_used_and_have_peaks_of_their_own() -> None:
    """What one lap held at most isn't the next one's peak; CPU time goes on being counted."""
    size = 100_000_000
    script = f"input(); x = bytearray({size}); x[::4096] = b'1' * len(x[::4096]); print(flush=True); input()"
    script += "; del x; print(flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        sampler = meter.TreeSampler(process.pid, 0.05).start()
        idle, _ = sampler.lap()
        peaks = []
        for _ in range(2):
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            usage, peak_bytes = sampler.lap()
            peaks.append(peak_bytes)
        time.sleep(0.1)
        _, last = sampler.lap()
        sampler.stop()
        process.communicate("\n")
    assert peaks[0] > size
    assert last < size
    assert usage.cpu_s > idle.cpu_s


def test_queueing_is_not_known_everywhere(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system doesn't tell it, it isn't made up."""
    monkeypatch.setattr(proc, "KNOWS_QUEUES", False)
    with meter.phase("work"):
        pass
    assert read_lines(events)[0]["queued_s"] is None


def test_a_beat_tells_what_lasts_and_how_far_it_is(events: Path) -> None:
    """Twice a second, for what takes longer than that; what is over is never told of again."""
    with meter.phase("brew", rows=7) as span, meter.progress("read leaves.csv", 40, "bytes") as seen:
        seen.done = 10
        span.done = 3
        time.sleep(2.2 * meter.BEAT_S)
    with meter.phase("pour"):
        pass
    time.sleep(1.2 * meter.BEAT_S)
    beats = [event for event in read_lines(events) if event["kind"] == "beat"]
    assert 1 <= len(beats) <= 3
    brew, read = beats[-1]["doing"]
    assert (brew["what"], brew["done"], brew["total"], brew["unit"]) == ("brew", 3, 7, "rows")
    assert (read["what"], read["done"], read["total"], read["unit"]) == ("read leaves.csv", 10, 40, "bytes")
    assert beats[-1]["at"] - brew["started"] >= meter.BEAT_S
