"""Finding recipients by what names them, and companies by their name.

A person who decides about a match names a recipient by its id, its UEI or its DUNS, whichever still exists
when the files are refreshed, and a firm by its name as anybody would write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.texts import Hashes

_LOOKED_AT = 4_000_000
Named = Literal["recipient_id", "uei", "duns"]
"""What a recipient may be named by."""


def find_recipients(index: RecipientIndex, by: Named, values: Sequence[str]) -> dict[str, int]:
    """Find recipients by their id, UEI or DUNS.

    Parameters
    ----------
    index : RecipientIndex
    by : {"recipient_id", "uei", "duns"}
    values : sequence of str

    Returns
    -------
    dict
        Value to the recipient's row, the first one where several share it; those that nobody has are missing.
    """
    if not values:
        return {}
    wanted = pa.array(sorted(set(values)), pa.string())
    column = index.tables["recipients"].column(by)
    first = np.full(len(wanted), -1)
    # In few pieces, for in each what is wanted is hashed anew; from the end, for the first one counts.
    for low in reversed(range(0, len(column), _LOOKED_AT)):
        which = pc.index_in(column.slice(low, _LOOKED_AT), value_set=wanted)
        rows = np.flatnonzero(which.is_valid())[::-1]
        first[which.take(pa.array(rows)).to_numpy()] = rows + low
    return {value: row for value, row in zip(wanted.to_pylist(), first.tolist(), strict=True) if row >= 0}


def name_keys(names: pa.Array) -> Hashes:
    """Give a key of each company's first core name, blanks left out; 0 where there is no name.

    Parameters
    ----------
    names : pyarrow string array of shape (n,)
        As filed.

    Returns
    -------
    uint64 array of shape (n,)

    Examples
    --------
    >>> keys = name_keys(pa.array(["Nano Tech, Inc.", "NANOTECH LLC", "Nanotec"]))
    >>> keys[0] == keys[1], keys[1] == keys[2]
    (np.True_, np.False_)
    """
    read = read_names(names)
    owner, first = np.unique(read.owner, return_index=True)
    keys = np.zeros(len(names), np.uint64)
    keys[owner] = read.joined[first]
    return keys
