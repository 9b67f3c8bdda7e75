"""Reading filed text into values: clean text, amounts, years, dates, flags and counts.

A value that can't be read becomes null and is counted; nothing is guessed. All functions take and give whole
columns. Values that repeat a lot (dates, years, flags) are read once for each distinct text.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import html
import html.entities
import itertools
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sbir_toolkit.sources.formats import NULL_TOKENS

_TOKENS = pa.array(NULL_TOKENS)
_LONGEST_TOKEN = max(map(len, NULL_TOKENS))
_BEGINS_TOKEN = bytes(chr(code).lower() in {text[:1] for text in NULL_TOKENS} for code in range(256))
_ENDS_TOKEN = bytes(chr(code).lower() in {text[-1:] for text in NULL_TOKENS} for code in range(256))
_FIRST_INK, _INKS = ord("!"), 0x80 - ord("!")  # the ASCII characters that no blank begins or ends with
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_BYTES = re.compile(_ENTITY.pattern.encode())
_CARRIAGE_RETURN = "_x000D_"  # how Excel writes a carriage return into XML

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_FIRST_DATE, _LAST_DATE = datetime.date(1900, 1, 1), datetime.date(2100, 12, 31)
_TIME = r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?(?:Z|[+-]\d{2}(?::?\d{2})?))?"
_ISO_DATE = re.compile(rf"(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?:{_TIME})?")
_US_DATE = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4})")
_LONG_DATE = re.compile(r"([A-Za-z]{3,9})\.? +(\d{1,2}),? +(\d{4})")
_FLAGS = {
    **dict.fromkeys(("y", "yes", "t", "true", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "0"), False),
    **dict.fromkeys(("u", "unknown", "unavailable"), None),
}


def clean_text(values: pa.Array) -> tuple[pa.Array, int]:
    """Trim text, decode HTML entities, and make what stands for nothing null.

    Parameters
    ----------
    values : pyarrow.StringArray
        As filed.

    Returns
    -------
    pyarrow.StringArray, int
        The clean text, and how many values had entities.

    Examples
    --------
    >>> clean_text(pa.array([" Smith &amp; Sons ", "N/A", "Nancy Null"]))[0].to_pylist()
    ['Smith & Sons', None, 'Nancy Null']
    """
    offsets, codes = text_bytes(values)
    if not len(codes):
        return pa.nulls(len(values), pa.string()), 0
    values, decoded = _decode_entities(values, offsets, codes)
    if decoded:
        offsets, codes = text_bytes(values)
    is_nothing = offsets[1:] == offsets[:-1]
    suspects = np.flatnonzero(~is_nothing & _may_need_cleaning(offsets, codes))
    if len(suspects):
        texts = values.take(pa.array(suspects))
        plain = pc.utf8_trim_whitespace(texts)
        if not plain.equals(texts):
            values = pc.utf8_trim_whitespace(values)
        is_token = pc.fill_null(pc.is_in(pc.ascii_lower(plain), value_set=_TOKENS), False)
        is_nothing[suspects] = is_token.to_numpy(zero_copy_only=False)
    return _null_where(values, is_nothing), decoded


def trim_text(values: pa.Array) -> pa.Array:
    """Take the blanks off both ends of each text.

    Parameters
    ----------
    values : pyarrow.StringArray
        The column.

    Returns
    -------
    pyarrow.StringArray
        The column itself when no text has any.
    """
    offsets, codes = text_bytes(values)
    has_blanks = (
        len(codes) and (_may_be_blank(_first(offsets, codes)) | _may_be_blank(_last(offsets, codes))).any()
    )
    return pc.utf8_trim_whitespace(values) if has_blanks else values


def text_bytes(values: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Give a column's text as bytes, without copying.

    Parameters
    ----------
    values : pyarrow.StringArray
        The column, any part of a longer one.

    Returns
    -------
    numpy.ndarray of int32, shape (rows + 1,)
        Where each text begins and the one before ends.
    numpy.ndarray of uint8
        The bytes they point into, from the first text's first to the last text's last.
    """
    _, borders, data = values.buffers()
    if not len(values) or borders is None or data is None:
        return np.zeros(len(values) + 1, dtype=np.int32), np.array([], dtype=np.uint8)
    offsets = np.frombuffer(borders, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    codes = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], codes


def look_up(codes: NDArray[np.uint8], table: bytes) -> NDArray[np.uint8]:
    """Look each byte up in a table of 256 answers; three times as fast as indexing one with them.

    Parameters
    ----------
    codes : numpy.ndarray of uint8
        Of any shape.
    table
        The answer for each byte.

    Returns
    -------
    numpy.ndarray of uint8
        Of the same shape.
    """
    return np.frombuffer(codes.tobytes().translate(table), dtype=np.uint8).reshape(codes.shape)


