"""Enrichment conserves awards and gives the same bytes however it is cut, scheduled or interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sbir_toolkit import enrich_awards
from sbir_toolkit.enrichment import Enriched, check_conserved
from sbir_toolkit.enrichment.journal import Journal
from sbir_toolkit.errors import ContractError
from sbir_toolkit.params import Params
from sbir_toolkit.storage import digest_file, read_lines
from sbir_toolkit.tables import COMPANY_MATCHES, ENRICHED_AWARDS, MATCHES

OUTPUTS = ("companies", "company_matches", "matches", "enriched_awards", "review_candidates")


def digests(folder: Path) -> dict[str, str]:
    return {name: digest_file(folder / f"{name}.parquet") for name in OUTPUTS}


def enrich(stored: tuple[Path, Path], folder: Path, params: Params) -> Enriched:
    return enrich_awards(*stored, folder, folder / "store", params)


@pytest.fixture(scope="module")
def undisturbed(stored: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    params = Params.model_validate({"compute": {"chunk_companies": 10, "workers": 2}})
    enrich(stored, folder, params)
    return digests(folder)


def journal_lines(store: Path) -> list[dict[str, object]]:
    (path,) = store.glob("matching/*/journal.ndjson")
    return read_lines(path)


def test_every_award_gets_its_company_s_recipient(
    stored: tuple[Path, Path], tmp_path: Path, params: Params
) -> None:
    """With one right answer each, all awards are linked to it, in order, by the tier that should."""
    done = enrich(stored, tmp_path, params)
    awards = pq.read_table(stored[0]).to_pandas()
    matches = pq.read_table(done.tables.matches).to_pandas()
    truth = [f"r{(number * 7) % 90:03d}" for number in range(400)]
    assert done.decisions == {"accept": 400, "review": 0, "reject": 0}
    assert matches["award_id"].tolist() == awards["award_id"].tolist()
    assert matches["recipient_id"].tolist() == truth
    assert matches.loc[awards["duns"].notna(), "tier"].eq("duns").all()
    assert matches.loc[awards["duns"].isna(), "tier"].eq("name_exact").all()
    for contract in (COMPANY_MATCHES, MATCHES, ENRICHED_AWARDS):
        assert contract.check_file(tmp_path / f"{contract.name}.parquet") > 0


def test_a_company_s_year_is_that_of_its_last_award(
    stored: tuple[Path, Path], tmp_path: Path, params: Params
) -> None:
    """However the awards are read, a company has as many awards as there are, and the last one's year."""
    done = enrich(stored, tmp_path, params)
    awards = pd.read_parquet(stored[0]).assign(duns=lambda frame: frame["duns"].fillna(""))
    expected = awards.groupby(["company", "duns"])["award_year"].agg(["max", "size"])
    found = pd.read_parquet(done.tables.companies).assign(duns=lambda frame: frame["duns"].fillna(""))
    found = found.set_index(["company", "duns"])[["last_award_year", "awards"]].sort_index()
    assert found.to_numpy().tolist() == expected.to_numpy().tolist()


def test_enriched_awards_carry_the_recipient_s_own_facts(
    stored: tuple[Path, Path], tmp_path: Path, params: Params
) -> None:
    """What is added to an award is what the recipients' table says, and the award's own columns stay."""
    enriched = pq.read_table(enrich(stored, tmp_path, params).tables.enriched_awards).to_pandas()
    recipients = pq.read_table(stored[1]).to_pandas().set_index("recipient_id")
    expected = recipients.loc[enriched["recipient_id"]]
    for ours, theirs in (
        ("recipient_duns", "duns"),
        ("recipient_zip5", "zip5"),
        ("recipient_name", "recipient_name"),
    ):
        assert enriched[ours].tolist() == expected[theirs].tolist()
    awards = pq.read_table(stored[0]).to_pandas()
    assert enriched["award_usd"].tolist() == awards["award_usd"].tolist()


@pytest.mark.parametrize(
    "compute",
    [
        {"chunk_companies": 1},
        {"chunk_companies": 1000},
        {"chunk_companies": 7, "workers": 1},
        {"chunk_companies": 10, "scheduler": "processes", "workers": 2},
    ],
    ids=["one each", "all at once", "one worker", "processes"],
)
def test_result_does_not_depend_on_how_it_is_computed(
    stored: tuple[Path, Path], tmp_path: Path, undisturbed: dict[str, str], compute: dict[str, object]
) -> None:
    """Chunk size, number of workers and scheduler change nothing, to the byte."""
    enrich(stored, tmp_path, Params.model_validate({"compute": compute, "limits": {"read_rows": 33}}))
    assert digests(tmp_path) == undisturbed


