"""Contract and grant numbers as keys: the same award, however its number is written.

SBIR.gov files under `Contract` whatever the agency gave: a procurement number (PIID), a grant's number
(FAIN), a grant's number as the agency itself writes it, or junk. USAspending's award archives hold PIID and
FAIN. A key is what both sides have in common: letters and digits in upper case, without the number of a
modification; of a grant of the NIH only activity, institute and serial number, for the archives leave out
the type before it and the year behind it.

A number of digits alone (NSF's `2317077`, the USDA's `2015-33610-23485`) is unique only within its agency,
so its key begins with the agency's code. What is too short to be unique (`NAS 96-1`, an order's `0001`) has
none.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.identifiers import normalise_contract
from sbir_toolkit.sources.values import map_distinct

_SHORTEST = 8
_SHORTEST_OF_AGENCY = 6
_SERIAL_DIGITS = 6
# A procurement number has 17 characters at most; what is longer ends with a modification's number.
_MODIFIED = r"^([A-Z0-9]{13,17})[AP][0-9]{5}$"
_NIH = r"^[1-9]?([A-Z][A-Z0-9]{2}[A-Z]{2})([0-9]{5,6})(?:[0-9]{2}(?:[AS][0-9]){0,2})?$"
_NSF = r"^[A-Z]{2,4}([0-9]{7})$"
_ONE_DIGIT = "^(?:0+|1+|2+|3+|4+|5+|6+|7+|8+|9+)$"
_NSF_CODE = "049"
AGENCY_CODES = {
    "DEPARTMENT OF AGRICULTURE": "012",
    "DEPARTMENT OF COMMERCE": "013",
    "DEPARTMENT OF THE INTERIOR": "014",
    "NUCLEAR REGULATORY COMMISSION": "031",
    "NATIONAL SCIENCE FOUNDATION": _NSF_CODE,
    "ENVIRONMENTAL PROTECTION AGENCY": "068",
    "DEPARTMENT OF TRANSPORTATION": "069",
    "DEPARTMENT OF HOMELAND SECURITY": "070",
    "DEPARTMENT OF HEALTH AND HUMAN SERVICES": "075",
    "NATIONAL AERONAUTICS AND SPACE ADMINISTRATION": "080",
    "DEPARTMENT OF ENERGY": "089",
    "DEPARTMENT OF EDUCATION": "091",
    "DEPARTMENT OF DEFENSE": "097",
    "DEPARTMENT OF WAR": "097",
}
"""The Treasury's codes of the agencies that award under SBIR and STTR."""


def contract_keys(numbers: pa.Array, agencies: pa.Array) -> pa.Array:
    """Give the keys of contract and grant numbers.

    Parameters
    ----------
    numbers : pyarrow.StringArray of shape (n,)
        As filed.
    agencies : pyarrow.StringArray of shape (n,)
        The awarding agency: its name in full, or its three-digit code.

    Returns
    -------
    pyarrow.StringArray of shape (n,)
        Null where a number is too short to be unique, has no digit, or consists of digits alone and is no
        known agency's.

    References
    ----------
    FAR 4.1603; NIH, "Deciphering NIH Application/Grant Numbers".

    Examples
    --------
    >>> numbers = pa.array(["W56KGU-18-C-0009", "1R43GM123456-01A1", "IIP-2317077", "NAS 96-1"])
    >>> agencies = pa.array([None, None, "National Science Foundation", "NASA"])
    >>> contract_keys(numbers, agencies).to_pylist()
    ['W56KGU18C0009', 'R43GM123456', '049:2317077', None]
    """
    # Each contract has several actions, so its number is read once.
    encoded = numbers.dictionary_encode()
    texts = pc.replace_substring_regex(normalise_contract(encoded.dictionary), _MODIFIED, r"\1")
    texts = _shorten_grants(texts)
    own, serial = (column.take(encoded.indices) for column in _sort_out(texts))
    codes = map_distinct(agencies, _code_of, pa.string())
    is_nsf = pc.fill_null(pc.equal(codes, _NSF_CODE), False)
    if pc.any(is_nsf).as_py():
        of_nsf = _sort_out(pc.replace_substring_regex(texts, _NSF, r"\1"))
        own, serial = (
            pc.if_else(is_nsf, column.take(encoded.indices), other)
            for column, other in zip(of_nsf, (own, serial), strict=True)
        )
    return pc.coalesce(own, pc.binary_join_element_wise(codes, serial, ":"))


def _sort_out(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Give the numbers that are unique by themselves, and those that are within their agency; others null."""
    length = pc.binary_length(texts)
    is_one_digit = pc.match_substring_regex(texts, _ONE_DIGIT)
    is_number = pc.and_(pc.ascii_is_decimal(texts), pc.invert(is_one_digit))
    is_own = pc.and_(
        pc.match_substring_regex(texts, "[A-Z]"), pc.match_substring_regex(texts, "[0-9].*[0-9]")
    )
    return (
        pc.if_else(pc.and_(is_own, pc.greater_equal(length, _SHORTEST)), texts, None),
        pc.if_else(pc.and_(is_number, pc.greater_equal(length, _SHORTEST_OF_AGENCY)), texts, None),
    )


def _shorten_grants(texts: pa.Array) -> pa.Array:
    """Leave of the NIH's grant numbers what its archives have, the serial number with its leading zeros."""
    is_grant = pc.fill_null(pc.match_substring_regex(texts, _NIH), False)
    if not pc.any(is_grant).as_py():
        return texts
    grants = texts.filter(is_grant)
    prefix = pc.replace_substring_regex(grants, _NIH, r"\1")
    serial = pc.utf8_lpad(pc.replace_substring_regex(grants, _NIH, r"\2"), _SERIAL_DIGITS, padding="0")
    return pc.replace_with_mask(texts, is_grant, pc.binary_join_element_wise(prefix, serial, ""))


def _code_of(agency: str) -> str | None:
    if agency.isdecimal():
        return agency.zfill(3)
    return AGENCY_CODES.get(agency.strip().upper())
