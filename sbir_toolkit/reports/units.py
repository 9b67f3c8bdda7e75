"""Numbers as people read them: 81.4 %, $3.2 million, 2 min 05 s, 1.46 GB.

Charts, tables and pages all write numbers through these functions, so that one quantity looks the same
everywhere. What isn't known is written as a dash, never as zero. A share is never rounded to 0 % or 100 %
unless it is exactly that.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Literal

DASH = "\u2013"

Unit = Literal[
    "badge", "bytes", "change", "count", "day", "digest", "moment", "number", "plain", "probability", "rate",
    "seconds", "share", "step", "text", "usd", "weights",
]  # fmt: skip
_SHARES = ("_rate", "_share", "_precision", "_recall", "_coverage", "_calibration_error", "_conserved")
# Who a piece of evidence comes from, and what the figure beside the company is.
_SURE = {"told by": ("odds", ",.0f"), "doubted by": ("probability", ".2f")}
_ID_SHOWN = 8


def format_count(value: float | None) -> str:
    """Write a whole number with thousands separators.

    Examples
    --------
    >>> format_count(219500)
    '219,500'
    """
    return DASH if value is None or math.isnan(value) else f"{value:,.0f}"


def format_number(value: float | None) -> str:
    """Write a number of unknown kind: whole ones in full, others with four significant digits.

    Examples
    --------
    >>> format_number(0.812345), format_number(12.0), format_number(8029.68), format_number(1234567.8)
    ('0.8123', '12', '8,030', '1,234,568')
    """
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "infinite"
    if value == round(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_share(value: float | None) -> str:
    """Write a share (0..1) in percent, with more digits within a point of nothing or of everything.

    Examples
    --------
    >>> [format_share(share) for share in (0.8136, 1.0, 0.99996, 0.0004, 0.0017)]
    ['81.4 %', '100 %', '99.996 %', '0.04 %', '0.17 %']
    """
    return DASH if value is None or math.isnan(value) else f"{_percent(value, _digits(value))} %"


def format_change(share: float | None) -> str:
    """Write by what share something changed, in whole percent and with its sign.

    Examples
    --------
    >>> [format_change(share) for share in (0.301, -0.12, 10.44, 0.0)]
    ['+30 %', '-12 %', '+1,044 %', '+0 %']
    """
    return DASH if share is None or math.isnan(share) else f"{100 * share:+,.0f} %"


def format_step(seconds: float | None) -> str:
    """Write by how much time something changed, with its sign.

    Examples
    --------
    >>> [format_step(seconds) for seconds in (1.5, -0.25)]
    ['+1.50 s', '-250 ms']
    """
    return ("+" if seconds is not None and seconds > 0 else "") + format_seconds(seconds)


def format_shares(*shares: float | None) -> list[str]:
    """Write shares that belong together, such as one and its interval, with as many digits each.

    They have the digits that tell them apart, and more only where one would be rounded to nothing or to all.

    Examples
    --------
    >>> format_shares(0.9991, 0.997, 1.0)
    ['99.91 %', '99.70 %', '100 %']
    >>> format_shares(0.999481, 0.997068, 0.999908)
    ['99.95 %', '99.71 %', '99.99 %']
    """
    known = [share for share in shares if share is not None and not math.isnan(share)]
    digits = _digits_together(known)
    return [
        DASH if share is None or math.isnan(share) else f"{_percent(share, digits)} %" for share in shares
    ]


def format_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Write a share with its interval, or alone where it has none.

    Examples
    --------
    >>> format_interval(0.814, 0.806, 0.821)
    '81.4 % (80.6 to 82.1)'
    """
    told, *ends = format_shares(value, low, high)
    if DASH in (told, *ends):
        return format_share(value)
    return f"{told} ({' to '.join(end.removesuffix(' %') for end in ends)})"


def format_probability(value: float | None) -> str:
    """Write a probability with three decimals; only certainty itself is written as 1.000.

    Examples
    --------
    >>> format_probability(0.9731), format_probability(0.99999)
    ('0.973', '>0.999')
    """
    if value is None or math.isnan(value):
        return DASH
    if 0.9995 <= value < 1:
        return ">0.999"
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def format_weights(evidence: str | float | None) -> str:
    """Write pieces of evidence with their weights, in bits, the heaviest first; what is no JSON stays.

    Examples
    --------
    >>> format_weights('{"prior": -6.9, "name": 9.7, "legal form": 1.5, "told by": "9084bea8 1580.28"}')
    'name +9.7, prior -6.9, legal form +1.5, told by company 9084bea8 (odds 1,580)'
    """
    if not isinstance(evidence, str):
        return DASH
    if not evidence.startswith("{"):
        return evidence
    pieces = json.loads(evidence)
    weights = {piece: bits for piece, bits in pieces.items() if isinstance(bits, int | float)}
    told = [f"{piece} {weights[piece]:+.1f}" for piece in sorted(weights, key=lambda one: -abs(weights[one]))]
    return ", ".join(told + [_said(piece, pieces[piece]) for piece in pieces if piece not in weights])