def test_second_time_nothing_is_computed(stored: tuple[Path, Path], tmp_path: Path, params: Params) -> None:
    """Committed chunks are found again; a damaged part is redone, and only that one."""
    first = enrich(stored, tmp_path, params)
    assert (first.chunks, first.chunks_reused) == (9, 0)
    assert enrich(stored, tmp_path, params).chunks_reused == 9
    before = digests(tmp_path)
    for told in first.parts:
        (path,) = tmp_path.glob(f"store/matching/*/{told['part']}.parquet")
        assert digest_file(path) == told["digest"]
    assert sum(told["companies"] for told in first.parts) == first.companies
    part = sorted(tmp_path.glob("store/matching/*/part-*.parquet"))[3]
    part.write_bytes(part.read_bytes()[:-1])
    assert enrich(stored, tmp_path, params).chunks_reused == 8
    assert digests(tmp_path) == before
    assert len(journal_lines(tmp_path / "store")) == 10


def test_a_refreshed_file_is_matched_where_it_is_new(
    stored: tuple[Path, Path], tmp_path: Path, undisturbed: dict[str, str], params: Params
) -> None:
    """Of a file that won some companies only those are matched, in chunks of their own; same bytes."""
    table = pq.read_table(stored[0])
    earlier = tmp_path / "earlier.parquet"
    pq.write_table(table.take([row for row in range(table.num_rows) if row % 90 >= 20]), earlier)
    first = enrich((earlier, stored[1]), tmp_path, params)
    done = enrich(stored, tmp_path, params)
    new = done.companies - first.companies
    assert 0 < new < done.companies
    assert done.companies_reused == first.companies
    rows = [int(str(line["rows"])) for line in journal_lines(tmp_path / "store")[first.chunks :]]
    assert sorted(rows, reverse=True) == [10] * (new // 10) + [new % 10] * (new % 10 > 0)
    assert not list(tmp_path.glob("store/matching/*/new*"))
    assert digests(tmp_path) == undisturbed
    assert enrich(stored, tmp_path, params).companies_reused == done.companies


def test_changed_parameter_makes_other_chunks(
    stored: tuple[Path, Path], tmp_path: Path, params: Params
) -> None:
    """A parameter of the matching is part of every chunk's key."""
    enrich(stored, tmp_path, params)
    changed = Params.model_validate({**params.model_dump(), "matching": {"accept_probability": 0.95}})
    assert enrich(stored, tmp_path, changed).chunks_reused == 0


def test_journal_ignores_torn_lines_and_parts_without_a_line(tmp_path: Path) -> None:
    """Half a line, a part nobody committed, a line whose part is gone: none of them counts."""
    journal = Journal(tmp_path)
    journal.part("b").write_bytes(b"never committed")
    (tmp_path / "journal.ndjson").write_text(
        '{"key":"a","rows":1,"digest":"sha256:0","elapsed_s":1,"cpu_s":1,'
    )
    assert Journal(tmp_path).whole() == []


KILLED = """
import sys
from pathlib import Path
from sbir_toolkit import enrich_awards
from sbir_toolkit.params import Params
from sbir_toolkit.enrichment import execute
import time

inner = execute.match_chunk
def slow(task):
    done = inner(task)
    time.sleep(0.15)
    return done
execute.match_chunk = slow
folder = Path(sys.argv[3])
params = Params.model_validate({"compute": {"chunk_companies": 10, "workers": 2}})
enrich_awards(Path(sys.argv[1]), Path(sys.argv[2]), folder, folder / "store", params)
"""


def test_killed_in_the_middle_goes_on_where_it_was(
    stored: tuple[Path, Path], tmp_path: Path, undisturbed: dict[str, str], params: Params
) -> None:
    """After SIGKILL committed chunks stay committed, and the end is that of an undisturbed run."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, stored), str(tmp_path)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list(tmp_path.glob("store/matching/*/journal.ndjson"))
        if found and len(read_lines(found[0])) >= 2:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    survived = {str(line["key"]) for line in journal_lines(tmp_path / "store")}
    assert 2 <= len(survived) < 9
    done = enrich(stored, tmp_path, params)
    assert done.chunks_reused == len(survived)
    assert len(journal_lines(tmp_path / "store")) == 9
    assert digests(tmp_path) == undisturbed


def test_lost_rows_are_noticed(stored: tuple[Path, Path], tmp_path: Path, params: Params) -> None:
    """A result with a row too few, or in another order, is refused."""
    done = enrich(stored, tmp_path, params)
    matches = pq.read_table(done.tables.matches)
    path = tmp_path / "wrong.parquet"
    pq.write_table(matches.slice(1), path)
    with pytest.raises(ContractError, match="lost or doubled"):
        check_conserved(stored[0], path, MATCHES)
    pq.write_table(matches.take([1, 0, *range(2, 400)]), path)
    with pytest.raises(ContractError, match="order"):
        check_conserved(stored[0], path, MATCHES)


def test_no_awards_at_all_is_a_result_too(stored: tuple[Path, Path], tmp_path: Path, params: Params) -> None:
    """Zero awards give zero matches, not an error."""
    empty = tmp_path / "awards.parquet"
    pq.write_table(pq.read_table(stored[0]).slice(0, 0), empty)
    done = enrich((empty, stored[1]), tmp_path / "out", params)
    assert (done.awards, done.companies, done.chunks) == (0, 0, 0)
    assert pd.read_parquet(done.tables.enriched_awards).empty
