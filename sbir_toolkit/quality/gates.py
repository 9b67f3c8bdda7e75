"""Gates: promises about quality that can be broken.

A gate holds one metric, or every slice of it, against thresholds, against what the last accepted runs
measured, or against both; the worse of the two verdicts counts. It fails when it can't be evaluated: a metric
that nobody measured, that has no value, or that rests on too few rows is no reason to go on. Only where the
input holds nothing that it could be measured on does the gate warn instead. A threshold is
the last good value: the gate warns or fails strictly below `*_below` and strictly above `*_above`. Where a
gate knows nothing but the history and the history is too short, its verdict is `unknown`: no verdict yet. A
slice that the accepted runs had and that is gone is the worst change of all.

A person may *overrule* a failed gate. Its verdict stays `fail`, because that is what was measured; nothing
follows from it, and who let it pass, and why, stands beside it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sbir_toolkit.params import Gate
from sbir_toolkit.quality.bands import Band, make_band
from sbir_toolkit.quality.wording import write_change, write_counts, write_end, write_exactly, write_value
from sbir_toolkit.tables import GATES, METRIC_HISTORY

# Metrics that compare with the last accepted run; without one nobody can measure them, and that isn't wrong.
COMPARING = ("category_drift", "amount_drift", "format_drift")

# The count of what a metric is measured on; where it is 0 there is nothing to measure, and where it isn't, a
# metric that rests on no rows is a fault.
_MEASURED_ON = {"hidden_identifier_precision": ("recipient_identifiers", "no recipient has a UEI or a DUNS")}

_SEVERITY = {"fail": 0, "warn": 1, "unknown": 2, "pass": 3}
# A slice that nothing is known of yet doesn't hide that the others keep their promise.
_SLICE_SEVERITY = {"fail": 0, "warn": 1, "pass": 2, "unknown": 3}
_GOES_ON = "continue"


@dataclass(frozen=True)
class GateReport:
    """Every gate's verdict.

    Attributes
    ----------
    table : pandas.DataFrame
        Of the contract GATES, the worst first.
    failing
        All slices that failed, the worst first, by gate; the table names only the worst.
    """

    table: pd.DataFrame
    failing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The worst verdict that isn't overruled: fail, warn, pass; unknown when no gate knows any."""
        found = set(self.table.loc[self.table["overruled"].isna(), "verdict"])
        if len(self.table) > 0 and not found:
            return "warn"
        return next((verdict for verdict in ("fail", "warn", "pass") if verdict in found), "unknown")

    @property
    def failed(self) -> list[str]:
        """Names of the gates that failed and that nobody overruled."""
        return self._named(self.table["overruled"].isna())

    @property
    def overruled(self) -> list[str]:
        """Names of the gates that failed and that somebody let pass."""
        return self._named(self.table["overruled"].notna())

    def _named(self, chosen: pd.Series[bool]) -> list[str]:
        return self.table.loc[chosen & (self.table["verdict"] == "fail"), "gate"].tolist()

    def __repr__(self) -> str:
        lines = [f"GateReport: {self._summary()}"]
        lines += [
            f"  {row['verdict']:<7} {row['gate']}: {row['reason']} -> {row['action']}"
            for row in self.table.to_dict("records")
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = self.table.to_html(
            index=False, border=0, na_rep="", float_format=lambda value: f"{value:,.4g}"
        )
        return f"<p>{html.escape(self._summary())}</p>{body}"

    def _summary(self) -> str:
        passed = f", {len(self.overruled)} overruled" if self.overruled else ""
        return f"{self.verdict}, {len(self.failed)} of {len(self.table)} gates failed{passed}"


def evaluate_gates(
    metrics: pd.DataFrame,
    gates: Mapping[str, Gate],
    history: pd.DataFrame | None = None,
    overrule: Mapping[str, str] | None = None,
) -> GateReport:
    """Judge each gate by the measured metrics.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of the contract METRICS.
    gates
        The gates by name. With `by`, each slice of that column which has at least `min_rows` rows is judged
        and the worst one reported; without, the slice 'all' is.
    history : pandas.DataFrame, optional
        Of the contract METRIC_HISTORY: what accepted earlier runs measured. None: there are none.
    overrule
        Who lets a gate pass though it fails, and why, by the gate's name.

    Returns
    -------
    GateReport
        One row for each gate, the worst first, then in the order given.
    """
    known = pd.DataFrame(columns=METRIC_HISTORY.names) if history is None else history
    rows, failing = [], {}
    for name, gate in gates.items():
        judged, failing[name] = _judge_gate(metrics, known, gate)
        row = {"gate": name, **judged}
        allowed = (overrule or {}).get(name) if row["verdict"] == "fail" else None
        acts = row["verdict"] == "fail" and allowed is None
        rows.append({**row, "action": gate.action if acts else _GOES_ON, "overruled": allowed})
    kinds = {"float64": "float64", "int64": "int64"}
    table = pd.DataFrame(rows, columns=GATES.names).astype(
        {column.name: kinds.get(column.dtype, "str") for column in GATES.columns}
    )
    order = table["verdict"].map(_SEVERITY).sort_values(kind="stable").index
    return GateReport(table.loc[order].reset_index(drop=True), failing)


@dataclass(frozen=True)
class _Finding:
    """What one slice, or the gate as a whole, comes to; `room` is what is left to the nearest limit."""

    verdict: str
    part: str
    reason: str
    value: float = math.nan
    room: float = -math.inf
    band: Band | None = None
    failing: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[int, float]:
        return _SLICE_SEVERITY[self.verdict], self.room


def _judge_gate(
    metrics: pd.DataFrame, history: pd.DataFrame, gate: Gate
) -> tuple[dict[str, Any], tuple[str, ...]]:
    measured = metrics[metrics["metric"] == gate.metric]
    now, past = _of_gate(measured, gate), _of_gate(history[history["metric"] == gate.metric], gate)
    if gate.history is not None:
        newest = past.sort_values("created", kind="stable")["run_id"].drop_duplicates()
        past = past[past["run_id"].isin(newest.tail(gate.history.max_runs))]
    unit = str(measured["unit"].iloc[0]) if len(measured) else "share"
    finding = _judge_nothing(metrics, now, gate) or _judge_slices(
        now, past, gate, unit, runs=history["run_id"].nunique()
    )
    low, high = -math.inf, math.inf
    if gate.history is not None and finding.band is not None:
        low, high = finding.band.limits(gate.history, gate.history.warn_change or gate.history.fail_change)
    row = {
        "metric": gate.metric,
        "slice": finding.part,
        "value": finding.value,
        "threshold": _describe_thresholds(gate, unit),
        "baseline": finding.band.baseline if finding.band else math.nan,
        "band_low": low if math.isfinite(low) else math.nan,
        "band_high": high if math.isfinite(high) else math.nan,
        "runs": finding.band.runs if finding.band else 0,
        "verdict": finding.verdict,
        "reason": finding.reason,
    }
    return row, finding.failing or ((finding.part,) if finding.verdict == "fail" else ())


def _of_gate(rows: pd.DataFrame, gate: Gate) -> pd.DataFrame:
    chosen = rows["slice"].str.startswith(f"{gate.by}=") if gate.by else rows["slice"] == "all"
    return rows[chosen.astype(bool)]


def _judge_nothing(metrics: pd.DataFrame, now: pd.DataFrame, gate: Gate) -> _Finding | None:
    """Warn where the input holds nothing to measure on; not where the gate asks for more rows than one."""
    basis, why = _MEASURED_ON.get(gate.metric, ("", ""))
    counted = metrics.loc[(metrics["metric"] == basis) & (metrics["slice"] == "all"), "value"]
    if gate.min_rows > 1 or now.empty or counted.empty or (counted != 0).any() or _rows_of(now).any():
        return None
    where = f"{gate.by}=*" if gate.by else "all"
    return _Finding("warn", where, f"can't be judged: {gate.metric} rests on 0 rows, as {why}")


def _judge_slices(now: pd.DataFrame, past: pd.DataFrame, gate: Gate, unit: str, *, runs: int) -> _Finding:
    where = f"{gate.by}=*" if gate.by else "all"
    is_first = gate.metric in COMPARING and runs == 0
    if is_first and not now["value"].notna().any():
        return _Finding("unknown", where, "no verdict yet: there is no accepted run to compare with")
    gone = _judge_gone(now, past, gate)
    if now.empty and not gone:
        part = f" for {where}" if gate.by else ""
        return _Finding("fail", where, f"can't be judged: {gate.metric} wasn't measured{part}")
    values = dict(iter(past.groupby("slice", sort=False)))
    enough = [row for row in now.to_dict("records") if _has_rows(row, values.get(row["slice"]), gate)]
    if not enough and not gone and gate.history and not _has_thresholds(gate) and past.empty:
        return _Finding("unknown", where, "no verdict yet: there is no accepted run to compare with")
    if not enough and not gone:
        most = _rows_of(now).max()
        reason = f"can't be judged: {gate.metric} rests on {most:,.0f} rows, fewer than {gate.min_rows:,}"
        return _Finding("fail", where, reason)
    judged = [_judge_slice(row, values.get(row["slice"]), gate, unit, len(enough)) for row in enough] + gone
    worst = min(judged, key=lambda finding: finding.rank)
    if not gate.by:
        return worst
    alike = sum(finding.verdict == worst.verdict for finding in judged)
    if worst.verdict == "pass" and alike == len(judged):
        words = f"all {len(judged)} slices by {gate.by} keep it; the closest is {worst.part}: {worst.reason}"
    else:
        which = "of those judged the closest" if worst.verdict == "pass" else "the worst"
        words = f"{alike} of {len(judged)} slices by {gate.by}, {which} is {worst.part}: {worst.reason}"
    failing = tuple(
        finding.part for finding in sorted(judged, key=lambda one: one.rank) if finding.verdict == "fail"
    )
    return _Finding(worst.verdict, worst.part, words, worst.value, worst.room, worst.band, failing)


def _judge_gone(now: pd.DataFrame, past: pd.DataFrame, gate: Gate) -> list[_Finding]:
    """Find the slices that each of the newest accepted runs had and that aren't there any more."""
    if gate.history is None or not gate.by or past.empty:
        return []
    newest = past.sort_values("created", kind="stable")["run_id"].drop_duplicates()
    if len(newest) < gate.history.min_runs:
        return []
    recent = past[past["run_id"].isin(newest.tail(gate.history.min_runs))]
    large = recent[_rows_of(recent) >= max(gate.min_rows, 1)]
    found = []
    for part, rows in large.groupby("slice", sort=True):
        if len(rows) == gate.history.min_runs and part not in set(now["slice"]):
            had = float(_rows_of(rows).iloc[-1])
            reason = f"{part} is gone; it had {had:,.0f} rows in run {rows['run_id'].iloc[-1]}"
            band = Band(len(rows), float(rows["value"].median()), 0.0)
            value = 0.0 if rows["denominator"].isna().all() else math.nan
            found.append(_Finding("fail", str(part), reason, value, -had, band))
    return found


def _rows_of(rows: pd.DataFrame) -> pd.Series[float]:
    """Out of how many rows each value is; a count is its own."""
    return rows["denominator"].astype("float64").fillna(rows["value"]).fillna(0.0)


def _has_rows(row: Mapping[Any, Any], past: pd.DataFrame | None, gate: Gate) -> bool:
    denominator, value = float(row["denominator"]), float(row["value"])
    if not gate.by and math.isnan(denominator):
        return True
    rows = value if math.isnan(denominator) else denominator
    if rows >= gate.min_rows:
        return True
    # A slice that used to be large enough is judged even when it has shrunk below that.
    return past is not None and gate.history is not None and bool((_rows_of(past) >= gate.min_rows).all())


def _judge_slice(
    row: Mapping[Any, Any], past: pd.DataFrame | None, gate: Gate, unit: str, slices: int
) -> _Finding:
    value, part = float(row["value"]), str(row["slice"])
    if not math.isfinite(value):
        return _Finding("fail", part, f"can't be judged: {gate.metric} has no value")
    fixed = _hold_against_thresholds(row, gate, unit)
    if gate.history is None:
        return fixed
    earlier = [] if past is None else [float(known) for known in past["value"].dropna()]
    band = make_band(earlier, gate.history, unit=unit, rows=float(row["denominator"]), slices=slices)
    compared = _hold_against_band(row, band, gate, unit)
    if not _has_thresholds(gate):
        return compared
    worse, other = sorted((fixed, compared), key=lambda finding: finding.rank)
    return _Finding(worse.verdict, part, f"{worse.reason}; {other.reason}", value, worse.room, band)


def _has_thresholds(gate: Gate) -> bool:
    limits = (gate.warn_below, gate.fail_below, gate.warn_above, gate.fail_above)
    return any(limit is not None for limit in limits)


def _hold_against_thresholds(row: Mapping[Any, Any], gate: Gate, unit: str) -> _Finding:
    value, part = float(row["value"]), str(row["slice"])
    fails = _rooms(value, gate.fail_below, gate.fail_above)
    warns = _rooms(value, gate.warn_below, gate.warn_above)
    for verdict, rooms in (("fail", fails), ("warn", warns)):
        for room, side, limit in rooms:
            if room < 0:
                written = f"{gate.metric} is {write_value(value, unit, limit)}{write_counts(row)}"
                return _Finding(verdict, part, f"{written}, {side} {write_exactly(limit, unit)}", value, room)
    room = min((room for room, _, _ in (*fails, *warns)), default=math.inf)
    reason = f"{gate.metric} is {write_value(value, unit)}{write_counts(row)}, within its thresholds"
    return _Finding("pass", part, reason, value, room)


def _hold_against_band(row: Mapping[Any, Any], band: Band, gate: Gate, unit: str) -> _Finding:
    rule, value, part = gate.history, float(row["value"]), str(row["slice"])
    assert rule is not None
    if band.runs < rule.min_runs:
        reason = f"no verdict yet on its change: {band.runs} of {rule.min_runs} accepted runs"
        return _Finding("unknown", part, reason, value, math.inf, band)
    change = abs(value - band.baseline)
    size = change / abs(band.baseline) if rule.is_relative and band.baseline else change
    is_relative = rule.is_relative and band.baseline != 0
    room = math.inf
    for verdict, least in (("fail", rule.fail_change), ("warn", rule.warn_change)):
        low, high = band.limits(rule, least)
        room = min(room, value - low, high - value)
        if room < 0:
            limit = low if value < low else high
            reason = (
                f"{gate.metric} is {write_value(value, unit, limit)}{write_counts(row)}, "
                f"{write_change(size, unit, is_relative=is_relative)} "
                f"{'below' if value < low else 'above'} the {write_value(band.baseline, unit)} of "
                f"{_say_runs(band.runs)}, which let pass {_describe_band(low, high, unit)}"
            )
            return _Finding(verdict, part, reason, value, room, band)
    reason = f"it keeps to the {write_value(band.baseline, unit)} of {_say_runs(band.runs)}"
    return _Finding("pass", part, reason, value, room, band)


def _say_runs(runs: int) -> str:
    return f"{runs} accepted run{'' if runs == 1 else 's'}"


def _describe_band(low: float, high: float, unit: str) -> str:
    if math.isinf(high):
        return f"at least {write_end(low, unit)}"
    if math.isinf(low):
        return f"at most {write_end(high, unit)}"
    return f"{write_end(low, unit)} to {write_end(high, unit)}"


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
    told = [f"{words} {write_exactly(limit, unit)}" for words, limit in limits if limit is not None]
    rule = gate.history
    if rule is not None:
        verbs = {"fall": "a fall", "rise": "a rise", "both": "a change"}
        for verdict, change in (("warn", rule.warn_change), ("fail", rule.fail_change)):
            if change is not None:
                size = write_change(change, unit, is_relative=rule.is_relative)
                told.append(f"{verdict} on {verbs[rule.direction]} of {size}")
    return ", ".join(told)
