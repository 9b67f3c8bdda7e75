"""What comes in: the readers of award and recipient files, and the forms of what stands in them."""

from sbir_toolkit.sources.awards import load_awards, read_awards
from sbir_toolkit.sources.download import fetch_file
from sbir_toolkit.sources.identifiers import (
    normalise_cage,
    normalise_contract,
    normalise_duns,
    normalise_uei,
)
from sbir_toolkit.sources.inputs import find_files
from sbir_toolkit.sources.outcomes import Loaded
from sbir_toolkit.sources.places import normalise_state, normalise_zip5
from sbir_toolkit.sources.recipients import load_recipients, read_recipients, stream_recipients

__all__ = [
    "Loaded",
    "fetch_file",
    "find_files",
    "load_awards",
    "load_recipients",
    "normalise_cage",
    "normalise_contract",
    "normalise_duns",
    "normalise_state",
    "normalise_uei",
    "normalise_zip5",
    "read_awards",
    "read_recipients",
    "stream_recipients",
]
