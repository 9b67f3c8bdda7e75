"""The award file in its other editions: SBIR.gov's older bulk file, and what its interface answers.

The older file has 41 columns: no UEI, states by their letters, dates and amounts the American way, DUNS in
apostrophes. The interface answers with JSON, an object for each award, under names of its own.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.columns import join
from sbir_toolkit.sources.synthetic.places import Gazetteer

_LEGACY_NAMES = {"Woman Owned": "Women Owned"}
_KEYS = {
    "Company": "firm",
    "Woman Owned": "women_owned",
    "Company Website": "company_url",
    "Contact Name": "poc_name",
    "Contact Title": "poc_title",
    "Contact Phone": "poc_phone",
    "Contact Email": "poc_email",
    "Socially and Economically Disadvantaged": "socially_economically_disadvantaged",
}
_NOT_ANSWERED = ("Solicitation Close Date", "Proposal Receipt Date", "Date of Notification")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_LINK = 100_000


def as_legacy(rows: pa.Table, gazetteer: Gazetteer) -> pa.Table:
    """Give awards as the older bulk file has them.

    Parameters
    ----------
    rows
        By `awards.COLUMNS`.
    gazetteer
        Knows the states' letters.
    """
    columns = {}
    for name in rows.column_names:
        values = rows[name].combine_chunks()
        if "Date" in name:
            values = pc.replace_substring_regex(values, r"^(\d{4})-(\d{2})-(\d{2})$", r"\2/\3/\1")
        if name != "UEI":
            columns[_LEGACY_NAMES.get(name, name)] = values
    duns = pc.replace_substring(columns["Duns"], "'", "")
    whole = pc.replace_substring_regex(columns["Award Amount"], r"\.\d*$", "")
    for _ in range(3):
        whole = pc.replace_substring_regex(whole, r"(\d)(\d{3})(,|$)", r"\1,\2\3")
    states = _letters(columns["State"], gazetteer)
    return pa.table(columns | {"Duns": join("'", duns, "'"), "Award Amount": whole, "State": states})


def as_json_lines(rows: pa.Table, gazetteer: Gazetteer, first: int) -> bytes:
    """Write awards as the interface's objects, one a line.

    Parameters
    ----------
    rows
        By `awards.COLUMNS`.
    gazetteer
        Knows the states' letters.
    first
        The number of the first award.
    """
    if not rows.num_rows:
        return b""
    fields: list[pa.Array | str] = ["{"]
    for name in rows.column_names:
        if name in _NOT_ANSWERED:
            continue
        values = rows[name].combine_chunks()
        values = _letters(values, gazetteer) if name == "State" else values
        for plain, escaped in _ESCAPES.items():
            values = pc.replace_substring(values, plain, escaped)
        key = _KEYS.get(name, name.lower().replace(" ", "_"))
        fields += [f'"{key}":', pc.coalesce(join('"', values, '"'), "null"), ","]
    links = pa.array(range(_FIRST_LINK + first, _FIRST_LINK + first + rows.num_rows)).cast(pa.string())
    text = join(*fields, '"award_link":', links, "}\n")
    text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    return b"".join(line.encode() for line in text.to_pylist())


def _letters(states: pa.Array, gazetteer: Gazetteer) -> pa.Array:
    known = gazetteer.state_codes.take(pc.index_in(states, value_set=gazetteer.state_names))
    return pc.coalesce(known, states)
