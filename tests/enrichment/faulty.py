"""A matcher with a fault, importable by worker processes: some companies are more than it bears."""

from __future__ import annotations

import os
import signal

import pandas as pd
import pyarrow as pa

from sbir_toolkit.enrichment import execute
from sbir_toolkit.enrichment.journal import Commit
from sbir_toolkit.enrichment.plan import ChunkTask
from sbir_toolkit.matching.match import match_and_keep

DEADLY, WRONG = "DYNAMO HELIX", "JUNIPER ALPHA"
match_chunk = execute.match_chunk


def match_or_die(companies: pd.DataFrame, *rest: object) -> pa.Table:
    """Match; at one company the process is killed, at another one Python raises."""
    names = companies["company"].str.upper()
    if names.str.contains(DEADLY).any():
        os.kill(os.getpid(), signal.SIGKILL)
    if names.str.contains(WRONG).any():
        raise ValueError("month must be in 1..12")
    return match_and_keep(companies, *rest)  # type: ignore[arg-type]


def match_faulty_chunk(task: ChunkTask) -> Commit:
    """Stand for `execute.match_chunk` in any process."""
    execute.match_and_keep = match_or_die  # type: ignore[assignment]
    return match_chunk(task)
