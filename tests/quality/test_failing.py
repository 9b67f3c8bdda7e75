"""The awards behind a failed gate are found, set aside and written; slices apart from the whole are named."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.params import Gate, Quality
from sbir_toolkit.quality import (
    evaluate_gates,
    find_failing_rows,
    find_outliers,
    measure_quality,
    release_awards,
)
from sbir_toolkit.tables import ENRICHED_AWARDS, QUARANTINED_AWARDS, RELEASED_AWARDS

from .frames import ACCEPTED, award, metric_rows, store

ROWS = [
    award(award_id="a", source_row=1, source_line=1, **ACCEPTED, uei="ABCDEFGHJKL1"),
    award(award_id="b", source_row=2, source_line=2, agency="NASA", phase=None),
    award(award_id="c", source_row=3, source_line=3, agency="NASA", is_duplicate=True, state=None),
    award(award_id="d", source_row=4, source_line=4, **ACCEPTED, duns="123456780"),
]


def judge(folder, gate):
    """Measure the four awards, judge them by one gate; gives the awards, the report and the gates."""
    path = store(folder, ENRICHED_AWARDS, ROWS)
    metrics = measure_quality({"enriched_awards": path}, {}, Quality()).table
    return path, evaluate_gates(metrics, {"gate": gate}), {"gate": gate}


@pytest.mark.parametrize(
    ("gate", "failing"),
    [
        ({"metric": "match_rate", "fail_below": 0.9}, "bc"),
        ({"metric": "match_rate", "fail_below": 0.9, "by": "agency"}, "bc"),
        ({"metric": "match_rate", "fail_below": 0.9, "by": "state"}, "cb"),
        ({"metric": "reject_share", "fail_above": 0.1}, "bc"),
        ({"metric": "duplicate_share", "fail_above": 0.1}, "c"),
        ({"metric": "required_complete_share", "fail_below": 1.0}, "b"),
        ({"metric": "required_complete_share", "fail_below": 1.0, "by": "column"}, "b"),
        ({"metric": "identifier_coverage", "fail_below": 0.9}, "bc"),
        ({"metric": "identifier_coverage", "fail_below": 0.9, "by": "identifier"}, "bcdabc"),
        ({"metric": "awards", "fail_below": 9}, ""),
        ({"metric": "match_rate", "fail_below": 0.1}, ""),
    ],
)
def test_failing_awards_are_found_and_written(tmp_path, gate, failing):
    """Whole or sliced, the awards that count against the gate, all of them in both files."""
    found = find_failing_rows(*judge(tmp_path, Gate(**gate)), tmp_path)
    assert sorted(found["award_id"]) == sorted(failing)
    if failing:
        assert pq.read_table(tmp_path / "failing_rows.parquet").num_rows == len(failing)
        assert len(pd.read_csv(tmp_path / "failing_rows.csv")) == len(failing)
    else:
        assert not (tmp_path / "failing_rows.csv").exists()


def test_all_failing_slices_are_set_aside(tmp_path):
    """Kept and set aside together are all awards, each once, in their order."""
    gate = Gate(metric="match_rate", by="agency", fail_below=0.9, action="quarantine")
    released = release_awards(*judge(tmp_path, gate), tmp_path)
    kept, aside = (
        pq.read_table(tmp_path / f"{table.name}.parquet") for table in (RELEASED_AWARDS, QUARANTINED_AWARDS)
    )
    assert (kept["award_id"].to_pylist(), aside["award_id"].to_pylist()) == (["a", "d"], ["b", "c"])
    assert (released.released, dict(released.quarantined)) == (2, {"gate": 2})
    assert RELEASED_AWARDS.check_file(tmp_path / "released_awards.parquet") == 2


def test_what_cannot_be_set_aside_is_refused(tmp_path):
    """A gate on a sum has no failing awards; to quarantine them is a mistake that is named."""
    gate = Gate(metric="awards", fail_below=9, action="quarantine")
    with pytest.raises(ParameterError, match="can't set rows aside"):
        release_awards(*judge(tmp_path, gate), tmp_path)


def test_outliers():
    """A slice whose interval leaves out the whole stands out, by as many cases as it is off."""
    rows = metric_rows(
        ("match_rate", "all", 0.8, 800, 1000),
        ("match_rate", "agency=A", 0.5, 200, 400),
        ("match_rate", "agency=B", 0.81, 486, 600),
        ("match_rate", "tier=uei", 0.1, 100, 1000),
    ).assign(low=[0.77, 0.45, 0.78, 0.08], high=[0.82, 0.55, 0.84, 0.12])
    found = find_outliers(rows)
    assert found[["slice", "difference"]].to_numpy().tolist() == [["agency=A", -120]]
