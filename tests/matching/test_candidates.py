"""Each route to candidates finds what the others are blind to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from sbir_toolkit.matching.candidates import find_by_each_route
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import read_places
from sbir_toolkit.params import Matching
from tests.matching.background import make_background
from tests.matching.conftest import Make

HERE = {"address1": "77 Oak Ave", "city": "Austin", "state": "TX", "zip5": "78741"}


@pytest.mark.parametrize(
    ("company", "address1", "routes"),
    [
        ("Nanohmics Widget Laboratories", "1 Elm St", {"exact", "words"}),
        ("Widget Nanohmics Laboratories", "1 Elm St", {"same words", "words"}),
        ("Nanohmisc Widget Laboratories", "1 Elm St", {"words"}),
        ("Omega Paving", "77 Oak Avenue", {"place"}),
        ("Omega Paving", "1 Elm St", set()),
    ],
)
def test_each_route_finds_its_own(make_index: Make, company: str, address1: str, routes: set[str]) -> None:
    """The same name, the same words, a mistyped word, the same building: each is found by its route."""
    known = {"recipient_name": "NANOHMICS WIDGET LABORATORIES INC", **HERE}
    index = make_index([known, *make_background(300)])
    names = read_names(pa.array([company], pa.string()))
    place = HERE | {"address1": address1}
    column = (pa.array([place[name]], pa.string()) for name in ("address1", "city", "state", "zip5"))
    found = find_by_each_route(index, names, read_places(*column), Matching())
    assert {route for route, pairs in found.items() if np.any(pairs.row == 0)} == routes
    assert all(np.all(pairs.company == 0) for pairs in found.values())
