"""Contracts from archives to awards, on synthetic files whose truth is known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit import enrich_awards, load_awards, load_recipients, write_synthetic
from sbir_toolkit.params import Params
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import AWARDS

PARAMS = Params.model_validate({"compute": {"scheduler": "threads", "chunk_companies": 200}})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], pd.DataFrame]:
    folder = tmp_path_factory.mktemp("contracts")
    files = write_synthetic(folder, awards=1_200, recipients=3_000, seed=5, archives=True)
    paths = load_awards(files.awards, folder, PARAMS.limits).paths
    paths |= load_recipients([files.recipients, *files.archives], folder, PARAMS.limits).paths
    return folder, paths, pd.read_csv(files.truth, dtype=str)


def match(
    world: tuple[Path, dict[str, Path], pd.DataFrame], name: str, *, with_contracts: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the matches beside the truth, and the companies."""
    folder, paths, truth = world
    contracts = paths["recipient_contracts"] if with_contracts else None
    tables = enrich_awards(
        paths["awards"], paths["recipients"], folder / name, folder / "store", PARAMS, contracts=contracts
    ).tables
    rows = pd.read_parquet(paths["awards"], columns=["source_row", "contract"])
    beside = truth.set_index(truth["source_row"].astype(int)).loc[rows["source_row"]].reset_index(drop=True)
    found = pd.concat([pd.read_parquet(tables.matches), rows, beside[["recipient_hash", "noise"]]], axis=1)
    return found, pd.read_parquet(tables.companies)


def test_contracts_find_what_names_do_not(world: tuple[Path, dict[str, Path], pd.DataFrame]) -> None:
    """What contracts link is right, and more is found than without; junk numbers link nobody."""
    found, companies = match(world, "with")
    plain, bare = match(world, "without", with_contracts=False)
    by_contract = found[found["tier"] == "contract"]
    assert len(by_contract) > 100
    assert (by_contract["decision"] == "accept").mean() > 0.95
    assert (by_contract["recipient_id"] == by_contract["recipient_hash"]).mean() > 0.99
    right, before = (
        ((frame["decision"] == "accept") & (frame["recipient_id"] == frame["recipient_hash"])).sum()
        for frame in (found, plain)
    )
    assert right > before
    assert (found["contract"] == "NAS 96-1").any()
    assert not companies["contracts"].str.contains("NAS961", na=False).any()
    assert bare["contracts"].isna().all()
    assert companies.drop(columns="contracts").equals(bare.drop(columns="contracts"))


def test_a_refreshed_file_is_matched_again_where_contracts_changed(
    world: tuple[Path, dict[str, Path], pd.DataFrame],
) -> None:
    """Only companies whose contracts are others than before are matched again, as if afresh."""
    folder, paths, _ = world
    awards = pd.read_parquet(paths["awards"])
    first = awards.assign(contract=awards["contract"].where(awards.index % 7 != 0))
    told = {}
    for name, frame, store in (
        ("older", first, "shared"),
        ("newer", awards, "shared"),
        ("fresh", awards, "own"),
    ):
        path = folder / f"{name}.parquet"
        write_parquet(path, AWARDS.arrow(frame))
        told[name] = enrich_awards(
            path,
            paths["recipients"],
            folder / name,
            folder / store,
            PARAMS,
            contracts=paths["recipient_contracts"],
        )
    changed = [pd.read_parquet(told[name].tables.companies)["contracts"] for name in ("older", "newer")]
    differing = (changed[0].fillna("") != changed[1].fillna("")).sum()
    assert 0 < differing < told["newer"].companies
    assert told["newer"].companies_reused == told["newer"].companies - differing
    assert told["newer"].tables.matches.read_bytes() == told["fresh"].tables.matches.read_bytes()
