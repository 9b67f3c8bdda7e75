"""Federal recipients: a table of USAspending's database dump, or any table with a column of names.

USAspending knows a recipient by a hash of its UEI, else its DUNS, else its name; where a file has no hash,
the same is made here. Rows that stand for nobody (`MULTIPLE RECIPIENTS`, `REDACTED DUE TO PII`) are no
recipients and go to the rejects, and so does a row whose id was there before; in SAM.gov's extract, where a
firm may register for each of its accounts, it is counted as one with the earlier row.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit import params, tables
from sbir_toolkit.sources import loading, values
from sbir_toolkit.sources.batches import Batch
from sbir_toolkit.sources.combining import combine
from sbir_toolkit.sources.digests import Seen, derive_recipient_ids, digest_rows
from sbir_toolkit.sources.formats import RECIPIENT_FORMAT
from sbir_toolkit.sources.identifiers import normalise_cage, normalise_duns, normalise_uei
from sbir_toolkit.sources.loading import Reading
from sbir_toolkit.sources.outcomes import Loaded, Normalised
from sbir_toolkit.sources.places import normalise_state, normalise_zip5

_NOBODY = (
    "MULTIPLE RECIPIENTS",
    "MULTIPLE FOREIGN RECIPIENTS",
    "REDACTED DUE TO PII",
    "PRIVATE INDIVIDUAL",
    "INDIVIDUAL RECIPIENT",
    "MISCELLANEOUS FOREIGN AWARDEES",
)
_NAICS = re.compile(r"(?<![0-9])[0-9]{6}(?![0-9])")
_BUSINESS_TYPE = re.compile(r"(?<![A-Za-z0-9])[A-Z0-9]{2}(?![A-Za-z0-9])")
# How arrays look whose items are all bare, or all quoted without escapes; how many characters are around the
# items, and what is between them.
_PLAIN_ARRAYS = (
    (r'^\{[^{}",\\]+(?:,[^{}",\\]+)*\}$', 1, ","),
    (r'^\{"[^"\\]+"(?:,"[^"\\]+")*\}$', 2, '","'),
)
_ARRAY_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)')

_SOURCE = params.Source()


def load_recipients(
    path: loading.Paths,
    folder: Path,
    limits: params.Limits,
    source: params.Source = _SOURCE,
) -> Loaded:
    """Read federal recipients into `recipients.parquet` and two tables beside it.

    `recipient_rejects.parquet` holds the records that can't be used, `recipient_contracts.parquet` the
    contract numbers of award archives.

    Parameters
    ----------
    path
        CSV (plain, gzip or in a zip archive), Parquet, or a dump of USAspending's database: its zip archive,
        its folder, or one of its `.dat` files. Only a column of names is required.
    folder
        Where the tables go; each appears whole or not at all.
    limits
        How much may be in memory at once. The tables' bytes don't depend on it.
    source
        What is to be known of a file that doesn't say it itself; its `path` isn't used here.

    Returns
    -------
    Loaded
        How many records were read, kept, rejected and repaired.

    Raises
    ------
    InputError
        When the file can't be read, or has no column of names.
    """
    return loading.load(path, folder, limits, _KIND, source)


def stream_recipients(
    path: loading.Paths, folder: Path, limits: params.Limits, source: params.Source = _SOURCE
) -> Reading:
    """Read federal recipients piece by piece; only rejects and contract numbers are written.

    Parameters
    ----------
    path, folder, limits, source
        As for `load_recipients`.

    Returns
    -------
    Reading
        To iterate over; its tables are those that `load_recipients` stores.
    """
    return Reading(path, folder, limits, _KIND, source)


def read_recipients(
    path: loading.Paths, source: params.Source = _SOURCE
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read federal recipients into memory.

    Parameters
    ----------
    path
        As for `load_recipients`.
    source
        What the file calls its columns where that isn't known, such as
        `Source(columns={"recipient_name": "Firm"})`; its `path` isn't used here.

    Returns
    -------
    pandas.DataFrame, pandas.DataFrame
        The recipients (`tables.RECIPIENTS`) and the rejected records (`tables.RECIPIENT_REJECTS`).

    Raises
    ------
    InputError
        As for `load_recipients`.
    """
    return loading.read(path, _KIND, source)


class _RecipientNormaliser:
    """Turns batches of one file into rows of the table of recipients."""

    def __init__(self, *, keeps_repeats: bool = False) -> None:
        self._ids = Seen()
        self._keeps_repeats = keeps_repeats

    def __call__(self, batch: Batch) -> Normalised:
        batch, faults = loading.set_aside(batch, _check(batch))
        repaired: Counter[str] = Counter()
        examples: dict[str, str] = {}
        columns = loading.read_columns(batch, RECIPIENT_FORMAT, _read, repaired, examples)
        columns["recipient_id"] = _complete_ids(columns)
        table = pa.table(
            {name: columns[name] for name in tables.RECIPIENTS.names}, schema=tables.RECIPIENTS.arrow_schema
        )
        if self._keeps_repeats:
            return Normalised(table, faults, +repaired, examples=examples)
        is_repeat = self._ids.count(digest_rows([columns["recipient_id"]])) > 0
        merged = Counter({batch.repeats: int(is_repeat.sum())} if batch.repeats else {})
        if is_repeat.any() and not merged:
            ids = columns["recipient_id"]
            faults += [
                batch.fault(at, "recipient_id", ids[at].as_py(), "recipient_id repeats an earlier one")
                for at in np.flatnonzero(is_repeat).tolist()
            ]
        if is_repeat.any():
            table = table.filter(pa.array(~is_repeat))
        return Normalised(table, faults, +repaired, merged=+merged, examples=examples)


