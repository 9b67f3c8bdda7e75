"""The numbers that companies and contracts go by: UEI, DUNS, CAGE and contract numbers.

An identifier that is right proves a link, and one that is wrong proves a wrong one, so each is checked as far
as it can be. A UEI has a check digit, which a random string passes one time in ten. A DUNS has had none that
can be relied on since 2006, but spreadsheets have damaged many: as numbers they lose their leading zeros and
gain a `.0`. All functions take a whole column (a pyarrow array or a pandas Series of text) and give one of
the same kind back; what isn't an identifier becomes null.
"""

from __future__ import annotations

import re
from typing import TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sbir_toolkit.sources.values import look_up, map_distinct, text_bytes, trim_text

Column = TypeVar("Column", pa.Array, "pd.Series[str]")

_UEI_LENGTH = 12
_JUNK_DUNS = (*(str(digit) * 9 for digit in range(10)), "123456789")
_IS_UEI_CHARACTER = bytes(code in b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZ" for code in range(256))
_LAST_DIGITS = [bytes(code * position % 10 for code in range(256)) for position in range(1, _UEI_LENGTH)]


def normalise_uei(values: Column) -> Column:
    """Give valid Unique Entity IDs in upper case.

    A UEI has 12 letters and digits without I and O, doesn't start with 0, has no nine digits in a row,
    doesn't start like a CAGE code, and ends with a check digit. For that the ASCII codes of the first 11
    characters are multiplied by their positions 1..11 and the last digits of the products added; while the
    sum has two digits the same is done with those.

    Parameters
    ----------
    values : pyarrow.StringArray or pandas.Series of str
        As filed.

    Returns
    -------
    the same kind
        12 characters, or null.

    References
    ----------
    GSA, "Unique Entity ID technical specification"; the algorithm as in GSA-TTS/uei-js.

    Examples
    --------
    >>> normalise_uei(pa.array(["n4yffgl4cdx5", "N4YFFGL4CDX6", None])).to_pylist()
    ['N4YFFGL4CDX5', None, None]
    """
    texts = pc.ascii_upper(take_text(values))
    has_length = pc.fill_null(pc.equal(pc.binary_length(texts), _UEI_LENGTH), False).to_numpy(
        zero_copy_only=False
    )
    is_valid = np.zeros(len(texts), dtype=bool)
    if has_length.any():
        _, characters = text_bytes(texts.filter(pa.array(has_length)))
        is_valid[has_length] = _are_ueis(characters.reshape(-1, _UEI_LENGTH))
    return give_back(values, pc.if_else(pa.array(is_valid), texts, None))


def normalise_duns(values: Column) -> Column:
    """Give DUNS numbers as 9 digits.

    Apostrophes, blanks, hyphens and a `.0` are dropped, a DUNS+4 is cut, 5 to 8 digits get their leading
    zeros back. Numbers that stand for none (all digits equal, 123456789) become null. The old check digit
    isn't used: most real ones fail it.

    Parameters
    ----------
    values : pyarrow.StringArray or pandas.Series of str
        As filed.

    Returns
    -------
    the same kind
        9 digits, or null.

    Examples
    --------
    >>> normalise_duns(pa.array(["859244204.0", "15-048-3782", "'9179794'", "000000000"])).to_pylist()
    ['859244204', '150483782', '009179794', None]
    """
    texts = take_text(values)
    is_plain = pc.and_(pc.equal(pc.binary_length(texts), 9), pc.ascii_is_decimal(texts))
    if not pc.all(is_plain).as_py():
        odd = pc.if_else(is_plain, None, texts)
        texts = pc.if_else(is_plain, texts, map_distinct(odd, _mend_duns, pa.string()))
    return give_back(values, pc.if_else(pc.is_in(texts, value_set=pa.array(_JUNK_DUNS)), None, texts))


def normalise_cage(values: Column) -> Column:
    """Give CAGE codes as 5 letters and digits in upper case; `00000` is null.

    Parameters
    ----------
    values : pyarrow.StringArray or pandas.Series of str
        As filed.

    Returns
    -------
    the same kind
        5 characters, or null.

    Examples
    --------
    >>> normalise_cage(pa.array(["3khT9", "3KHT", "00000"])).to_pylist()
    ['3KHT9', None, None]
    """
    texts = pc.ascii_upper(take_text(values))
    is_code = pc.and_(pc.equal(pc.binary_length(texts), 5), pc.ascii_is_alnum(texts))
    is_code = pc.and_(is_code, pc.not_equal(texts, "00000"))
    return give_back(values, pc.if_else(is_code, texts, None))


def normalise_contract(values: Column) -> Column:
    """Give contract numbers (PIID) in upper case, letters and digits only.

    Parameters
    ----------
    values : pyarrow.StringArray or pandas.Series of str
        As filed.

    Returns
    -------
    the same kind
        Null where nothing is left. Numbers shorter than 8 characters are unique only within an agency.

    References
    ----------
    FAR 4.1603.

    Examples
    --------
    >>> normalise_contract(pa.array(["w56kgu-18-C-0009", " - "])).to_pylist()
    ['W56KGU18C0009', None]
    """
    texts = pc.replace_substring_regex(pc.ascii_upper(take_text(values)), "[^A-Z0-9]", "")
    return give_back(values, pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts))


def take_text(values: Column) -> pa.Array:
    """Give a column as trimmed text in Arrow."""
    if isinstance(values, pd.Series):
        array = pa.Array.from_pandas(values.astype("string"), type=pa.string())
    else:
        array = values.cast(pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return trim_text(array)


def give_back(values: Column, result: pa.Array) -> Column:
    """Give a result in the kind that the values came in."""
    if isinstance(values, pd.Series):
        return cast(
            Column, pd.Series(result.to_pandas().array, index=values.index, name=values.name, dtype="str")
        )
    return cast(Column, result)


def _are_ueis(texts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which rows of 12 characters are UEIs; judged position by position, for all rows at once."""
    characters = np.ascontiguousarray(texts.T)
    is_digit = characters - np.uint8(ord("0")) < 10  # what is below wraps round
    is_valid = look_up(characters, _IS_UEI_CHARACTER).view(bool).all(axis=0) & (characters[0] != ord("0"))
    is_valid &= ~np.any([is_digit[at : at + 9].all(axis=0) for at in range(4)], axis=0)
    is_valid &= ~(is_digit[0] & is_digit[4])
    sums = np.zeros(len(texts), dtype=np.uint8)
    for row, last_digits in zip(characters, _LAST_DIGITS, strict=False):
        sums += look_up(row, last_digits)
    is_valid &= look_up(sums, _CHECK_DIGITS) == characters[-1] - np.uint8(ord("0"))
    return cast("NDArray[np.bool_]", is_valid)


def _check_digit(total: int) -> int:
    while total > 9:
        total = sum(int(digit) * position % 10 for position, digit in enumerate(str(total), start=1))
    return total


_CHECK_DIGITS = bytes(_check_digit(total) for total in range(256))


def _mend_duns(text: str) -> str | None:
    digits = re.sub(r"\.0*$", "", re.sub(r"[\s'\u2019`\"-]", "", text))
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) == 13:
        return digits[:9]
    return digits.zfill(9) if 5 <= len(digits) <= 9 else None
