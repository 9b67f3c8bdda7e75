"""Companies of one name are told what the others know, in pieces that fit into the memory there is."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sbir_toolkit import enrich_awards
from sbir_toolkit.enrichment.relate import relate_siblings
from sbir_toolkit.matching import kin, open_index
from sbir_toolkit.matching.match import KEPT, match_and_keep
from sbir_toolkit.params import Params
from sbir_toolkit.tables import COMPANY_MATCHES

BEFORE = '{"before":1.0}'


def test_pieces_of_any_size_give_the_same_bytes(
    stored: tuple[Path, Path], tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who was in doubt is matched anew, in place; how much is read and matched at once doesn't show."""
    tables = enrich_awards(*stored, tmp_path, tmp_path / "store", params).tables
    (facts,) = tmp_path.glob("store/index/*/index.json")
    index = open_index(facts.parent)
    companies = pq.read_table(tables.companies).to_pandas()
    kept = match_and_keep(companies, index, params.matching)[KEPT]
    matches = pq.read_table(tables.company_matches).to_pandas()
    is_doubtful = matches["tier"].eq("name_exact") & (matches.index % 4 < 2)
    assert 10 < is_doubtful.sum() < len(matches)
    told = matches.assign(evidence=BEFORE)
    told["match_probability"] = told["match_probability"].mask(is_doubtful, 0.9)
    told["match_probability"] = told["match_probability"].mask(~is_doubtful, 0.99)
    related = []
    for pieces in (1_000, 7):
        pq.write_table(COMPANY_MATCHES.arrow(told), tables.company_matches, row_group_size=pieces)
        monkeypatch.setattr(kin, "BLOCK", pieces)
        count = relate_siblings(tables, kept, index, params.matching, threads=2, at_once=pieces)
        assert count == is_doubtful.sum()
        related.append(tables.company_matches.read_bytes())
    assert related[0] == related[1]
    found = pq.read_table(pa.py_buffer(related[0])).to_pandas()
    assert found["company_id"].tolist() == matches["company_id"].tolist()
    assert (found["evidence"] != BEFORE).tolist() == is_doubtful.tolist()
