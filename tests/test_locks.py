"""Who waits for a lock says for whom, gets it when the owner ends or dies, and doesn't wait for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sbir_toolkit import locks
from sbir_toolkit.errors import BusyError
from sbir_toolkit.meter import EVENTS_VARIABLE
from sbir_toolkit.pipeline.doing import find_doing
from sbir_toolkit.storage import read_lines

_HOLD = (
    "import sys, time; from pathlib import Path; from sbir_toolkit.locks import locked\n"
    "with locked(Path(sys.argv[1]), 'a thing'):\n"
    "    print('held', flush=True); time.sleep(float(sys.argv[2]))"
)


@contextmanager
def holding(path: Path, hold_s: float, events: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the lock for so long, as a run of the id `first` when it has events."""
    environment = {**os.environ, EVENTS_VARIABLE: events}
    words = [sys.executable, "-c", _HOLD, str(path), str(hold_s)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        try:
            yield owner
        finally:
            owner.kill()


def test_a_lock_is_refused_by_name_and_freed_by_death(tmp_path: Path) -> None:
    """A living owner keeps others out and is named; a killed one doesn't, but is known to have died."""
    path = tmp_path / "thing.lock"
    with holding(path, 60) as owner:
        assert locks.is_locked(path)
        with pytest.raises(BusyError, match=f"process {owner.pid} on "), locks.locked(path, "a thing"):
            pass
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert not locks.is_locked(path)
        died = locks.read_owner(path)
        assert died is not None
        assert died.pid == owner.pid
        with locks.locked(path, "a thing"):
            assert locks.is_locked(path)
            assert locks.read_owner(path) != died
    assert locks.read_owner(path) is None


def test_who_waits_says_for_whom(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without events on the terminal: whom it waits for, and that this one ended."""
    path = tmp_path / "thing.lock"
    with holding(path, 1.2, str(tmp_path / "runs" / "first" / "events.ndjson")) as owner:
        (tmp_path / "runs" / "first").mkdir(parents=True)
        with locks.locked(path, "a thing", wait_s=30):
            said = caplog.messages
    assert said[0].startswith(f"waiting for a thing (run first, process {owner.pid} on ")
    assert said[1:] == ["done waiting (a thing)"]


def test_waiting_is_seen_in_the_events_and_ends_with_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With events `status` has beats to show while it waits; then, who had died."""
    path, events = tmp_path / "thing.lock", tmp_path / "events.ndjson"
    monkeypatch.setenv(EVENTS_VARIABLE, str(events))
    with holding(path, 60) as owner:
        threading.Timer(2.0, owner.kill).start()
        with locks.locked(path, "a thing", wait_s=30):
            pass
    seen = read_lines(events)
    beats = [event for event in seen if event["kind"] == "beat"]
    doing = find_doing(seen, "", 0.0, beats[-1]["at"])
    assert doing is not None
    assert doing.what.startswith(f"waiting for a thing (process {owner.pid} on ")
    (waiting,), (waited,) = ([one for one in seen if one["kind"] == kind] for kind in ("waiting", "waited"))
    assert waiting["owner"]["pid"] == waited["owner"]["pid"] == owner.pid
    assert waited["elapsed_s"] > 1


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that was stopped does nothing; one that lives may still take too long."""
    path = tmp_path / "thing.lock"
    with holding(path, 60) as owner:
        with pytest.raises(BusyError, match="within the longest wait"), locks.locked(path, "it", wait_s=0.8):
            pass
        monkeypatch.setattr(locks, "SILENT_S", 1.0)
        owner.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(BusyError, match="has done nothing"), locks.locked(path, "it", wait_s=30):
            pass
        assert time.monotonic() - began < 10
