"""Gates: promises about quality that can be broken.

A gate holds one metric, or every slice of it, against thresholds. It fails when it can't be evaluated: a
metric that nobody measured, that has no value, or that rests on too few rows is no reason to go on. A
threshold is the last good value: the gate warns or fails strictly below `*_below` and strictly above
`*_above`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.params import Gate
from sbir_toolkit.tables import GATES

_SEVERITY = {"fail": 0, "unknown": 1, "warn": 2, "pass": 3}
_GOES_ON = "continue"


@dataclass(frozen=True)
class GateReport:
    """Every gate's verdict.

    Attributes
    ----------
    table : pandas.DataFrame
        Of the contract GATES, the worst first.
    """

    table: pd.DataFrame

    @property
    def verdict(self) -> str:
        """The worst verdict: fail, warn or pass; unknown when there is no gate at all."""
        return str(self.table["verdict"].iloc[0]) if len(self.table) else "unknown"

    @property
    def failed(self) -> list[str]:
        """Names of the gates that failed."""
        return self.table.loc[self.table["verdict"] == "fail", "gate"].tolist()

    def blocks(self, gate: str) -> bool:
        """Tell whether stages that ask for this gate must not run.

        Raises
        ------
        ParameterError
            When there is no such gate: a condition that can't be checked isn't met silently.
        """
        rows = self.table[self.table["gate"] == gate]
        if rows.empty:
            raise ParameterError(
                explain(
                    f"there is no gate '{gate}'",
                    where="quality.gates",
                    expected=f"one of {', '.join(sorted(self.table['gate']))}",
                    todo="name an existing gate or declare this one",
                )
            )
        return str(rows["action"].iloc[0]) in {"block", "stop"}

    def __repr__(self) -> str:
        lines = [f"GateReport: {self.verdict}, {len(self.failed)} of {len(self.table)} gates failed"]
        lines += [
            f"  {row['verdict']:<7} {row['gate']}: {row['reason']} -> {row['action']}"
            for row in self.table.to_dict("records")
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        words = f"{self.verdict}: {len(self.failed)} of {len(self.table)} gates failed"
        body = self.table.to_html(
            index=False, border=0, na_rep="", float_format=lambda value: f"{value:,.4g}"
        )
        return f"<p>{html.escape(words)}</p>{body}"


def evaluate_gates(metrics: pd.DataFrame, gates: Mapping[str, Gate]) -> GateReport:
    """Judge each gate by the measured metrics.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of the contract METRICS.
    gates
        The gates by name. With `by`, each slice of that column which has at least `min_rows` rows is judged
        and the worst one reported; without, the slice 'all' is.

    Returns
    -------
    GateReport
        One row for each gate, the worst first, then in the order given.
    """
    rows = [_judge_gate(metrics, name, gate) for name, gate in gates.items()]
    table = pd.DataFrame(rows, columns=GATES.names).astype(
        {column.name: "float64" if column.dtype == "float64" else "str" for column in GATES.columns}
    )
    order = table["verdict"].map(_SEVERITY).sort_values(kind="stable").index
    return GateReport(table.loc[order].reset_index(drop=True))


def _judge_gate(metrics: pd.DataFrame, name: str, gate: Gate) -> dict[str, Any]:
    measured = metrics[metrics["metric"] == gate.metric]
    slices = measured["slice"].str.startswith(f"{gate.by}=") if gate.by else measured["slice"] == "all"
    candidates = measured[slices]
    where = f"{gate.by}=*" if gate.by else "all"
    unit = str(candidates["unit"].iloc[0]) if len(candidates) else "share"

    def row(verdict: str, part: str, value: float, reason: str) -> dict[str, Any]:
        action = gate.action if verdict == "fail" else _GOES_ON
        threshold = _describe_thresholds(gate, unit)
        return dict(
            zip(
                GATES.names, (name, gate.metric, part, value, threshold, verdict, action, reason), strict=True
            )
        )

    if candidates.empty:
        part = f" for {where}" if gate.by else ""
        return row("fail", where, math.nan, f"can't be judged: {gate.metric} wasn't measured{part}")
    enough = candidates[~(candidates["denominator"] < gate.min_rows)]
    if enough.empty:
        most = candidates["denominator"].max()
        reason = f"can't be judged: {gate.metric} rests on {most:,.0f} rows, fewer than {gate.min_rows:,}"
        return row("fail", where, math.nan, reason)
    judged = [_judge_value(gate, measured) for measured in enough.to_dict("records")]
    verdict, _, part, value, reason = min(judged, key=lambda found: (_SEVERITY[found[0]], found[1]))
    if gate.by and verdict == "pass":
        reason = f"all {len(enough)} slices by {gate.by} keep it; the closest is {part}: {reason}"
    elif gate.by:
        outside = sum(found[0] == verdict for found in judged)
        reason = f"{outside} of {len(enough)} slices by {gate.by}, the worst is {part}: {reason}"
    return row(verdict, part, value, reason)


def _judge_value(gate: Gate, measured: Mapping[Any, Any]) -> tuple[str, float, str, float, str]:
    """Judge one slice: verdict, room left to the nearest threshold of that verdict, slice, value, reason."""
    value, unit, part = float(measured["value"]), str(measured["unit"]), str(measured["slice"])
    if not math.isfinite(value):
        return "fail", -math.inf, part, math.nan, f"can't be judged: {gate.metric} has no value"
    fails = _rooms(value, gate.fail_below, gate.fail_above)
    warns = _rooms(value, gate.warn_below, gate.warn_above)
    for verdict, rooms in (("fail", fails), ("warn", warns)):
        for room, side, limit in rooms:
            if room < 0:
                written = _write(value, unit, limit)
                reason = (
                    f"{gate.metric} is {written}{_counts(measured)}, {side} {_write_exactly(limit, unit)}"
                )
                return verdict, room, part, value, reason
    reason = f"{gate.metric} is {_write(value, unit)}{_counts(measured)}, within its thresholds"
    return "pass", min(room for room, _, _ in (*fails, *warns)), part, value, reason


def _rooms(value: float, below: float | None, above: float | None) -> list[tuple[float, str, float]]:
    """Give the distance to each threshold, negative beyond it, with the side and the threshold."""
    rooms = []
    if below is not None:
        rooms.append((value - below, "below", below))
    if above is not None:
        rooms.append((above - value, "above", above))
    return rooms


def _describe_thresholds(gate: Gate, unit: str) -> str:
    limits = (
        ("warn below", gate.warn_below),
        ("fail below", gate.fail_below),
        ("warn above", gate.warn_above),
        ("fail above", gate.fail_above),
    )
    return ", ".join(f"{words} {_write_exactly(limit, unit)}" for words, limit in limits if limit is not None)


def _write_exactly(value: float, unit: str) -> str:
    return _with_digits(value, unit, 12)


def _write(value: float, unit: str, *limits: float) -> str:
    """Write a value with its unit; 99.96 % isn't 100 %, and what is beyond a limit doesn't look like it."""
    apart = [limit for limit in (0.0, 1.0, *limits) if limit != value]
    for digits in range(3, 17):
        text = _with_digits(value, unit, digits)
        if all(text != _with_digits(limit, unit, digits) for limit in apart):
            return text
    return _with_digits(value, unit, 17)


def _with_digits(value: float, unit: str, digits: int) -> str:
    if unit == "share":
        return f"{value * 100:.{digits}g} %"
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.{digits}g}"
    return text if unit == "count" else f"{text} {unit}"


def _counts(measured: Mapping[Any, Any]) -> str:
    numerator, denominator = float(measured["numerator"]), float(measured["denominator"])
    if math.isnan(numerator) or math.isnan(denominator):
        return ""
    return f" ({numerator:,.0f} of {denominator:,.0f})"
