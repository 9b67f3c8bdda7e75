"""What follows from the gates' verdicts, in words and as an exit code.

A failed gate's action says how far the consequence reaches: `continue` (it is said, nothing else),
`quarantine` (the failing awards are set aside, the rest goes on), `degrade` (what comes after bears a mark),
`block` (the stages it names, or those that ask for the gates, don't run), `stop` (nothing more runs). A
warning never holds anything up, and neither does a failed gate that somebody overruled. The decision is only
said here; the pipeline carries it out.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sbir_toolkit.errors import GateError
from sbir_toolkit.quality.gates import GateReport

# The farthest-reaching last.
_CONSEQUENCES = {
    "continue": "the run goes on",
    "quarantine": "the awards that fail it are set aside, the rest goes on",
    "degrade": "what comes after it is marked as degraded",
    "block": "stages that ask for this gate don't run",
    "stop": "the run stops",
}
ACTIONS = tuple(_CONSEQUENCES)


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
    marks
        What later outputs must bear: a sentence for each gate that degrades them.
    verdicts
        All verdicts, the worst first.
    failures
        The sentences on the gates that failed.
    """

    actions: Mapping[str, str]
    overall: str
    exit_code: int
    sentences: tuple[str, ...]
    marks: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def gates(self, action: str) -> list[str]:
        """Name the gates from which this action follows."""
        return [gate for gate, taken in self.actions.items() if taken == action]

    def __repr__(self) -> str:
        return "\n".join(
            [f"Decision: {self.overall}. {self.headline}", *(f"  {sentence}" for sentence in self.sentences)]
        )

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        words = f"<p><strong>{html.escape(self.headline)}</strong></p>"
        return f'<div class="box {self._looks}">{words}</div><ul>{items}</ul>'

    @property
    def headline(self) -> str:
        """Whether it is good and what follows, in one line."""
        failed = len([1 for verdict in self.verdicts if verdict == "fail"])
        warned = len([1 for verdict in self.verdicts if verdict == "warn"])
        if not failed:
            return f"Good: no gate failed, {warned} warned; the run goes on."
        if self.overall == "continue":
            return f"Not good: {failed} of {len(self.verdicts)} gates failed; the run goes on all the same."
        words = "; ".join(
            f"{_CONSEQUENCES[action]} ({', '.join(self.gates(action))})"
            for action in reversed(ACTIONS[1:])
            if self.gates(action)
        )
        return f"Not good: {failed} of {len(self.verdicts)} gates failed. {words[:1].upper()}{words[1:]}."

    @property
    def _looks(self) -> str:
        if self.overall in {"block", "stop"}:
            return "bad"
        return "warn" if {"fail", "warn"} & set(self.verdicts) else "good"


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
    rows = report.table.astype(object).where(report.table.notna(), None).to_dict("records")
    actions = {str(row["gate"]): str(row["action"]) for row in rows}
    overall = max(actions.values(), key=ACTIONS.index, default="continue")
    failures = tuple(_say(row) for row in rows if row["verdict"] == "fail")
    sentences = failures + tuple(_say(row) for row in rows if row["verdict"] == "warn")
    undecided = ", ".join(str(row["gate"]) for row in rows if row["verdict"] == "unknown")
    if undecided:
        sentences += (f"No verdict yet, for want of accepted runs to compare with: {undecided}.",)
    if not sentences:
        sentences = (
            f"All {len(rows)} gates passed; the run goes on." if rows else "No gate is set; the run goes on.",
        )
    marks = tuple(f"gate {row['gate']} failed: {row['reason']}" for row in rows if row["action"] == "degrade")
    exit_code = GateError.exit_code if overall in {"block", "stop"} else 0
    verdicts = tuple(str(row["verdict"]) for row in rows)
    return Decision(MappingProxyType(actions), overall, exit_code, sentences, marks, verdicts, failures)


def _say(row: Mapping[Any, Any]) -> str:
    reason = str(row["reason"])
    consequence = _CONSEQUENCES[str(row["action"])]
    if row["overruled"]:
        consequence = f"overruled by {row['overruled']}; {consequence}"
    return f"Gate {row['gate']}: {row['verdict']}. {reason[:1].upper()}{reason[1:]}; {consequence}."
