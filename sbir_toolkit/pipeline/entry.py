"""The door through which processes of the toolkit's own come in, made quick to open.

`jsonschema`, which every notebook tool imports, compiles a grammar of international resource identifiers for
two seconds as it is imported, to check a kind of address that no notebook holds. A process that is started
for each stage can't afford that, so here the grammar is declared absent, which `jsonschema` is prepared for.
Only processes that the toolkit starts itself do this, never a program that imports it.

    python -m sbir_toolkit.pipeline.entry JOB.json
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast


def skip_slow_grammar() -> None:
    """Keep `jsonschema` from importing `rfc3987_syntax`, unless somebody already has."""
    absent = cast(ModuleType, None)  # what the import system itself takes for "there is no such module"
    sys.modules.setdefault("rfc3987_syntax", absent)


def main() -> int:
    """Execute the notebook of the job that the command line names."""
    skip_slow_grammar()
    from sbir_toolkit.pipeline.child import execute_job

    return execute_job(sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
