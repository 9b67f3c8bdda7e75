"""Awards as SBIR.gov's interface gives them, of either age."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbir_toolkit import tables
from sbir_toolkit.errors import InputError, ToolkitError
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import load_awards, read_awards, read_recipients
from sbir_toolkit.sources.files import Part, open_stream
from sbir_toolkit.sources.formats import AWARD_FORMAT
from sbir_toolkit.sources.json_text import read_json_records

OLD = {
    "firm": "Acme &amp; Sons", "award_title": "A laser", "agency": "NSF", "branch": None, "phase": "Phase I",
    "program": "SBIR", "agency_tracking_number": "2317077", "contract": "2317077",
    "proposal_award_date": "07/31/2023", "award_year": "2023", "award_amount": "274993.00", "duns": "",
    "uei": "N4YFFGL4CDX5", "hubzone_owned": "N", "socially_economically_disadvantaged": "Y",
    "women_owned": "N", "number_employees": "34", "city": "BOSTON", "state": "MA", "zip": "02139-1234",
    "poc_name": "Jane", "pi_email": "a@b.c", "ri_name": None, "abstract": "One_x000D_\ntwo é \U0001f600",
    "award_link": "https://www.sbir.gov/node/2481715",
}  # fmt: skip
NEW = {
    **OLD,
    "award_year": 2024,
    "award_amount": 304952.0,
    "number_employees": 7,
    "award_link": 214901,
    "research_area_keywords": ["a", "b"],
    "agency": "DOW",
    "women_owned": True,
}
Write = Callable[..., Path]


@pytest.mark.parametrize("form", ["array", "lines", "spread", "zip"])
def test_records_of_either_age_are_read(tmp_path: Path, form: str) -> None:
    """Strings or numbers, null or blank, an array or lines: the same table, personal columns left out."""
    text = {
        "array": json.dumps([OLD, NEW]),
        "lines": "".join(json.dumps(award, ensure_ascii=False) + "\n" for award in (OLD, NEW)),
        "spread": "\ufeff" + json.dumps([OLD, NEW], indent=2) + "\n",
        "zip": json.dumps([OLD, NEW]),
    }[form]
    path = tmp_path / "awards.json"
    path.write_text(text, encoding="utf-8")
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "awards.zip", "w") as archive:
            archive.write(path, "awards.json")
        path = tmp_path / "awards.zip"
    frame, rejects = read_awards(path)
    tables.AWARDS.check(frame)
    assert rejects.empty
    assert frame["company"].tolist() == ["Acme & Sons"] * 2
    assert frame["agency"].tolist() == ["National Science Foundation", "Department of Defense"]
    assert frame["award_year"].tolist() == [2023, 2024]
    assert frame["award_usd"].tolist() == [274993.0, 304952.0]
    assert frame["employees"].tolist() == [34, 7]
    assert frame["is_woman_owned"].tolist() == [False, True]
    assert frame["zip5"].tolist() == ["02139"] * 2
    assert frame["award_date"].astype(str).tolist() == ["2023-07-31"] * 2
    assert frame["abstract"][0] == "One\ntwo é \U0001f600"
    assert frame["branch"].isna().all()
    assert not set(frame.columns) & {"poc_name", "pi_email"}


def test_what_cannot_be_read_is_set_aside(write_file: Write, tmp_path: Path) -> None:
    """A broken object, a number among the objects, an object without a company: each is one reject."""
    good = json.dumps(OLD)
    text = f'{good}\n{{"firm": "B", "award_year\n{good}\n17\n{json.dumps({**OLD, "firm": ""})}\n{good[:40]}'
    loaded = load_awards(write_file(text, "awards.json"), tmp_path / "out", Limits(read_rows=2))
    assert loaded.rejected == {
        "blank company": 1,
        "the JSON object can't be read": 2,
        "the value is no JSON object": 1,
    }
    assert (loaded.records_read, loaded.rows) == (6, 2)
    rejects = pd.read_parquet(loaded.paths["award_rejects"])
    assert rejects[["source_row", "source_line"]].to_numpy().tolist() == [[2, 2], [4, 4], [5, 5], [6, 6]]
    assert rejects["raw"][0] == '{"firm": "B", "award_year'


def test_empty_objects_say_nothing_about_the_file(write_file: Write, tmp_path: Path) -> None:
    """Before the first object with keys, behind it, or alone: each is one reject."""
    good = json.dumps(OLD)
    for text, rows, rejected in (("{}\n" + good + "\n{}\n" + good, 2, 2), ("[{}, {}, {}]", 0, 3)):
        loaded = load_awards(write_file(text, "awards.json"), tmp_path / "out", Limits(read_rows=1))
        assert (loaded.rows, loaded.rejected) == (rows, {"blank company": rejected})
    with pytest.raises(InputError, match="no file of SBIR awards"):
        read_awards(write_file('{}\n{"code": 403}', "awards.json"))


@pytest.mark.parametrize("depth", [20, 300, 600, 900, 1_000, 2_000])
def test_what_is_nested_deeply_is_text_or_set_aside(write_file: Write, tmp_path: Path, depth: int) -> None:
    """However deep, and whether of lists or of objects: the record behind it is read."""
    text = json.dumps(OLD)
    for opened, closed in (("[", "]"), ('{"a":', "}")):
        nested = text[:-1] + ', "extra": ' + opened * depth + "1" + closed * depth + "}"
        path = write_file(f"{text}\n{nested}\n{text}\n", "awards.json")
        loaded = load_awards(path, tmp_path / "out", Limits())
        rejected = loaded.rejected.get("the JSON object can't be read", 0)
        assert (loaded.rows + rejected, rejected) == (3, int(rejected > 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([OLD, NEW])[:-1], "the JSON is cut off"),
        (json.dumps([OLD, NEW])[:-300], "the JSON is cut off"),
        ('{"code": 403, "message": "undergoing maintenance"}', "no file of SBIR awards"),
        ("[]", "not a single record"),
        ("[" * 100_000, "cut off|not a single record"),
    ],
)
def test_other_answers_are_refused(write_file: Write, text: str, message: str) -> None:
    """An answer that is cut off, a message of failure, an empty answer: each is said."""
    with pytest.raises(InputError, match=message):
        read_awards(write_file(text, "awards.json"))


def test_awards_as_json_are_no_recipients(write_file: Write) -> None:
    """Given as the recipients, they are recognised."""
    with pytest.raises(InputError, match="a file of SBIR awards: give it as that"):
        read_recipients(write_file(json.dumps([OLD])))


def test_bytes_of_another_encoding_are_mended(write_file: Write, tmp_path: Path) -> None:
    """A Latin-1 byte is counted and read; half of a character, escaped, is dropped."""
    text = json.dumps({**OLD, "firm": "Caf\u00e9", "city": "X\ud800Y"}, ensure_ascii=True)
    loaded = load_awards(
        write_file(text.encode().replace(b"\\u00e9", b"\xe9"), "a.json"), tmp_path / "out", Limits()
    )
    frame = pd.read_parquet(loaded.paths["awards"])
    assert frame[["company", "city"]].to_numpy().tolist() == [["Café", "XY"]]
    assert loaded.repaired["not_utf8"] == 3


PIECES = st.sampled_from(
    [json.dumps(OLD), "\n", ",", "[", "]", "{", "}", '"', '{"firm": 1}', "17", "null", " ", "\\", "\ufeff"]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(["", "["]), st.integers(1, 3))
def test_any_json_gives_rows_or_a_plain_error(tmp_path: Path, text: str, start: str, rows: int) -> None:
    """Whatever follows a record: an error of the toolkit's own, or every record kept or rejected."""
    path = tmp_path / "fuzz.json"
    path.write_text(start + json.dumps(OLD) + ("," if start else "\n") + text, encoding="utf-8")
    try:
        loaded = load_awards(path, tmp_path / "out", Limits(read_rows=rows))
    except ToolkitError as refused:
        assert "to do:" in str(refused)
        return
    whole = load_awards(path, tmp_path / "whole", Limits())
    assert loaded.records_read == loaded.rows + sum(loaded.rejected.values())
    assert (loaded.rows, loaded.rejected) == (whole.rows, whole.rejected)


