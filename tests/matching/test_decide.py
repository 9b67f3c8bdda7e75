"""Who a company is, of candidates already weighed."""

from __future__ import annotations

import numpy as np

from sbir_toolkit.matching.candidates import Candidates
from sbir_toolkit.matching.decide import choose
from tests.matching.conftest import Make

BRANCH = {"recipient_name": "VEXIL OPTICS", "parent_uei": "C111ATT311C8"}


def test_the_more_probable_firm_comes_before_the_more_probable_record(make_index: Make) -> None:
    """Two records of one parent are one firm, and more probable together than another firm's one."""
    index = make_index([BRANCH, {"recipient_name": "VEXILL OPTICS"}, BRANCH])
    row = np.arange(3)
    pairs = Candidates(np.zeros(3, np.int64), row, row, row, row, np.zeros(3, np.uint8))
    for alone, expected in ((0.4, (0, 1, 0.6, 0.4)), (0.7, (1, 0, 0.7, 0.25))):
        probability = np.array([0.3, alone, 0.3]) if alone < 0.5 else np.array([0.15, alone, 0.1])
        choice = choose(index, pairs, probability, 1)
        found = choice.best[0], choice.runner_up[0], choice.probability[0], choice.runner_up_probability[0]
        assert np.allclose(found, expected)
