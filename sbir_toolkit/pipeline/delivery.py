"""Delivering a run: its finished folder, copied to an object store for others to read.

A run needs a real file system (locks, flushes, renames, a database), so it works here, and what is finished
is copied. The file `complete.json` is removed first and written last: it lists every file with its size and
digest, and where it stands, all of them stand. Only a run that is done is delivered; one that a quality gate
held up isn't.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sbir_toolkit.errors import InputError, StageError, explain
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.run import RunFolder, RunState
from sbir_toolkit.sources.remote import check_writable, remove_file, send_file
from sbir_toolkit.storage import digest_file, write_json

COMPLETE = "complete.json"
_STAYS = ("store", "run.lock", "run.owner")


def check_delivery(params: Params) -> None:
    """Refuse a place that nothing can be delivered to, before the run begins.

    Raises
    ------
    ParameterError
        When there is no such kind of address, or what it needs isn't installed.
    """
    if params.pipeline.publish_to is not None:
        check_writable(params.pipeline.publish_to)


def deliver_run(state: RunState, params: Params, say: Callable[[str], None]) -> None:
    """Copy a run that is done to where the parameters say; one that is there already stays.

    Raises
    ------
    StageError
        When it can't be copied whole; `resume` tries again.
    """
    to, run = params.pipeline.publish_to, state.folder
    if to is None or state.record["status"] != "done" or state.record.get("delivered"):
        return
    target = f"{to.rstrip('/')}/{run.run_id}"
    say(f"copying the run to {target}")
    try:
        files = _send(run, target)
    except InputError as wrong:
        raise StageError(
            explain(
                f"run {run.run_id} is done, but couldn't be copied whole",
                where=target,
                expected=f"all files, and {COMPLETE} beside them",
                got=str(wrong),
                todo=f"mend what hinders it, then 'sbir-toolkit resume {run.run_id}'",
            )
        ) from wrong
    state.update(delivered={"to": target, "at": time.time(), "files": files})
    say(f"copied: {files} files and {COMPLETE}")


def _send(run: RunFolder, target: str) -> int:
    remove_file(f"{target}/{COMPLETE}")
    listed = {}
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path)
        if (
            path.is_file()
            and not name.name.startswith(".")
            and name.parts[0] not in _STAYS
            and path != run.lock
        ):
            send_file(path, f"{target}/{name.as_posix()}")
            listed[name.as_posix()] = {"bytes": path.stat().st_size, "digest": digest_file(path)}
    complete = run.metrics(f".{COMPLETE}").with_name(f".{COMPLETE}")
    write_json(complete, {"run_id": run.run_id, "files": listed})
    send_file(complete, f"{target}/{COMPLETE}")
    complete.unlink()
    return len(listed)
