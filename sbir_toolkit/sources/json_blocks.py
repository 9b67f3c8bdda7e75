"""Whole blocks of JSON objects at once.

Records in a file of JSON are nearly all alike: the same keys, and behind each key always text, or always a
whole number. Arrow reads a block of those many times faster than Python reads one object after the other. It
may only where it gives what stands there: text stays text, also where it looks like a date, and a whole
number has one spelling. A block that holds anything else (a fraction, a list, now text and now a number,
broken bytes, an object that can't be read) is refused, and read by `json_text` object by object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json
from numpy.typing import NDArray

_QUOTE, _BACKSLASH, _OPEN, _CLOSE = (ord(character) for character in '"\\{}')
# Between objects stands no character but these; Arrow wants blanks there.
_GAPS = bytes.maketrans(b",\x1e", b"  ")


class Objects(NamedTuple):
    """Consecutive objects of a block: where each starts and stops, in bytes, and their values by key."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    table: pa.Table


@dataclass
class BlockReader:
    """Reads blocks, each as the one before it if that can be."""

    _schema: pa.Schema | None = None

    def read(self, data: bytes, most: int) -> Objects | None:
        """Read the whole objects that a block begins with.

        Parameters
        ----------
        data
            Text in UTF-8 that begins with an object; its end may be anywhere.
        most
            How many objects are wanted at most.

        Returns
        -------
        Objects or None
            None where Arrow can't be trusted with them; no object may be whole.
        """
        starts, stops = _cut(data)
        starts, stops = starts[:most], stops[:most]
        if not len(starts):
            return None
        text = _blank_gaps(data, starts, stops)
        for known in (self._schema, None):
            try:
                schema = known or _infer(text)
                table = _parse(text, schema) if schema else None
            except pa.ArrowInvalid:
                continue
            if table is not None and table.num_rows == len(starts):
                self._schema = schema
                return Objects(starts, stops, table)
        return None


def _cut(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find where the outermost objects start and stop; one without its end is left out."""
    bytes_ = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(bytes_ == _QUOTE)
    quotes = quotes[~_are_escaped(bytes_, quotes)]
    braces = np.flatnonzero((bytes_ == _OPEN) | (bytes_ == _CLOSE))
    braces = braces[np.searchsorted(quotes, braces) % 2 == 0]
    is_open = bytes_[braces] == _OPEN
    depth = np.cumsum(np.where(is_open, 1, -1))
    starts, stops = braces[is_open & (depth == 1)], braces[~is_open & (depth == 0)] + 1
    return starts[: len(stops)], stops


def _are_escaped(data: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which quotes have an odd number of backslashes before them."""
    is_escaped = np.zeros(len(quotes), bool)
    at = np.flatnonzero(quotes > 0)
    before = quotes[at] - 1
    while len(at):
        goes_on = data[before] == _BACKSLASH
        at, before = at[goes_on], before[goes_on] - 1
        is_escaped[at] ^= True
        at, before = at[before >= 0], before[before >= 0]
    return is_escaped


def _blank_gaps(data: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> bytearray:
    """Leave out what stands before, between and behind the objects, if that is nothing but gaps."""
    text = bytearray(memoryview(data)[starts[0] : stops[-1]])
    lows, highs = stops[:-1] - starts[0], starts[1:] - starts[0]
    for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
        text[low:high] = text[low:high].translate(_GAPS)
    return text


def _infer(text: bytearray) -> pa.Schema | None:
    """Find out what stands behind each key; None where something is neither text nor a whole number."""
    found = _parse(text, None).schema
    kinds = {}
    for field in found:
        is_text = pa.types.is_string(field.type) or pa.types.is_temporal(field.type)
        if not (is_text or pa.types.is_null(field.type) or pa.types.is_int64(field.type)):
            return None
        kinds[field.name] = pa.int64() if pa.types.is_int64(field.type) else pa.string()
    return pa.schema(kinds)


def _parse(text: bytearray, schema: pa.Schema | None) -> pa.Table:
    return pa_json.read_json(
        pa.py_buffer(text),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=pa_json.ParseOptions(
            explicit_schema=schema,
            newlines_in_values=True,
            unexpected_field_behavior="error" if schema else "infer",
        ),
    )
