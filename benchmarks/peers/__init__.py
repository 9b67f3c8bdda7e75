"""Other tools on the same task, each one file, each in an environment of its own, all with one command line.

`python benchmarks/peers/<peer>.py AWARDS RECIPIENTS OUT` reads the files, joins identifiers (`companies.py`,
the same for all), does what its tool's guide says on name and place, and writes one row for each award
record: row, company, recipient, tier, probability, is_accepted, is_tried. `<peer>.in` names what it needs,
`<peer>.lock` the versions with digests; `make peer-<peer>` makes its environment in `.venv-peers/<peer>`.
Two more, `asv` and `otava`, are asked about series of times instead (`regression_rules`).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from sbir_toolkit.errors import ToolkitError, explain

HERE = Path(__file__).parent
PEERS = {
    "floor": "DuckDB, identifiers only: the floor",
    "sql": "DuckDB SQL: exact core name and place, then Jaro-Winkler in blocks",
    "trigrams": "TF-IDF of character trigrams (scikit-learn, sp_matmul_rs) and state",
    "splink_recipe": "Splink, its recipe for business names",
    "token_set": "rapidfuzz token_set_ratio, brute force on a slice",
}
"""Each peer's name with what it is."""


def peer_command(peer: str) -> list[str]:
    """Give the words that start a peer's command, to be followed by AWARDS RECIPIENTS OUT.

    Raises
    ------
    ToolkitError
        When its environment isn't there.
    """
    return [str(peer_python(peer)), str(HERE / f"{peer}.py")]


def peer_python(peer: str) -> Path:
    """Give the interpreter of a peer's environment.

    Raises
    ------
    ToolkitError
        When its environment isn't there.
    """
    if not has_environment(peer):
        problem = f"the peer '{peer}' has no environment"
        todo = f"'make peer-{peer}' makes it; pip's index must be reachable for that"
        raise ToolkitError(explain(problem, where=_environment(peer), todo=todo))
    return _environment(peer) / "bin" / "python"


def has_environment(peer: str) -> bool:
    """Say whether a peer's environment was made to its end."""
    return (_environment(peer) / ".ready").exists()


def peer_versions(peer: str) -> dict[str, str]:
    """Look up what is installed in a peer's environment."""
    command = [str(peer_python(peer)), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {package["name"]: package["version"] for package in listed}


def _environment(peer: str) -> Path:
    return HERE.parents[1] / ".venv-peers" / peer