def _check(batch: Batch) -> list[loading.Check]:
    """Say which records are no recipients."""
    names = values.clean_text(batch.text("recipient_name"))[0]
    is_nobody = pc.is_in(pc.ascii_upper(names), value_set=pa.array(_NOBODY))
    if pc.any(is_nobody).as_py():
        has_id = pc.or_(
            pc.is_valid(normalise_uei(batch.text("uei"))), pc.is_valid(normalise_duns(batch.text("duns")))
        )
        is_nobody = pc.and_not(is_nobody, has_id)
    return [
        ("recipient_name", pc.is_null(names), "blank name"),
        ("recipient_name", is_nobody, "stands for nobody in particular and has no identifier"),
    ]


def _read(column: str, text: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Read one column's clean text into its form, counting what can't be read."""
    if column == "state":
        return normalise_state(text), Counter()
    if column == "alternate_names":
        return _join_names(text), Counter()
    if column in _CODES:
        return values.map_distinct(_join_names(text), _CODES[column], pa.string()), Counter()
    if column not in _READERS:
        return text, Counter()
    read, kind = _READERS[column]
    result = read(text)
    return result, Counter({kind: values.count_lost(text, result)})


def _complete_ids(columns: dict[str, pa.Array]) -> pa.Array:
    """Give the ids as filed, and make those that are missing."""
    given = columns["recipient_id"]
    is_missing = pc.is_null(given)
    if not pc.any(is_missing).as_py():
        return given
    made = derive_recipient_ids(
        *(columns[column].filter(is_missing) for column in ("uei", "duns", "recipient_name"))
    )
    return pc.replace_with_mask(given, is_missing, made)


def _join_names(texts: pa.Array) -> pa.Array:
    """Give lists of names joined by a bar, also those of a PostgreSQL export (`{a,"b, c"}`)."""
    is_array = pc.fill_null(pc.match_substring_regex(texts, r"^\{.*\}$"), False)
    if not pc.any(is_array).as_py():
        return texts
    arrays = texts.filter(is_array)
    has_null = pc.match_substring(arrays, "NULL")
    is_odd, joined = pa.array([True] * len(arrays)), arrays
    for form, edge, between in _PLAIN_ARRAYS:  # nearly all; they needn't be looked at one by one
        is_plain = pc.and_not(pc.match_substring_regex(arrays, form), has_null)
        inside = pc.utf8_slice_codeunits(arrays, edge, -edge)
        joined = pc.if_else(is_plain, pc.replace_substring(inside, between, "|"), joined)
        is_odd = pc.and_not(is_odd, is_plain)
    odd = pa.array([_join_array(text) for text in arrays.filter(is_odd).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, is_array, pc.replace_with_mask(joined, is_odd, odd))


def _find_codes(code: re.Pattern[str], text: str) -> str | None:
    """Give the codes in a text, each once, in their order."""
    return "|".join(dict.fromkeys(code.findall(text))) or None


def _join_array(text: str) -> str | None:
    names = [
        re.sub(r"\\(.)", r"\1", found[1]) if found[2] is None else found[2]
        for found in _ARRAY_ITEM.finditer(text)
        if found[2] != "NULL"
    ]
    return "|".join(name for name in names if name) or None


def _read_whole(texts: pa.Array) -> pa.Array:
    return values.read_counts(texts).cast(pa.int64(), safe=False)


_READERS = {
    "uei": (normalise_uei, "uei_invalid"),
    "duns": (normalise_duns, "duns_invalid"),
    "cage": (normalise_cage, "cage_invalid"),
    "parent_uei": (normalise_uei, "parent_uei_invalid"),
    "zip5": (normalise_zip5, "zip_unreadable"),
    **dict.fromkeys(("actions", "sbir_actions", "agencies"), (_read_whole, "count_unreadable")),
    "obligated_usd": (values.read_amounts, "amount_unreadable"),
}
_CODES = {
    "naics": functools.partial(_find_codes, _NAICS),
    "business_types": functools.partial(_find_codes, _BUSINESS_TYPE),
}
_KIND = loading.Kind(
    RECIPIENT_FORMAT,
    tables.RECIPIENTS,
    tables.RECIPIENT_REJECTS,
    _RecipientNormaliser,
    repeating=["city", "state", "zip5", "country", "source"],
    random=["recipient_id", "uei", "duns"],
    group_rows=65_536,
    start_several=functools.partial(_RecipientNormaliser, keeps_repeats=True),
    combine=combine,
    contracts=tables.RECIPIENT_CONTRACTS,
)
