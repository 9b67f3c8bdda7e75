"""Columns of text: the few steps from which the rows of the made-up files are put together."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.draws import Flags, Integers


def join(*parts: pa.StringArray | str) -> pa.StringArray:
    """Put columns and constant texts together, row by row; null where a part is null."""
    return pc.binary_join_element_wise(*parts, "")


def keep(mask: Flags, values: pa.StringArray | str) -> pa.StringArray:
    """Keep values where the mask holds; null elsewhere."""
    return pc.if_else(pa.array(mask), values, pa.scalar(None, pa.string()))


def write_numbers(numbers: Integers, width: int = 0) -> pa.StringArray:
    """Write numbers as text, with leading zeros up to `width` digits."""
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
