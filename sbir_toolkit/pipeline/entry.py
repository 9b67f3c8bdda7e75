"""The door through which processes of the toolkit's own come in, made quick to open.

`jsonschema`, which every notebook tool imports, compiles a grammar of international resource identifiers for
two seconds as it is imported, to check a kind of address that no notebook holds. Here the grammar is declared
absent, which `jsonschema` is prepared for. So is, in a run, the debugger that each kernel would load: nobody
can attach to the kernels of a run. Only processes that the toolkit starts itself do this, never a program
that imports it.

    python -m sbir_toolkit.pipeline.entry FD      the nursery, on a socket that it inherits
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import cast


def skip_slow_grammar() -> None:
    """Keep `jsonschema` from importing `rfc3987_syntax`, unless somebody already has."""
    _declare_absent("rfc3987_syntax")


def main() -> int:
    """Be the nursery; in what is forked from it, be the process of a stage."""
    skip_slow_grammar()
    _declare_absent("debugpy")
    if Path(sys.path[0]) == Path.cwd():
        del sys.path[0]  # notebooks import from their own folder, not from where the run was started
    from sbir_toolkit.pipeline.child import execute_job, warm_up
    from sbir_toolkit.pipeline.kernel import fork_kernel
    from sbir_toolkit.pipeline.nursery import serve

    warm_up()
    job = serve(socket.socket(fileno=int(sys.argv[1])))
    return execute_job(job, fork_kernel()) if job else 0


def _declare_absent(module: str) -> None:
    absent = cast(ModuleType, None)  # what the import system itself takes for "there is no such module"
    sys.modules.setdefault(module, absent)


if __name__ == "__main__":
    sys.exit(main())
