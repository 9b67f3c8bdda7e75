"""States and ZIP codes in one spelling.

One edition of the awards spells a state out (`California`), another gives its code, and ZIP codes come with
and without their last four digits, cut, or as numbers without the leading zero of New England. Both functions
take a whole column (a pyarrow array or a pandas Series of text) and give one of the same kind back.
"""

from __future__ import annotations

import functools
import re

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.identifiers import Column, give_back, take_text
from sbir_toolkit.sources.values import map_distinct

STATES = {
    "ALABAMA": "AL", "ALASKA": "AK", "ARIZONA": "AZ", "ARKANSAS": "AR", "CALIFORNIA": "CA",
    "COLORADO": "CO", "CONNECTICUT": "CT", "DELAWARE": "DE", "DISTRICT OF COLUMBIA": "DC", "FLORIDA": "FL",
    "GEORGIA": "GA", "HAWAII": "HI", "IDAHO": "ID", "ILLINOIS": "IL", "INDIANA": "IN", "IOWA": "IA",
    "KANSAS": "KS", "KENTUCKY": "KY", "LOUISIANA": "LA", "MAINE": "ME", "MARYLAND": "MD",
    "MASSACHUSETTS": "MA", "MICHIGAN": "MI", "MINNESOTA": "MN", "MISSISSIPPI": "MS", "MISSOURI": "MO",
    "MONTANA": "MT", "NEBRASKA": "NE", "NEVADA": "NV", "NEW HAMPSHIRE": "NH", "NEW JERSEY": "NJ",
    "NEW MEXICO": "NM", "NEW YORK": "NY", "NORTH CAROLINA": "NC", "NORTH DAKOTA": "ND", "OHIO": "OH",
    "OKLAHOMA": "OK", "OREGON": "OR", "PENNSYLVANIA": "PA", "RHODE ISLAND": "RI", "SOUTH CAROLINA": "SC",
    "SOUTH DAKOTA": "SD", "TENNESSEE": "TN", "TEXAS": "TX", "UTAH": "UT", "VERMONT": "VT", "VIRGINIA": "VA",
    "WASHINGTON": "WA", "WEST VIRGINIA": "WV", "WISCONSIN": "WI", "WYOMING": "WY", "AMERICAN SAMOA": "AS",
    "GUAM": "GU", "NORTHERN MARIANA ISLANDS": "MP", "PUERTO RICO": "PR", "VIRGIN ISLANDS": "VI",
    "FEDERATED STATES OF MICRONESIA": "FM", "MARSHALL ISLANDS": "MH", "PALAU": "PW",
}  # fmt: skip

_OTHER_NAMES = {
    "WASHINGTON DC": "DC",
    "WASHINGTON D C": "DC",
    "COMMONWEALTH OF THE NORTHERN MARIANA ISLANDS": "MP",
    "COMMONWEALTH OF PUERTO RICO": "PR",
    "US VIRGIN ISLANDS": "VI",
    "U S VIRGIN ISLANDS": "VI",
    "VIRGIN ISLANDS OF THE UNITED STATES": "VI",
    "VIRGIN ISLANDS OF THE US": "VI",
    "UNITED STATES VIRGIN ISLANDS": "VI",
    "MICRONESIA": "FM",
    "REPUBLIC OF PALAU": "PW",
}
_CODES = {**STATES, **_OTHER_NAMES, **{code: code for code in STATES.values()}}


def normalise_state(values: Column) -> Column:
    """Give states and territories as two-letter codes; other text is kept, trimmed.

    Parameters
    ----------
    values : pyarrow.StringArray or pandas.Series of str
        As filed, code or full name.

    Returns
    -------
    the same kind

    Examples
    --------
    >>> normalise_state(pa.array(["California", "d.c.", "Ma", "Ontario"])).to_pylist()
    ['CA', 'DC', 'MA', 'Ontario']
    """
    return give_back(values, map_distinct(take_text(values), _find_state, pa.string()))


def normalise_zip5(values: Column) -> Column:
    """Give the first five digits of ZIP codes.

    Parameters
    ----------
    values : pyarrow.StringArray or pandas.Series of str
        As filed: `12345`, `12345-6789`, `123456789`, `12345-`, or numbers that lost a leading zero.

    Returns
    -------
    the same kind
        5 digits; null where the text is no US ZIP code.

    Examples
    --------
    >>> normalise_zip5(pa.array(["02139-4307", "2139.0", "12345-", "K1A 0B1", "00000"])).to_pylist()
    ['02139', '02139', '12345', None, None]
    """
    texts = take_text(values)
    is_plain = pc.and_(pc.equal(pc.binary_length(texts), 5), pc.ascii_is_decimal(texts))
    if not pc.all(is_plain).as_py():
        odd = pc.if_else(is_plain, None, texts)
        texts = pc.if_else(is_plain, texts, map_distinct(odd, _mend_zip, pa.string()))
    return give_back(values, pc.if_else(pc.equal(texts, "00000"), None, texts))


def _find_state(text: str) -> str:
    plain = " ".join(re.sub(r"[^A-Z0-9]+", " ", text.upper()).split())
    return _CODES.get(plain) or _CODES.get(plain.replace(" ", "")) or text


@functools.lru_cache(maxsize=1 << 16)
def _mend_zip(text: str) -> str | None:
    text = re.sub(r"\.0*$", "", text)
    if found := re.match(r"([0-9]{5})(?:$|[-\s]|[0-9]{4}(?:$|[^0-9]))", text):
        return found[1]
    if re.fullmatch(r"[0-9]{3,4}|[0-9]{7,8}", text):
        return text.zfill(5 if len(text) < 5 else 9)[:5]
    return None
