"""The plan: which companies are known already, and which of the others go into which chunk.

Companies stand in the order of their names; those that no committed part holds are cut into chunks of equal
size. The size depends on all companies, so a chunk stays the same while others before it get committed, and
an interrupted matching goes on with the chunks that it had. A chunk's key is a digest of everything its
result depends on: the companies in it, the recipient index, the parameters that matter to matching, the code
that matches, the versions of the libraries that decide.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.journal import Journal
from sbir_toolkit.enrichment.parts import KEYED, Piece, company_keys, find_known
from sbir_toolkit.matching.layout import MEMORY_SHARE
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.memory import THRIFTY_BELOW_MB, allocator_settings
from sbir_toolkit.params import Matching, Params
from sbir_toolkit.storage import digest_value

# Working memory of one company while its candidates are scored: about 20 candidates with their names, tokens
# and features. Measured on the synthetic sample and rounded up; the plan prints it, so that a wrong guess can
# be seen.
BYTES_PER_COMPANY = 40_000
SMALLEST_CHUNK, LARGEST_CHUNK = 250, 20_000
CHUNKS_PER_WORKER = 4


@dataclass(frozen=True)
class Chunk:
    """A run of consecutive new companies, `start` up to but without `stop`, and the key of its result."""

    start: int
    stop: int
    key: str

    @property
    def rows(self) -> int:
        """How many companies it holds."""
        return self.stop - self.start


@dataclass(frozen=True)
class ChunkTask:
    """What a worker is told: where things are, and which rows are its own."""

    companies: str
    index: str
    part: str
    chunk: Chunk
    matching: Matching


@dataclass(frozen=True)
class ChunkPlan:
    """What is known, what is to be done, and why in chunks of that size.

    Parameters
    ----------
    chunks : tuple of Chunk
        They are counted in the new companies.
    reason : str
    size : int
        Companies in a chunk.
    companies : int
        How many there are in all.
    known : list of Piece
        What committed parts hold of them.
    new : int64 array
        Positions of the others, ascending.
    digest : str
        Tells this plan from those for other companies or chunks.
    """

    chunks: tuple[Chunk, ...]
    reason: str
    size: int
    companies: int
    known: list[Piece]
    new: Ints
    digest: str

    @property
    def companies_known(self) -> int:
        """How many companies needn't be matched."""
        return self.companies - len(self.new)


def plan_chunks(
    companies: Path, journal: Journal, params: Params, workers: int, depends_on: dict[str, str]
) -> ChunkPlan:
    """Find what is known of companies, cut the others into chunks, name each by what its result depends on.

    Parameters
    ----------
    companies
        Parquet of the contract `companies`, in the order that `collapse_awards` gives them.
    journal
        The chunks that were committed with the same `depends_on`.
    params
        `compute.chunk_companies` and `limits.memory_mb` decide the size.
    workers
        How many chunks are worked on at once.
    depends_on
        What the result depends on besides the companies: name of the part to its digest.

    Returns
    -------
    ChunkPlan
        Chunks in order; none when all is known.
    """
    keys = company_keys(pq.read_table(companies, columns=list(KEYED))).combine_chunks()
    size, reason = _chunk_size(len(keys), params, workers)
    shared = digest_value(depends_on)
    digest = _digest_keys(f"{shared} {size}", keys)
    known = find_known(journal, keys, digest)
    is_new = np.ones(len(keys), bool)
    for piece in known:
        is_new[piece.places] = False
    new = np.flatnonzero(is_new)
    chunks = [
        Chunk(start, start + len(one), _digest_keys(shared, keys.take(pa.array(one))))
        for start in range(0, len(new), size)
        for one in [new[start : start + size]]
    ]
    reason = f"{reason}; {explain_memory(params.limits.memory_mb)}"
    return ChunkPlan(tuple(chunks), reason, size, len(keys), known, new, digest)


def _digest_keys(shared: str, keys: pa.Array) -> str:
    text = shared + "\n" + "\n".join(keys.to_pylist())
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def explain_memory(memory_mb: int) -> str:
    """Say what follows from the limit of memory besides the size of chunks."""
    told = f"an index is sorted {memory_mb * MEMORY_SHARE:,.0f} MB at a time"
    if allocator_settings(memory_mb):
        told += f", and memory goes back as soon as it's free, as the limit is below {THRIFTY_BELOW_MB:,} MB"
    return told


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
