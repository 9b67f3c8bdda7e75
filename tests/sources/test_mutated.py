"""Valid files of each format, damaged a little: what is read adds up, or an error of the toolkit's own comes.

`SBIR_FUZZ_EXAMPLES=5000 pytest tests/sources/test_mutated.py` looks for longer.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit import write_synthetic
from sbir_toolkit.enrichment.overrides import read_overrides
from sbir_toolkit.errors import ToolkitError
from sbir_toolkit.matching.accuracy.labels import read_labels
from sbir_toolkit.params import Limits
from sbir_toolkit.sources import load_awards, load_recipients

EXAMPLES = int(os.environ.get("SBIR_FUZZ_EXAMPLES", "25"))
LIMITS = Limits(memory_mb=256, read_rows=5)

Mutation = tuple[str, float, bytes]
MARKS = st.sampled_from([*(bytes([code]) for code in b'",\n\t|\\\0{}]\xff'), b"\r\n", b"\\.\n"])
BYTES = st.one_of(st.binary(min_size=1, max_size=4), MARKS)
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put over", "put in", "take out", "cut off", "double"]),
        st.floats(0, 1, exclude_max=True),
        BYTES,
    ),
    min_size=1,
    max_size=3,
)


def mutate(content: bytes, mutations: list[Mutation]) -> bytes:
    """Damage bytes: each change somewhere, with some bytes, or as many of them."""
    for kind, where, some in mutations:
        at = int(where * len(content))
        before, behind = content[:at], content[at:]
        content = {
            "put over": before + some + behind[len(some) :],
            "put in": before + some + behind,
            "take out": before + behind[16 * len(some) :],
            "cut off": before,
            "double": before + behind[: 16 * len(some)] + behind,
        }[kind]
    return content


@functools.cache
def files() -> dict[str, bytes]:
    """Make a small valid file of each format, by its name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = write_synthetic(folder, awards=12, recipients=30, seed=3, archives=True)
        forms = {
            form: write_synthetic(folder / form, awards=1, recipients=30, seed=3, recipients_format=form)
            for form in ("dump", "sam", "parquet")
        }
        awards = made.awards.read_bytes()
        records = list(csv.DictReader(io.StringIO(awards.decode())))
        keyed = [
            {key.lower().replace(" ", "_"): value for key, value in record.items()} for record in records
        ]
        pd.DataFrame(records).to_parquet(folder / "awards.parquet")
        with zipfile.ZipFile(forms["dump"].recipients) as dump:
            for member in dump.namelist():
                path = folder / Path(member).name
                path.write_bytes(dump.read(member))
        sheet = pd.DataFrame(
            {
                "key": ["pair-0123456789abcdef-a5fa777a-1da7"],
                "same": ["yes"],
                "who": ["Ada"],
                "note": ["seen"],
            }
        )
        decided = pd.DataFrame(
            {
                **{"company": ["Acme"], "state": ["MA"], "spellings": [""], "recipient_id": ["r-1"]},
                **{"recipient_uei": [""], "recipient_duns": [""]},
                **{"decision": ["same"], "who": ["Ada"], "why": ["it is"]},
            }
        )
        for stem, frame in (("labels", sheet), ("overrides", decided)):
            frame.to_excel(folder / f"{stem}.xlsx", index=False)
            frame.to_csv(folder / f"{stem}.csv", index=False)
        found = {
            "awards.csv": awards,
            "awards.csv.gz": gzip.compress(awards),
            "awards.json": json.dumps(keyed).encode(),
            "awards.jsonl": "\n".join(map(json.dumps, keyed)).encode(),
            "awards.parquet": (folder / "awards.parquet").read_bytes(),
            "recipients.csv": made.recipients.read_bytes(),
            "recipients.parquet": forms["parquet"].recipients.read_bytes(),
            "dump.zip": forms["dump"].recipients.read_bytes(),
            "toc.dat": (folder / "toc.dat").read_bytes(),
            "5412.dat": gzip.decompress((folder / "5412.dat.gz").read_bytes()),
            "5412.dat.gz": (folder / "5412.dat.gz").read_bytes(),
            "sam.zip": forms["sam"].recipients.read_bytes(),
            "archive.zip": made.archives[0].read_bytes(),
            **{path.name: path.read_bytes() for path in folder.glob("[lo]*.*") if path.stem != "awards"},
        }
        for member, at in (("sam.dat", "sam.zip"), ("archive.csv", "archive.zip")):
            with zipfile.ZipFile(io.BytesIO(found[at])) as packed:
                found[member] = packed.read(packed.namelist()[0])
        return found


