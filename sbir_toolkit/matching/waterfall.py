"""The picture of an explanation: evidence as a waterfall, from the prior to the sum.

Each piece of evidence moves the sum up or down by its weight in bits, and its bar begins where the one before
ended. The runner-up's bars lie under the winner's on the same scale, and beside them stands what was
compared. As text the bars are a column of blocks, as HTML small drawings (SVG) that need no script, print as
they look and don't depend on the page around them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

import pandas as pd

ROLES = ("best", "runner-up")
LEAST_BITS = 0.05
"""A smaller weight isn't worth a bar."""
_COLOURS = {"best": ("#2a6496", "#b23a2e"), "runner-up": ("#9db8cf", "#dfa9a3")}
_WIDTH, _LANE, _LABEL = 300, 15, 42
_TEXT_WIDTH = 28
_CELL = "text-align:left;vertical-align:middle;padding:2px 8px;border-bottom:1px solid #e4e8ed"
_NOTE = "font-size:12px;color:#5b6673"


def draw_text(candidates: pd.DataFrame, pieces: pd.DataFrame) -> str:
    """Draw the waterfalls as text, one under the other.

    Parameters
    ----------
    candidates : pandas.DataFrame
        Columns role, recipient_name, place, probability.
    pieces : pandas.DataFrame
        Columns piece and own, and for each role its bits and the value compared.

    Returns
    -------
    str
    """
    low, high = _range(candidates, pieces)
    unit = _TEXT_WIDTH / (high - low)
    zero = round(-low * unit)
    lines = []
    for candidate in candidates.to_dict("records"):
        role, name, place = (str(candidate[key]) for key in ("role", "recipient_name", "place"))
        lines += ["", f"{role}: {name} ({place}), {_chance(candidate['probability'])}"]
        for piece, own, theirs, start, bits in _steps(pieces, role):
            ends = sorted((round((start - low) * unit), round((start + bits - low) * unit)))
            ends[1] = max(ends[1], ends[0] + (abs(bits) >= LEAST_BITS))
            bar = ["█" if ends[0] <= at < ends[1] else " " for at in range(_TEXT_WIDTH + 1)]
            bar[zero] = "│" if bar[zero] == " " else bar[zero]
            compared = " / ".join(text for text in (own, theirs) if text)
            lines.append(f"  {piece:<19}{bits:>+6.1f} {''.join(bar)} {compared}".rstrip())
    return "\n".join(lines)


def draw_html(candidates: pd.DataFrame, pieces: pd.DataFrame) -> str:
    """Draw the waterfalls as one HTML table, a row for each piece; parameters as for `draw_text`."""
    roles = candidates["role"].tolist()
    low, high = _range(candidates, pieces)
    steps = {role: {step[0]: step for step in _steps(pieces, role)} for role in roles}
    heads = ["evidence", "this firm", *(_head(row) for row in candidates.to_dict("records"))]
    heads.append(f"weight in bits, one under the other: {' and '.join(map(escape, roles))}")
    rows = []
    for piece in [*pieces["piece"], "sum"]:
        known = {role: steps[role][piece] for role in roles if piece in steps[role]}
        own = next((step[1] for step in known.values()), "")
        cells = [f"<b>{escape(piece)}</b>" if piece == "sum" else escape(piece), escape(own)]
        cells += [escape(known[role][2]) if role in known else "" for role in roles]
        drawn = {role: (step[3], step[4]) for role, step in known.items()}
        cells.append(_draw_row(piece, drawn, roles, low, high))
        rows.append("".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells))
    top = "".join(f'<th scope="col" style="{_CELL};{_NOTE}">{head}</th>' for head in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:13px;background:#fff;'
        f'color:#1f2933"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p style="{_NOTE}">Each bit doubles the odds, each bit against halves them. The probability is the '
        "share among all candidates and none of them, so an equal rival takes half of it.</p>"
    )


def _steps(pieces: pd.DataFrame, role: str) -> Iterator[tuple[str, str, str, float, float]]:
    """Give piece, the two values compared, where its bar begins, and its bits; the sum at the end."""
    name = role.replace("-", "_")
    total = 0.0
    for row in pieces.to_dict("records"):
        bits = row[f"{name}_bits"]
        if not pd.isna(bits):
            yield str(row["piece"]), str(row["own"]), str(row[f"{name}_value"]), total, float(bits)
            total += float(bits)
    yield "sum", "", "", 0.0, total


def _range(candidates: pd.DataFrame, pieces: pd.DataFrame) -> tuple[float, float]:
    ends = [0.0]
    for role in candidates["role"]:
        for *_, start, bits in _steps(pieces, role):
            ends += [start, start + bits]
    return min(ends) - 0.5, max(ends) + 0.5


def _head(candidate: dict[object, object]) -> str:
    return (
        f"{escape(str(candidate['role']))}: <b>{escape(str(candidate['recipient_name']))}</b>"
        f"<br>{_chance(candidate['probability'])}"
    )


def _chance(probability: object) -> str:
    value = float(str(probability))
    return "decided by a person" if math.isnan(value) else f"probability {write_probability(value)}"


def write_probability(value: float) -> str:
    """Write a probability with three decimals; only certainty itself is written as 0.000 or 1.000.

    Examples
    --------
    >>> write_probability(0.9731), write_probability(0.00003), write_probability(0.99999)
    ('0.973', '<0.001', '>0.999')
    """
    if 0.9995 <= value < 1:
        return ">0.999"
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def _draw_row(
    piece: str, drawn: dict[str, tuple[float, float]], roles: list[str], low: float, high: float
) -> str:
    unit = _WIDTH / (high - low)
    height = _LANE * len(roles) + 2
    zero = _LABEL + -low * unit
    shapes = [
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}" stroke="#8d97a3" stroke-width="1"/>'
    ]
    for role, (start, bits) in drawn.items():
        top = 1 + _LANE * roles.index(role)
        left = _LABEL + (min(start, start + bits) - low) * unit
        right = left + abs(bits) * unit
        colour = _COLOURS[role][0 if bits >= 0 else 1]
        shapes.append(
            f'<rect x="{left:.1f}" y="{top + 1}" width="{right - left:.1f}" height="{_LANE - 3}" '
            f'fill="{colour}"/>'
        )
        # A label stands where the bar points to.
        at, anchor = (right + 3, "start") if bits >= 0 else (left - 3, "end")
        shapes.append(
            f'<text x="{at:.1f}" y="{top + _LANE - 4}" font-size="11" fill="#1f2933" '
            f'text-anchor="{anchor}">{bits:+.1f}</text>'
        )
    said = "; ".join(f"{role} {bits:+.1f} bits" for role, (_, bits) in drawn.items())
    width = _WIDTH + 2 * _LABEL
    return (
        f'<svg role="img" aria-label="{escape(piece)}: {said}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">{"".join(shapes)}</svg>'
    )
