"""What the awards' columns look like: how values are distributed, written and dated.

None of this says whether an award is right, and all of it changes when a file isn't what it used to be: an
agency is missing, two columns are swapped, amounts are in thousands, names are in capitals, the file is last
year's. Values are counted by what they are (`CATEGORIES`), by size (amounts), by how they are written
(`WRITTEN`: capitals, digits, a legal form of companies), and held against what a value of their column can be
at all (`VALID`, `CONFORMING`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CATEGORIES = ("agency", "program", "phase", "award_year", "state")
WRITTEN = ("company", "city")
# The date that this share of awards doesn't exceed is the newest: single dates are mistyped into the future.
_NEWEST = 0.99
_LEGAL_FORM = (
    r"(?i)\b(inc|incorporated|llc|l\.l\.c|corp|corporation|ltd|limited|co|company|lp|llp|pllc|plc)\b"
)
_EDGES = (
    *(0, 1_000, 10_000, 50_000, 75_000, 100_000, 125_000, 150_000, 175_000, 200_000, 250_000, 300_000),
    *(400_000, 500_000, 750_000, 1_000_000, 1_250_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000),
)
SIZES = (
    f"below {_EDGES[0]}",
    *(f"{low:,} to {high:,}" for low, high in pairwise(_EDGES)),
    f"from {_EDGES[-1]:,}",
)
VALID = {
    "award_year": "from 1982, when the programme began, to 2100",
    "award_usd": "above zero",
    "phase": "Phase I, II or III, with or without a letter",
    "program": "SBIR or STTR",
}
CONFORMING = {
    "company": "has letters, two characters at least",
    "agency": "has letters and no digits",
    "city": "has letters, no digits, and no legal form of a company",
    "state": "two capital letters",
    "zip5": "five digits",
}
_PATTERNS = {"phase": r"^(?i:phase) (I|II|III)[A-Z]?$", "program": r"^(SBIR|STTR)$"}
_SHAPES = {
    "company": r"\p{L}.*\S|\S.*\p{L}",
    "agency": r"^[^\d]*\p{L}[^\d]*$",
    "city": r"^[^\d]*\p{L}[^\d]*$",
    "state": r"^[A-Z]{2}$",
    "zip5": r"^\d{5}$",
}
COLUMNS = tuple(dict.fromkeys((*CATEGORIES, *WRITTEN, *VALID, *CONFORMING, "award_date")))


@dataclass
class Profile:
    """Counts of what the columns hold, batch after batch.

    Attributes
    ----------
    categories
        Rows by value, for each column of `CATEGORIES`.
    ways
        Filled rows by the way their value is written, for each column of `WRITTEN`.
    sizes
        Awards by the size of their amount, see `SIZES`.
    valid, conforming
        For each column, filled rows whose value keeps the rule, and filled rows.
    """

    categories: dict[str, Counter[Any]] = field(default_factory=lambda: {c: Counter() for c in CATEGORIES})
    ways: dict[str, Counter[str]] = field(default_factory=lambda: {c: Counter() for c in WRITTEN})
    sizes: Counter[str] = field(default_factory=Counter)
    valid: dict[str, list[int]] = field(default_factory=lambda: {column: [0, 0] for column in VALID})
    conforming: dict[str, list[int]] = field(default_factory=lambda: {c: [0, 0] for c in CONFORMING})
    _amounts: list[Any] = field(default_factory=list)
    _dates: Counter[int] = field(default_factory=Counter)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count one batch; it has at least the columns `COLUMNS`."""
        for column, counted in self.categories.items():
            counted.update(dict(_values(batch[column])))
        for column, written in self.ways.items():
            texts, counts = _filled(batch[column])
            for way, count in zip(_ways(texts), counts, strict=True):
                written[way] += count
        amounts = pc.drop_null(batch["award_usd"]).to_numpy(zero_copy_only=False)
        self._amounts.append(amounts)
        places = np.searchsorted(np.array(_EDGES), amounts, side="right")
        for place, count in zip(*np.unique(places, return_counts=True), strict=True):
            self.sizes[SIZES[place]] += int(count)
        self._count_rules(batch, amounts)
        years = batch["award_year"].cast(pa.string())
        first_days = pc.binary_join_element_wise(years, "01-01", "-").cast(pa.date32())
        self._dates.update(dict(_values(pc.coalesce(batch["award_date"], first_days).cast(pa.int32()))))

    def median_amount(self, z: float) -> tuple[float, float, float, int]:
        """Give the median amount, US dollars, the ends of its interval by order statistics, and the cases."""
        amounts = np.sort(np.concatenate([np.zeros(0), *self._amounts]))
        cases = len(amounts)
        if not cases:
            return float("nan"), float("nan"), float("nan"), 0
        reach = z * np.sqrt(cases) / 2
        low = int(max(0, np.floor(cases / 2 - reach)))
        high = int(min(cases - 1, np.ceil(cases / 2 + reach)))
        return float(np.median(amounts)), float(amounts[low]), float(amounts[high]), cases

    def newest_date(self) -> float:
        """Give the date that 99 in 100 awards don't exceed, in days since 1970; NaN without any."""
        dated = {day: count for day, count in self._dates.items() if day is not None}
        left = _NEWEST * sum(dated.values())
        for day in sorted(dated):
            left -= dated[day]
            if left <= 0:
                return float(day)
        return float("nan")

    def _count_rules(self, batch: pa.RecordBatch, amounts: Any) -> None:
        self.valid["award_usd"][0] += int((amounts > 0).sum())
        self.valid["award_usd"][1] += len(amounts)
        for year, count in _values(batch["award_year"]):
            if year is not None:
                self.valid["award_year"][0] += count if 1982 <= year <= 2100 else 0
                self.valid["award_year"][1] += count
        for rules, found in ((_PATTERNS, self.valid), (_SHAPES, self.conforming)):
            for column, pattern in rules.items():
                texts, counts = _filled(batch[column])
                keeps = pc.match_substring_regex(texts, pattern)
                if column == "city":
                    keeps = pc.and_not(keeps, pc.match_substring_regex(texts, _LEGAL_FORM))
                kept = keeps.to_numpy(zero_copy_only=False).astype(bool)
                found[column][0] += int(counts[kept].sum())
                found[column][1] += int(counts.sum())


def _values(values: pa.Array) -> Iterator[tuple[Any, int]]:
    counted = pc.value_counts(values)
    return zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)


def _filled(values: pa.Array) -> tuple[pa.Array, Any]:
    """Give the distinct filled texts, trimmed, and how many rows hold each."""
    counted = pc.value_counts(pc.utf8_trim_whitespace(values))
    texts, counts = counted.field("values"), counted.field("counts")
    is_filled = pc.fill_null(pc.not_equal(texts, ""), False)
    return texts.filter(is_filled), counts.filter(is_filled).to_numpy(zero_copy_only=False)


def _ways(texts: pa.Array) -> list[str]:
    is_upper = pc.and_(pc.equal(texts, pc.utf8_upper(texts)), pc.match_substring_regex(texts, r"\p{L}"))
    features = (
        ("in capitals", is_upper),
        ("with digits", pc.match_substring_regex(texts, r"\d")),
        ("with a legal form", pc.match_substring_regex(texts, _LEGAL_FORM)),
    )
    told = [[name if has else "" for has in mask.to_pylist()] for name, mask in features]
    return [re.sub(r"^$", "plain", ", ".join(filter(None, words))) for words in zip(*told, strict=True)]
