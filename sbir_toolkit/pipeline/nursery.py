"""The nursery: one warm process, from which the process of each stage is forked.

A stage runs in a process of its own and its notebook in another, and each of the two would import for two
seconds before it does anything. So a run starts one process that imports once what they need, does nothing
itself, and forks: a fork has all of that at once, and shares its memory.

The two ends talk over sockets. For each stage the runner hands over a socket; on it the nursery answers with
the new process's number and, when that process has ended, with how it ended and what it used, as the system
told it. When the nursery is gone the socket closes, so the runner knows that too. A process dies with the one
that forked it: nothing outlives a run that was killed.

Nothing here is imported that takes time: the runner's end must be ready before the other one is warm.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sbir_toolkit.memory import allocator_settings

# What the processes are called in the system's lists.
STAGE_NAME = "sbir-stage"
KERNEL_NAME = "sbir-kernel"
_DIE_WITH_PARENT = 1
_SET_NAME = 15
_MESSAGE_BYTES = 4096


@dataclass(frozen=True)
class Ending:
    """How a process ended, and what it and all that it waited for have used.

    Parameters
    ----------
    exit_code
        Negative: the signal that killed it. None: not known, because the nursery is gone.
    user_s, system_s, minor_faults, major_faults
        As the system counted them.
    """

    exit_code: int | None
    user_s: float = 0.0
    system_s: float = 0.0
    minor_faults: int = 0
    major_faults: int = 0


class Nursling:
    """A process that was forked for the runner."""

    def __init__(self, reply: socket.socket) -> None:
        self._reply = reply
        self._received = b""
        self.pid = int(self._line() or 0)
        if not self.pid:
            reply.close()

    def wait(self, timeout_s: float | None = None) -> Ending | None:
        """Wait for its end; None when the time is over first."""
        if not self._received and not select.select([self._reply], [], [], timeout_s)[0]:
            return None
        told = self._line()
        self._reply.close()
        return Ending(**json.loads(told)) if told else Ending(None)

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            chunk = b""
            with contextlib.suppress(ConnectionResetError):
                chunk = self._reply.recv(_MESSAGE_BYTES)
            if not chunk:
                return b""
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line


class Nursery:
    """The runner's end: starts the warm process and has it fork others.

    Parameters
    ----------
    environment
        What all processes find in their environment besides the runner's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._start()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()

    def fork(self, job: Path, environment: Mapping[str, str], log: Path) -> Nursling:
        """Have a job done by a process of its own.

        Parameters
        ----------
        job
            File that describes it.
        environment
            What the process finds in its environment besides what all find there.
        log
            File that takes what it prints.

        Returns
        -------
        Nursling
            With the number 0 when there is no process, since the nursery was killed or couldn't start.
        """
        if self._process.poll() is not None:
            self._control.close()
            self._start()
        ours, theirs = socket.socketpair()
        request = {"job": str(job), "environment": dict(environment)}
        with theirs, log.open("wb") as output, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._control, [b"+"], [theirs.fileno(), output.fileno()])
            ours.sendall(json.dumps(request).encode() + b"\n")
        return Nursling(ours)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sbir_toolkit.pipeline.entry", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=self._environment,
                process_group=0,  # Ctrl-C is for the runner to answer
            )


def open_nursery(memory_mb: int) -> Nursery:
    """Start the warm process that a run's stages are forked from; together they may use so much memory."""
    settings = allocator_settings(memory_mb)
    unset = {name: value for name, value in settings.items() if name not in os.environ}
    return Nursery({**unset, "MPLBACKEND": "Agg"})


def serve(control: socket.socket) -> str | None:
    """Fork a process for each job that the runner asks for, and tell it how each ended.

    Returns
    -------
    str or None
        In each forked process the file that describes its job; in the warm process, when the runner is gone
        or wants no more, None.
    """
    gc.collect()
    gc.freeze()  # or the collectors of all forks would touch, and so copy, every page
    woken, wake = _wake_when_children_end()
    nurslings: dict[int, socket.socket] = {}
    while True:
        if control in select.select([control, woken], [], [])[0]:
            message, handed, _, _ = socket.recv_fds(control, 1, 2)
            if not message:
                return None
            reply, log = socket.socket(fileno=handed[0]), handed[1]
            with reply.makefile() as asked:
                request = json.loads(asked.readline())
            pid = fork(STAGE_NAME)
            if pid == 0:
                _forget(control, *nurslings.values(), reply, woken, wake)
                return _begin(request, log)
            os.close(log)
            nurslings[pid] = reply
            reply.sendall(f"{pid}\n".encode())
        _tell_endings(woken, nurslings)


def fork(name: str) -> int:
    """Fork a process that dies with this one and bears a name of its own; gives 0 in the new process."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        die_with_parent(parent)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_SET_NAME, name.encode())
    return pid


def die_with_parent(parent: int) -> None:
    """Ask the system to kill this process when its parent dies (Linux); elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _wake_when_children_end() -> tuple[socket.socket, socket.socket]:
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    return woken, wake


def _forget(*sockets: socket.socket) -> None:
    # What the warm process needs, its fork must not hold open.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for one in sockets:
        one.close()


def _begin(request: dict[str, Any], log: int) -> str:
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.update(request["environment"])
    return str(request["job"])


def _tell_endings(woken: socket.socket, nurslings: dict[int, socket.socket]) -> None:
    with contextlib.suppress(BlockingIOError):
        woken.recv(_MESSAGE_BYTES)
    while nurslings:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if not pid:
            return
        ending = Ending(
            os.waitstatus_to_exitcode(status),
            usage.ru_utime,
            usage.ru_stime,
            usage.ru_minflt,
            usage.ru_majflt,
        )
        with nurslings.pop(pid) as reply, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            reply.sendall(json.dumps(asdict(ending)).encode() + b"\n")