def _said(piece: str, by: str) -> str:
    """Write who told of a recipient or doubts it, with how sure that is."""
    who, _, figure = str(by).partition(" ")
    if piece not in _SURE or not figure:
        return f"{piece} {by}"
    word, form = _SURE[piece]
    return f"{piece} company {who[:_ID_SHOWN]} ({word} {float(figure):{form}})"


def format_usd(value: float | None) -> str:
    """Write US dollars in full, without cents.

    Examples
    --------
    >>> format_usd(1234567.89), format_usd(-50)
    ('$1,234,568', '-$50')
    """
    if value is None or math.isnan(value):
        return DASH
    return f"{'-' if value < 0 else ''}${abs(value):,.0f}"


def format_large_usd(value: float | None) -> str:
    """Write a sum of US dollars in words that can be read aloud.

    Examples
    --------
    >>> format_large_usd(3_214_000_000), format_large_usd(950_000)
    ('$3.21 billion', '$950,000')
    """
    if value is None or math.isnan(value):
        return DASH
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= 0.9995 * size:
            return f"{'-' if value < 0 else ''}${_three_digits(abs(value) / size)} {word}"
    return format_usd(value)


def format_seconds(value: float | None) -> str:
    """Write a time in the unit that suits its size.

    Examples
    --------
    >>> [format_seconds(s) for s in (0, 0.0000042, 0.0421, 8.416, 125, 3725)]
    ['0 s', '4.20 µs', '42.1 ms', '8.42 s', '2 min 05 s', '1 h 02 min']
    """
    if value is None or math.isnan(value):
        return DASH
    if value < 0:
        return f"-{format_seconds(-value)}"
    if value == 0:
        return "0 s"
    for limit, size, unit in ((1e-6, 1e-9, "ns"), (1e-3, 1e-6, "\u00b5s"), (1, 1e-3, "ms"), (60, 1, "s")):
        if value < 0.999 * limit:
            return f"{_three_digits(value / size)} {unit}"
    seconds = round(value)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    minutes = round(value / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def format_bytes(value: float | None) -> str:
    """Write a size in decimal units.

    Examples
    --------
    >>> format_bytes(1_460_000_000), format_bytes(512)
    ('1.46 GB', '512 B')
    """
    if value is None or math.isnan(value):
        return DASH
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= 0.9995 * size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{value:.0f} B"


def format_rate(value: float | None) -> str:
    """Write a number of rows per second.

    Examples
    --------
    >>> format_rate(12345.6)
    '12,346/s'
    """
    return DASH if value is None or math.isnan(value) else f"{format_number(value)}/s"


def metric_unit(metric: str) -> Unit:
    """Tell from a metric's name what its value is.

    Examples
    --------
    >>> metric_unit("match_rate"), metric_unit("matched_usd"), metric_unit("awards_conserved")
    ('share', 'usd', 'share')
    """
    if metric.endswith(_SHARES):
        return "share"
    if metric.endswith("_date"):
        return "day"
    return "usd" if metric.endswith("_usd") else "number"


def format_metric(metric: str, value: float | None) -> str:
    """Write a metric's value in the unit that its name tells.

    Examples
    --------
    >>> format_metric("match_rate", 0.8136), format_metric("matched_usd", 2.1e9)
    ('81.4 %', '$2.10 billion')
    """
    unit = metric_unit(metric)
    if unit == "share":
        return format_share(value)
    if unit == "day":
        return format_day(value)
    return format_large_usd(value) if unit == "usd" else format_number(value)


def format_day(days: float | None) -> str:
    """Write a date that is given in days since 1970.

    Examples
    --------
    >>> format_day(18_262), format_day(None)
    ('2020-01-01', '\u2013')
    """
    if days is None or math.isnan(days):
        return DASH
    return (date(1970, 1, 1) + timedelta(days=round(days))).isoformat()


def format_moment(epoch_s: float | None) -> str:
    """Write a moment in time, given as seconds since 1970, in UTC.

    Examples
    --------
    >>> format_moment(1795449600)
    '2026-11-23 16:00 UTC'
    """
    if epoch_s is None or epoch_s is None or math.isnan(epoch_s):
        return DASH
    return datetime.fromtimestamp(epoch_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _digits(share: float) -> int:
    percent = 100 * share
    distance = min(abs(percent), abs(100 - percent))
    if distance == 0:
        return 0
    digits = max(1, min(6, 1 - math.floor(math.log10(distance))))
    written = f"{percent:.{digits}f}"
    return max(1, digits - (len(written) - len(written.rstrip("0"))))


def _digits_together(shares: list[float]) -> int:
    spread = 100 * (max(shares) - min(shares)) if shares else 0.0
    if spread == 0:
        return max((_digits(share) for share in shares), default=0)
    digits = max(1, min(6, 1 - math.floor(math.log10(spread))))
    while digits < 6 and any(_rounds_away(share, digits) for share in shares):
        digits += 1
    return digits


def _rounds_away(share: float, digits: int) -> bool:
    return share not in {0, 1} and float(f"{100 * share:.{digits}f}") in {0, 100}


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{0 if share in (0, 1) else digits}f}"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
