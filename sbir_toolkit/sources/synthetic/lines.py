"""Made-up rows as lines of CSV, a block at once: its columns are joined as strings."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

OFFICIAL_QUOTING = r'[\s",]'
"""SBIR.gov quotes a value that holds a blank, a comma, a quote or a line break."""
PLAIN_QUOTING = r'[\r\n",]'
"""Others quote only what must be."""


def header_line(names: Sequence[str], quoting: str) -> bytes:
    """Write the names of columns as the first line of a file."""
    return bytes(csv_lines(pa.table([pa.array([name]) for name in names], names=list(names)), quoting))


def csv_lines(table: pa.Table, quoting: str, *, end: str = "\n") -> memoryview:
    """Turn a table of strings into lines of CSV; null is an empty field.

    Parameters
    ----------
    table : pyarrow.Table
        Below 2 GB of text.
    quoting
        Which values are quoted, as a regular expression.
    end
        What stands behind the last column's value.
    """
    fields = [_quote(column.combine_chunks(), quoting) for column in table.columns]
    fields[-1] = pc.binary_join_element_wise(fields[-1], end, "")
    lines = pc.binary_join_element_wise(*fields, ",")
    if isinstance(lines, pa.ChunkedArray):
        lines = lines.combine_chunks()
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]


def _quote(column: pa.StringArray, quoting: str) -> pa.StringArray:
    values = pc.fill_null(column, "")
    needs_quotes = pc.match_substring_regex(values, quoting)
    if not pc.any(needs_quotes).as_py():
        return values
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(needs_quotes, quoted, values)
