"""What follows from the gates' verdicts, in words and as an exit code.

A failed gate's action says how far the consequence reaches: `continue` (it is said, nothing else), `block`
(stages that ask for this gate don't run), `stop` (nothing more runs). A warning never holds anything up. The
decision is only said here; the pipeline carries it out.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from sbir_toolkit.errors import GateError
from sbir_toolkit.quality.gates import GateReport

Overall = Literal["continue", "block", "stop"]

_CONSEQUENCES = {
    "continue": "the run goes on",
    "block": "stages that ask for this gate don't run",
    "stop": "the run stops",
}


@dataclass(frozen=True)
class Decision:
    """What the gates' verdicts lead to.

    Attributes
    ----------
    actions
        The action by gate.
    overall
        The farthest-reaching of them.
    exit_code
        What the command line ends with: 0, or 3 when something is blocked or stopped.
    sentences
        One for each gate that didn't pass, saying why and what follows; at least one sentence.
    """

    actions: Mapping[str, str]
    overall: Overall
    exit_code: int
    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([f"Decision: {self.overall}", *(f"  {sentence}" for sentence in self.sentences)])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        return f"<p>Decision: <strong>{html.escape(self.overall)}</strong></p><ul>{items}</ul>"


def decide(report: GateReport) -> Decision:
    """Say what follows from each gate's verdict, and from all together.

    Parameters
    ----------
    report
        From `evaluate_gates`.

    Returns
    -------
    Decision
        Depends on the report alone.
    """
    rows = report.table.to_dict("records")
    actions = {str(row["gate"]): str(row["action"]) for row in rows}
    taken = set(actions.values())
    overall: Overall = "stop" if "stop" in taken else "block" if "block" in taken else "continue"
    sentences = tuple(_say(row) for row in rows if row["verdict"] != "pass")
    if not sentences:
        sentences = (
            f"All {len(rows)} gates passed; the run goes on." if rows else "No gate is set; the run goes on.",
        )
    exit_code = 0 if overall == "continue" else GateError.exit_code
    return Decision(MappingProxyType(actions), overall, exit_code, sentences)


def _say(row: Mapping[Any, Any]) -> str:
    reason = str(row["reason"])
    consequence = _CONSEQUENCES[str(row["action"])]
    return f"Gate {row['gate']}: {row['verdict']}. {reason[:1].upper()}{reason[1:]}; {consequence}."
