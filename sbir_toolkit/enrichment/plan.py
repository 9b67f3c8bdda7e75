"""The plan: which companies go into which chunk, what each chunk is called, and which are done already.

Companies stand in the order of their names and are cut into chunks of equal size. A chunk's key is a digest
of everything its result depends on: the companies in it, the recipient index, the parameters that matter to
matching, the code that matches, the versions of the libraries that decide. So a chunk may be reused whenever
its key is known, whoever made it, and never when anything that matters has changed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.matching.layout import MEMORY_SHARE
from sbir_toolkit.memory import THRIFTY_BELOW_MB, allocator_settings
from sbir_toolkit.params import Matching, Params
from sbir_toolkit.storage import digest_value

# Working memory of one company while its candidates are scored: about 20 candidates with their names, tokens
# and features. Measured on the synthetic sample and rounded up; the plan prints it, so that a wrong guess can
# be seen.
BYTES_PER_COMPANY = 40_000
SMALLEST_CHUNK, LARGEST_CHUNK = 250, 20_000
CHUNKS_PER_WORKER = 4
KEY = "company_key"
"""The column of a committed part that tells what each company's result depends on; see `company_keys`."""
KEYED = ("company_id", "contracts")
"""The columns of `companies` that make it."""


@dataclass(frozen=True)
class Chunk:
    """A run of consecutive companies, `start` up to but without `stop`, and the key of its result."""

    start: int
    stop: int
    key: str

    @property
    def rows(self) -> int:
        """How many companies it holds."""
        return self.stop - self.start


@dataclass(frozen=True)
class ChunkTask:
    """What a worker is told: where things are, which rows are its own, and what is known of some already.

    What is known stands in the file `known`, for this chunk in the row group `known_group`.
    """

    companies: str
    index: str
    part: str
    chunk: Chunk
    matching: Matching
    known: str | None = None
    known_group: int = 0


@dataclass(frozen=True)
class ChunkPlan:
    """All chunks, and why they are the size they are."""

    chunks: tuple[Chunk, ...]
    reason: str


def plan_chunks(companies: Path, params: Params, workers: int, depends_on: dict[str, str]) -> ChunkPlan:
    """Cut the companies into chunks and name each by what its result depends on.

    Parameters
    ----------
    companies
        Parquet of the contract `companies`, in the order that `collapse_awards` gives them.
    params
        `compute.chunk_companies` and `limits.memory_mb` decide the size.
    workers
        How many chunks are worked on at once.
    depends_on
        What the result depends on besides the companies: name of the part to its digest.

    Returns
    -------
    ChunkPlan
        Chunks in order; none when there are no companies.
    """
    ids = company_keys(pq.read_table(companies, columns=list(KEYED))).combine_chunks()
    size, reason = _chunk_size(len(ids), params, workers)
    shared = digest_value(depends_on)
    chunks = []
    for start in range(0, len(ids), size):
        stop = min(start + size, len(ids))
        text = shared + "\n" + "\n".join(ids[start:stop].to_pylist())
        chunks.append(Chunk(start, stop, hashlib.sha256(text.encode()).hexdigest()[:32]))
    return ChunkPlan(tuple(chunks), f"{reason}; {explain_memory(params.limits.memory_mb)}")


def explain_memory(memory_mb: int) -> str:
    """Say what follows from the limit of memory besides the size of chunks."""
    told = f"an index is sorted {memory_mb * MEMORY_SHARE:,.0f} MB at a time"
    if allocator_settings(memory_mb):
        told += f", and memory goes back as soon as it's free, as the limit is below {THRIFTY_BELOW_MB:,} MB"
    return told


def company_keys(companies: pa.Table) -> pa.ChunkedArray:
    """Give what tells a company from any other: its id, and the contracts that name a recipient.

    Parameters
    ----------
    companies : pyarrow.Table
        With the columns company_id and contracts of the contract `companies`.

    Returns
    -------
    pyarrow.ChunkedArray of str
    """
    names = [companies[name] for name in KEYED]
    return pc.binary_join_element_wise(*names, " ", null_handling="skip")


def _chunk_size(companies: int, params: Params, workers: int) -> tuple[int, str]:
    if params.compute.chunk_companies:
        size = params.compute.chunk_companies
        return size, f"{size:,} companies a chunk, as compute.chunk_companies says"
    fits = int(params.limits.memory_mb * 1_000_000 / 2 / workers / BYTES_PER_COMPANY)
    balanced = math.ceil(companies / (CHUNKS_PER_WORKER * workers))
    size = max(SMALLEST_CHUNK, min(fits, balanced, LARGEST_CHUNK))
    return size, (
        f"{size:,} companies a chunk: {fits:,} fit into half of {params.limits.memory_mb:,} MB "
        f"for {workers} worker(s), "
        f"{balanced:,} give each worker {CHUNKS_PER_WORKER} chunks"
    )