MARKS = st.sampled_from('"\\{}[],:\n\r\t\x00\x1e é\u2028\U0001f600')
TEXTS = st.text(st.one_of(MARKS, st.characters(exclude_categories=("Cs",))), max_size=8)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.integers(-(2**70), 2**70),
    st.dates().map(str),
    st.datetimes().map(lambda moment: moment.isoformat(" ")),
    st.booleans(),
    st.floats(allow_nan=False),
    st.lists(TEXTS, max_size=2),
)


def as_text(value: object) -> str:
    """What stands in the file, as text."""
    if isinstance(value, list):
        return "|".join(map(as_text, value))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    columns=st.lists(st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=3),
    dropped=st.sets(st.integers(0, 30)),
    written_as=st.tuples(
        st.sampled_from([None, None, 1]), st.sampled_from(["array", "lines"]), st.booleans()
    ),
)
def test_blocks_and_single_records_give_what_stands_there(
    tmp_path: Path,
    columns: list[list[object]],
    dropped: set[int],
    written_as: tuple[int | None, str, bool],
) -> None:
    """Whatever can be read at once, and whatever can't, comes out as the text that was written."""
    indent, form, is_ascii = written_as
    records = [
        {"firm": "A", "agency": "NSF", "award_year": "2020"}
        | {
            f"extra_{at}": values[row % len(values)]
            for at, values in enumerate(columns)
            if row * len(columns) + at not in dropped
        }
        for row in range(9)
    ]
    written = [json.dumps(record, indent=indent, ensure_ascii=is_ascii) for record in records]
    text = "[" + ",\n".join(written) + "]\n" if form == "array" else "\n".join(written)
    path = tmp_path / "awards.json"
    path.write_bytes(text.encode())
    with open_stream(Part(path)) as stream:
        batches = list(read_json_records(stream, AWARD_FORMAT, Limits(read_rows=4), where=path))
    found: list[dict[str, str]] = []
    for batch in batches:
        texts = [column.to_pylist() for column in batch.columns()]
        found += [
            {name: value or "" for name, value in zip(batch.layout.header, row, strict=True)}
            for row in zip(*texts, strict=True)
        ]
    keys = [key for key in found[-1] if key.startswith("extra")]
    assert [[row.get(key, "") for key in keys] for row in found] == [
        [as_text(record.get(key)) for key in keys] for record in records
    ]
    raws = [json.loads(batch.raw(at)) for batch in batches for at in range(len(batch.rows))]
    assert raws == records
    assert [row for batch in batches for row in batch.rows.tolist()] == list(range(1, 10))
    starts = [sum(piece.count("\n") + 1 for piece in written[:at]) + 1 for at in range(9)]
    assert [line for batch in batches for line in batch.lines.tolist()] == starts