def hold(load: Callable[..., object], path: Path, folder: Path) -> None:
    """Load a file; what is loaded must add up."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        loaded = load(path, folder, LIMITS)
    except ToolkitError:
        assert not list(folder.glob("*"))
        return
    rejected = sum(loaded.rejected.values())
    assert loaded.records_read == loaded.rows + rejected + sum(loaded.merged.values())
    assert pq.read_metadata(loaded.paths[loaded.table]).num_rows == loaded.rows
    assert pq.read_metadata(loaded.paths[f"{loaded.table[:-1]}_rejects"]).num_rows == rejected
    for stored in loaded.paths.values():
        pq.read_table(stored).validate(full=True)


@pytest.mark.parametrize(
    "name",
    [
        *("awards.csv", "awards.csv.gz", "awards.json", "awards.jsonl", "awards.parquet"),
        *("recipients.csv", "recipients.parquet", "dump.zip", "toc.dat", "5412.dat", "5412.dat.gz"),
        *("sam.zip", "sam.dat", "archive.zip", "archive.csv"),
    ],
)
def test_a_damaged_file_adds_up_or_is_refused(tmp_path: Path, name: str) -> None:
    """Bytes changed, put in, taken out, doubled or cut off, in the file and in what is packed in it."""
    load = load_awards if name.startswith("awards") else load_recipients
    content = files()[name]
    if name in {"toc.dat", "5412.dat", "5412.dat.gz"}:
        for other in ("toc.dat", "5412.dat.gz"):
            (tmp_path / other).write_bytes(files()[other])
    if name == "5412.dat":
        (tmp_path / "5412.dat.gz").unlink()
    path = tmp_path / name
    path.write_bytes(content)
    assert load(path, tmp_path / "whole", LIMITS).rows

    @settings(max_examples=EXAMPLES)
    @given(MUTATIONS)
    def damage(mutations: list[Mutation]) -> None:
        path.write_bytes(mutate(content, mutations))
        hold(load, path, tmp_path / "out")

    damage()


@pytest.mark.parametrize("name", ["labels.csv", "labels.xlsx", "overrides.csv", "overrides.xlsx"])
def test_a_damaged_list_of_a_person_is_read_or_refused(tmp_path: Path, name: str) -> None:
    """What comes back from a spreadsheet is read, or refused in plain words."""
    read: Callable[[Path], object] = read_labels if name.startswith("labels") else read_overrides
    content, path = files()[name], tmp_path / name
    path.write_bytes(content)
    assert len(read(path)) == 1

    @settings(max_examples=EXAMPLES)
    @given(MUTATIONS)
    def damage(mutations: list[Mutation]) -> None:
        path.write_bytes(mutate(content, mutations))
        try:
            read(path)
        except ToolkitError:
            return

    damage()


def test_what_is_packed_may_be_damaged_too(tmp_path: Path) -> None:
    """The same for the text in an archive whose checksums are right."""
    packed = {"sam.zip": "sam.dat", "archive.zip": "archive.csv"}
    path = tmp_path / "packed.zip"

    @settings(max_examples=2 * EXAMPLES)
    @given(st.sampled_from(sorted(packed)), MUTATIONS)
    def damage(name: str, mutations: list[Mutation]) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(packed[name], mutate(files()[packed[name]], mutations))
        hold(load_recipients, path, tmp_path / "out")

    damage()
