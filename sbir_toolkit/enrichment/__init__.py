"""Matching at full size: distinct companies, chunks, a journal, and the way back to the awards.

`enrich_awards` is the whole of it: collapse, index, chunks, combine, join. Each step is a module of this
room.
"""

from __future__ import annotations

from sbir_toolkit.enrichment.combine import check_conserved
from sbir_toolkit.enrichment.enrich import Enriched, enrich_awards, link_awards, prepare_index

__all__ = ["Enriched", "check_conserved", "enrich_awards", "link_awards", "prepare_index"]