def map_distinct(values: pa.Array, function: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """Apply a function to each distinct text of a column; null stays null.

    Parameters
    ----------
    values : pyarrow.StringArray
        The column.
    function
        From a text to a value, or to None.
    kind
        The type of the result.

    Returns
    -------
    pyarrow.Array
        Of type `kind`, as long as `values`.
    """
    encoded = values.dictionary_encode()
    mapped = pa.array([function(text) for text in encoded.dictionary.to_pylist()], type=kind)
    return mapped.take(encoded.indices)


def read_dates(values: pa.Array) -> pa.Array:
    """Read dates: `2017-07-31`, also with a time, `07/31/2017`, `07-31-2017` and `July 31, 2017`.

    The day never comes before the month.

    Parameters
    ----------
    values : pyarrow.StringArray
        Clean text.

    Returns
    -------
    pyarrow.Date32Array
        Null where the text is no date, or one outside 1900..2100.
    """
    is_plain = pa.array(_look_like_iso_dates(values))
    try:
        plain = pc.if_else(is_plain, values, None).cast(pa.date32())
    except pa.ArrowInvalid:
        return map_distinct(values, _read_date, pa.date32())
    is_likely = pc.and_(pc.greater_equal(plain, _FIRST_DATE), pc.less_equal(plain, _LAST_DATE))
    odd = map_distinct(pc.if_else(is_plain, None, values), _read_date, pa.date32())
    return pc.coalesce(pc.if_else(is_likely, plain, None), odd)


def read_years(values: pa.Array) -> pa.Array:
    """Read years such as `2016` and `2016.0`.

    Returns
    -------
    pyarrow.Int64Array
        Null where the text is no year in 1970..2100.
    """
    return map_distinct(values, _read_year, pa.int64())


def read_flags(values: pa.Array) -> pa.Array:
    """Read yes and no in the spellings in use; `U` and `Unavailable` are null.

    Returns
    -------
    pyarrow.BooleanArray
    """
    return map_distinct(values, lambda text: _FLAGS.get(text.lower()), pa.bool_())


def is_unknown_flag(values: pa.Array) -> pa.Array:
    """Tell which texts say neither yes nor no nor that it isn't known."""
    return map_distinct(values, lambda text: text.lower() not in _FLAGS, pa.bool_())


def read_amounts(values: pa.Array) -> pa.Array:
    """Read amounts of money, with or without dollar sign, commas, blanks and apostrophes.

    Parameters
    ----------
    values : pyarrow.StringArray
        Clean text.

    Returns
    -------
    pyarrow.DoubleArray
        US dollars; null where the text is no amount.

    Examples
    --------
    >>> read_amounts(pa.array(["$1,000,000.50", "'139,882'", "about 5"])).to_pylist()
    [1000000.5, 139882.0, None]
    """
    return _read_numbers(values, ornaments=r"[$,'\s]")


def read_counts(values: pa.Array) -> pa.Array:
    """Read counts such as `34`, `34.0` and `1,200`; a negative one is null.

    Returns
    -------
    pyarrow.DoubleArray
    """
    numbers = _read_numbers(values, ornaments=r"[,\s]")
    return pc.if_else(pc.greater_equal(numbers, 0), numbers, None)


def count_lost(before: pa.Array, after: pa.Array) -> int:
    """Count the values that had a text and became null."""
    return int(after.null_count - before.null_count)


def _decode_entities(
    values: pa.Array, offsets: NDArray[np.int32], codes: NDArray[np.uint8]
) -> tuple[pa.Array, int]:
    """Decode the texts that hold an entity; looking for those must not cost anything in the others."""
    places = _find_entities(codes)
    if not len(places):
        return values, 0
    at = np.unique(np.searchsorted(offsets, places, side="right") - 1)
    texts = values.take(pa.array(at)).to_pylist()
    plain = [_decode(text) for text in texts]
    is_changed = np.array([text != other for text, other in zip(texts, plain, strict=True)])
    if not is_changed.any():
        return values, 0
    is_replaced = np.zeros(len(values), dtype=bool)
    is_replaced[at[is_changed]] = True
    replacements = pa.array(itertools.compress(plain, is_changed), pa.string())
    return pc.replace_with_mask(values, pa.array(is_replaced), replacements), len(replacements)


def _find_entities(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find the places of entities in the bytes of a whole column at once."""
    data = codes.tobytes()
    found = list(_ENTITY_BYTES.finditer(data)) if b"&" in data else []
    if b"_" in data and _CARRIAGE_RETURN.encode() in data:  # a single byte is looked for much faster
        found += re.finditer(_CARRIAGE_RETURN.encode(), data)
    return np.array([match.start() for match in found], dtype=np.int64)


def _first(offsets: NDArray[np.int32], codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give each text's first byte, and any byte for an empty text."""
    return np.take(codes, offsets[:-1], mode="clip")


def _last(offsets: NDArray[np.int32], codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.take(codes, offsets[1:] - 1, mode="clip")


def _may_be_blank(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which bytes can begin or end a blank: the ASCII ones, and all that aren't ASCII."""
    is_blank: NDArray[np.bool_] = codes - np.uint8(_FIRST_INK) >= _INKS  # what is below wraps round
    return is_blank


def _may_need_cleaning(offsets: NDArray[np.int32], codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which texts may have a blank around them or be a null token, by their first and last bytes."""
    if not len(codes):
        return np.zeros(len(offsets) - 1, dtype=bool)
    first, last = _first(offsets, codes), _last(offsets, codes)
    may_be_token = look_up(first, _BEGINS_TOKEN) & look_up(last, _ENDS_TOKEN)
    is_short = offsets[1:] - offsets[:-1] <= _LONGEST_TOKEN
    return _may_be_blank(first) | _may_be_blank(last) | (may_be_token.view(bool) & is_short)


def _null_where(values: pa.Array, is_nothing: NDArray[np.bool_]) -> pa.Array:
    """Make texts null, without copying the others; a null may keep its text in the column's bytes."""
    if not is_nothing.any():
        return values
    # A part of a longer column is copied: Arrow's ascii_upper misreads one whose offsets don't begin at zero.
    if values.null_count or values.offset:
        return pc.if_else(pa.array(is_nothing), None, values)
    _, borders, data = values.buffers()
    width = np.dtype(np.int32).itemsize
    return pa.StringArray.from_buffers(
        len(values),
        borders.slice(values.offset * width, (len(values) + 1) * width),
        data,
        pa.py_buffer(np.packbits(~is_nothing, bitorder="little").tobytes()),
        int(is_nothing.sum()),
    )


def _decode(text: str) -> str:
    """Decode entities until there are none; some files encode twice."""
    text = text.replace(_CARRIAGE_RETURN, "")
    while (plain := _ENTITY.sub(_decode_entity, text)) != text:
        text = plain
    return text


def _decode_entity(entity: re.Match[str]) -> str:
    is_known = entity[1].startswith("#") or entity[1] + ";" in html.entities.html5
    return html.unescape(entity[0]) if is_known else entity[0]


def _look_like_iso_dates(values: pa.Array) -> NDArray[np.bool_]:
    offsets, codes = text_bytes(values)
    has_form: NDArray[np.bool_] = offsets[1:] - offsets[:-1] == len("2017-07-31")
    if has_form.any():
        for hyphen in (4, 7):
            has_form &= np.take(codes, offsets[:-1] + hyphen, mode="clip") == ord("-")
    return has_form


def _read_numbers(values: pa.Array, ornaments: str) -> pa.Array:
    if not text_bytes(values)[1].tobytes().translate(None, b"0123456789."):
        with contextlib.suppress(pa.ArrowInvalid):
            return values.cast(pa.float64())
    values = pc.replace_substring_regex(values, ornaments, "")
    is_number = pc.match_substring_regex(values, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$")
    return pc.if_else(is_number, pc.ascii_ltrim(values, "+"), None).cast(pa.float64())


def _read_year(text: str) -> int | None:
    digits = re.fullmatch(r"([0-9]{4})(?:\.0*)?", text)
    year = int(digits[1]) if digits else 0
    return year if 1970 <= year <= 2100 else None


@functools.lru_cache(maxsize=1 << 16)
def _read_date(text: str) -> datetime.date | None:
    if found := _ISO_DATE.fullmatch(text):
        year, month, day = found[1], found[2], found[3]
    elif found := _US_DATE.fullmatch(text):
        month, day, year = found[1], found[3], found[4]
    elif found := _LONG_DATE.fullmatch(text):
        month, day, year = str(_month_number(found[1])), found[2], found[3]
    else:
        return None
    try:
        date = datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None
    return date if _FIRST_DATE <= date <= _LAST_DATE else None


def _month_number(name: str) -> int:
    """Give the number of a month from its English name or its first three letters; 0 when it is none."""
    short = name.lower()
    for number, month in enumerate(_MONTHS, start=1):
        if short in {month, month[:3]} or (short == "sept" and month == "september"):
            return number
    return 0
