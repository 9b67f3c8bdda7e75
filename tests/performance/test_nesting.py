"""Phases share the clock, and know what they are a part of."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.performance import measure_run

from .runs import phase_event, run_record

MAIN, ONE, OTHER = 0, 11, 12


def of(thread, phase, started, elapsed_s, pid=1):
    return phase_event("match", phase, started, elapsed_s, pid=pid, thread=thread)


def measured(*events):
    figures = measure_run(run_record(), events)
    return figures[figures["phase"] != "all"].set_index("phase")


def test_workers_share_the_clock():
    """Two workers at once have half a moment each; the phase around them has what is left."""
    figures = measured(
        of(MAIN, "match", 0, 8), of(ONE, "score", 1, 4), of(OTHER, "score", 1, 2), of(OTHER, "decide", 3, 4)
    )
    assert figures["own_s"].to_dict() == pytest.approx({"match": 2.0, "score": 3.0, "decide": 3.0})
    assert figures["inside"].fillna("-").to_dict() == {"match": "-", "score": "match", "decide": "match"}


def test_what_one_worker_does_is_no_part_of_what_another_does():
    """However they lie in time; nor what another process does, but for the one that started it."""
    for pid in (1, 2):
        figures = measured(of(MAIN, "match", 0, 8), of(ONE, "score", 1, 4), of(OTHER, "decide", 2, 1, pid))
        assert figures["inside"].to_dict()["decide"] == "match"


def test_a_part_of_two_counts_in_each():
    """Scoring in matching and scoring in another phase are told apart; the first keeps its name."""
    figures = measured(
        of(MAIN, "match", 0, 4), of(ONE, "score", 1, 2), of(MAIN, "siblings", 5, 2), of(ONE, "score", 5.5, 1)
    )
    assert figures["inside"].fillna("-").to_dict() == {
        "match": "-",
        "score": "match",
        "siblings": "-",
        "score (siblings)": "siblings",
    }
    assert figures["own_s"].to_dict() == pytest.approx(
        {"match": 2, "score": 2, "siblings": 1, "score (siblings)": 1}
    )


def test_reading_ahead_is_part_of_nothing():
    """A phase that lies in another one now and then is no part of it."""
    figures = measured(of(ONE, "read", 0, 2), of(MAIN, "write", 2, 3), of(ONE, "read", 3, 1))
    assert figures["inside"].isna().all()
    assert figures["own_s"].to_dict() == pytest.approx({"read": 2.5, "write": 2.5})


spans = st.lists(
    st.tuples(st.sampled_from([MAIN, ONE, OTHER]), st.sampled_from("abc"), st.floats(0, 9), st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(spans)
def test_shares_add_up(told):
    """However phases lie, their shares add up to the time in which any was open."""
    figures = measured(*(of(*span) for span in told))
    inner = figures[figures.index != "start-up"]
    edges = pd.DataFrame([(s, s + e) for _, _, s, e in told], columns=["start", "end"]).sort_values("start")
    reached = np.concatenate([[0], np.maximum.accumulate(edges["end"])[:-1]])
    covered = (edges["end"] - np.maximum(edges["start"], reached)).clip(lower=0).sum()
    assert inner["own_s"].sum() == pytest.approx(covered, abs=1e-5)
    assert (inner["own_s"] >= 0).all()
