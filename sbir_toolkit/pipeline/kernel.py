"""The kernel of a stage's notebook, forked from the warm process of the stage instead of started anew.

A kernel can be forked safely only while its stage has no threads yet, which is before papermill knows how it
is to be started. So it is forked first of all and waits; when papermill's client wants to start the kernel,
it is told the command, the environment and the folder that it would have been started with, and becomes it.
To the client it is an ordinary local kernel: a process group of its own, with an exit code.

Only the kernel of this very Python is made so. Any other one that the parameters name is started the usual
way.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from sbir_toolkit.pipeline.nursery import KERNEL_NAME, fork

_LAUNCH = ["-m", "ipykernel_launcher"]


class ForkedProcess:
    """A child as `subprocess.Popen` would show it, in as far as a kernel's client looks."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Give its exit code; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for its end; give its exit code."""
        return self._reap(0)

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class WaitingKernel:
    """A kernel that was forked and waits to be told how it is to be started."""

    def __init__(self, process: ForkedProcess, told: int) -> None:
        self._process = process
        self._told = told

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: str) -> ForkedProcess:
        """Have it become the kernel."""
        order = {"arguments": [*command[3:]], "environment": dict(environment), "folder": folder}
        with os.fdopen(self._told, "w") as told:
            json.dump(order, told)
        return self._process

    def dismiss(self) -> None:
        """Have it end: it isn't needed."""
        os.close(self._told)
        self._process.wait()


def fork_kernel() -> WaitingKernel:
    """Fork a kernel that waits; only the stage's process returns from this, the kernel's ends in it."""
    heard, told = os.pipe()
    pid = fork(KERNEL_NAME)
    if pid == 0:
        os.close(told)
        with os.fdopen(heard) as order:
            _become_kernel(order.read())
    os.close(heard)
    return WaitingKernel(ForkedProcess(pid), told)


class ForkedKernel(LocalProvisioner):
    """Starts a kernel for its client by waking the one that waits."""

    waiting: WaitingKernel

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it."""
        self.cwd = kwargs.get("cwd") or str(Path.cwd())
        self.process = self.waiting.start(cmd, kwargs["env"], self.cwd)
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        """End it, and see it gone: its client would look again only after a tenth of a second."""
        await super().kill(restart)
        self.process.wait()


def make_manager(kernel: str, waiting: WaitingKernel) -> AsyncKernelManager:
    """Make the manager of a kernel, which starts the one that waits if that is the one that is wanted."""
    manager = AsyncKernelManager(kernel_name=kernel)
    spec = manager.kernel_spec
    if spec is not None and not spec.env and manager.format_kernel_cmd()[:3] == [sys.executable, *_LAUNCH]:
        forked = ForkedKernel(kernel_id=manager.kernel_id, kernel_spec=spec, parent=manager)
        forked.waiting = waiting
        manager.provisioner = forked
    else:
        waiting.dismiss()
    return manager


def _become_kernel(order: str) -> None:
    if not order:
        os._exit(0)
    told = json.loads(order)
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = [
        "ipykernel_launcher",
        *told["arguments"],
        f"--IPKernelApp.parent_handle={os.getppid()}",  # would be read from the environment on import
        "--HistoryManager.enabled=False",  # what a run executes is no part of anybody's history of commands
    ]
    IPKernelApp.launch_instance()
    sys.exit()
