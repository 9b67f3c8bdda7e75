"""Recipients are found by whatever a person names them by."""

from __future__ import annotations

import pytest

from sbir_toolkit.matching.lookup import find_recipients
from tests.matching.conftest import Make


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_the_first_of_several_is_found(
    make_index: Make, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Of recipients that share an identifier the first one counts, however many are looked at at once."""
    monkeypatch.setattr("sbir_toolkit.matching.lookup._LOOKED_AT", at_once)
    duns = ("111111111", "222222222", "222222222", None, "333333333", "222222222", "111111111")
    rows = [
        {"recipient_id": f"r{at}", "recipient_name": f"FIRM {at}", "duns": one} for at, one in enumerate(duns)
    ]
    index = make_index(rows)
    found = find_recipients(index, "duns", ["222222222", "333333333", "111111111", "999999999"])
    assert found == {"111111111": 0, "222222222": 1, "333333333": 4}
    assert find_recipients(index, "recipient_id", ["r6", "r3", "r6", "nobody"]) == {"r3": 3, "r6": 6}
    assert find_recipients(index, "uei", []) == {}
