from __future__ import annotations

import base64
import re
from collections.abc import Callable

import matplotlib as mpl
import pandas as pd
import pytest

from sbir_toolkit.params import Params
from sbir_toolkit.reports import charts
from sbir_toolkit.reports.charts import Chart, base
from tests.reports import frames

GATES = Params().quality.gates

DRAWN: dict[str, tuple[Callable[[pd.DataFrame], Chart], pd.DataFrame, str]] = {
    "award_years": (
        charts.award_years,
        frames.AWARDS,
        "50.0 % of awards have a recipient, and 70.0 % of the dollars",
    ),
    "award_years_unmatched": (
        charts.award_years,
        frames.AWARDS.drop(columns="decision"),
        "4 awards worth $1.00 million, most of them in 2019 (2)",
    ),
    "rejects_by_reason": (
        lambda frame: charts.rejects_by_reason(frame, records=1000),
        frames.REJECTS,
        "3 of 1,000 records were rejected (0.3 %), most often: blank company",
    ),
    "recipients": (
        charts.recipients_by_source_and_identifier_fill,
        frames.RECIPIENTS,
        "4 recipients: 75.0 % have a UEI, 25.0 % have a DUNS",
    ),
    "decisions_by_tier": (
        charts.decisions_by_tier,
        frames.MATCHES,
        "50.0 % of awards accepted, 25.0 % for review, 25.0 % rejected",
    ),
    "probability_histogram": (
        lambda frame: charts.probability_histogram(frame, accept=0.9, review=0.4),
        frames.MATCHES,
        "33.3 % of awards lie between the thresholds, 66.7 % at or above both",
    ),
    "match_rate_by_agency": (
        lambda frame: charts.match_rate_by(frame, "agency"),
        frames.METRICS,
        "Match rate 81.4 % (80.6 to 82.1); lowest for NASA: 61.0 %",
    ),
    "match_rate_by_year": (
        lambda frame: charts.match_rate_by(frame, "award_year"),
        frames.METRICS,
        "Match rate 81.4 % (80.6 to 82.1); lowest for 1999: 50.0 %",
    ),
    "reliability_curve": (
        charts.reliability_curve,
        frames.RELIABILITY,
        "Probabilities are off by 2.5 points on average; on the whole they are too sure",
    ),
    "accuracy_intervals": (
        charts.accuracy_intervals,
        frames.ACCURACY,
        "Precision 99.0 % (98.0 to 99.5), recall 95.0 % (94.0 to 96.0) where the identifier was hidden",
    ),
    "accuracy_by_slice": (
        charts.accuracy_by_slice,
        frames.ACCURACY,
        "Fewest are found where spelling changed: 80.0 % (70.0 to 88.0)",
    ),
    "threshold_curves": (
        charts.threshold_curves,
        frames.THRESHOLDS,
        "Accepting from 0.9 on: 99.0 % of links are right, 85.0 % of companies are found, 1.0 % of those "
        "without a recipient get a false one",
    ),
    "routes_found": (
        charts.routes_found,
        frames.ROUTES,
        "Most are found by words (95.0 %); 1.0 % (0.5 to 2.0) of right recipients are found by no route",
    ),
    "gate_values": (
        lambda frame: charts.gate_values(frame, GATES),
        frames.GATES,
        "Of 4 gates 1 failed (accuracy), 1 without a verdict yet (award rejects) and 2 passed",
    ),
    "metric_trends": (
        charts.metric_trends,
        frames.HISTORY,
        "Since the run before, match rate moved most: from 80.0 % to 75.0 %",
    ),
    "stage_timeline": (
        charts.stage_timeline,
        frames.FIGURES,
        "2 stages in 21.8 s; longest: match recipients (17.3 s, 80.5 % of all work)",
    ),
    "stage_memory": (charts.stage_memory, frames.FIGURES, "Peak memory 1.31 GB, in match recipients"),
    "stage_parts": (
        charts.stage_parts,
        frames.FIGURES,
        "90.7 % of all work is outside the phases: charts, notebooks, reports",
    ),
    "stage_memory_over_time": (
        lambda frame: charts.stage_memory(frame, frames.SAMPLES),
        frames.FIGURES,
        "Peak memory 1.31 GB, in match recipients",
    ),
    "stage_trends": (
        charts.stage_trends,
        frames.TRENDS,
        "Largest change: load awards, 20.0 % more time per row than the earlier runs",
    ),
    "phase_trends": (
        charts.phase_trends,
        frames.PHASE_TRENDS,
        "match recipients: 9.00 s in the latest run",
    ),
    "recommendations_bar": (
        charts.recommendations_bar,
        frames.RECOMMENDATIONS,
        "Up to 6.00 s a run (16.0 %) to save: Keep the index",
    ),
    "funding_by_year": (
        lambda frame: charts.funding_by(frame, "year"),
        frames.FUNDING,
        "70.0 % of $1.00 million went to a known recipient",
    ),
    "funding_by_state": (
        lambda frame: charts.funding_by(frame, "state"),
        frames.FUNDING,
        "50.0 % of $210,000 went to a known recipient; largest: S20",
    ),
}
NAMES = sorted(DRAWN)
MEASURES = {
    "award_years": "award_year",
    "probability_histogram": "match_probability",
    "match_rate_by_agency": "value",
    "match_rate_by_year": "value",
    "reliability_curve": "observed",
    "accuracy_intervals": "value",
    "accuracy_by_slice": "value",
    "threshold_curves": "recall",
    "metric_trends": "value",
    "stage_timeline": "elapsed_s",
    "stage_memory": "peak_bytes",
    "stage_parts": "elapsed_s",
    "stage_trends": "elapsed_s",
    "phase_trends": "elapsed_s",
}


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with a third of the dots; what is tested doesn't depend on them."""
    monkeypatch.setattr(base, "DOTS_PER_INCH", 50)


@pytest.mark.parametrize("name", NAMES)
def test_chart_states_its_finding_and_is_the_same_each_time(name: str) -> None:
    """Title, picture, alternative text, n and source are there; drawing again gives the same bytes."""
    draw, frame, title = DRAWN[name]
    before = frame.copy(deep=True)
    chart = draw(frame)
    html = chart._repr_html_()
    assert chart.title == title
    image = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', html)
    assert image is not None
    assert image.group(2).startswith(title)
    assert re.search(r"<figcaption[^>]*>n = .*Source: .*</figcaption>", html)
    assert draw(frame).png() == base64.b64decode(image.group(1))
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_said_and_drawn(name: str) -> None:
    """A frame without rows gives a picture that says there is nothing."""
    draw, frame, _ = DRAWN[name]
    chart = draw(frame.iloc[:0])
    assert chart.title.startswith(
        ("Nothing to show: ", "No record of 1,000 was rejected", "Nothing is worth changing")
    )
    assert chart.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_all_null_is_like_nothing(name: str) -> None:
    """A frame whose measure is null everywhere gives no made-up figure."""
    draw, frame, _ = DRAWN[name]
    chart = draw(frame.assign(**{MEASURES[name]: float("nan")}))
    assert chart.title.startswith("Nothing to show: ")
    assert chart.png().startswith(b"\x89PNG")


def test_a_gate_without_a_value_is_still_listed() -> None:
    """A gate that couldn't be measured isn't dropped from the chart."""
    chart = charts.gate_values(frames.GATES.assign(value=float("nan")), GATES)
    assert "not measured" in " ".join(text.get_text() for text in chart.figure.axes[0].texts)


def test_gates_with_nothing_to_hold_a_value_against_are_counted_but_not_drawn() -> None:
    """A gate that knows only the history, and none yet, has no zones: the others have all the room."""
    nan = float("nan")
    bands = {"band_low": nan, "band_high": nan}
    new = frames.GATES.head(1).assign(gate="match_rate_change", verdict="unknown", **bands)
    known = frames.GATES.assign(verdict="pass")
    chart = charts.gate_values(pd.concat([new, known]), GATES)
    labels = [label.get_text() for label in chart.figure.axes[0].get_yticklabels()]
    assert "match rate change" not in labels
    assert len(labels) == len(known)
    assert "1 without a verdict yet (match rate change)" in chart.title
    assert charts.gate_values(new, {}).title == "Nothing to show: no gate has a verdict yet"


@pytest.mark.parametrize("name", NAMES)
def test_nullable_columns_are_drawn_alike(name: str) -> None:
    """A frame with pandas' nullable types gives the same picture."""
    draw, frame, title = DRAWN[name]
    chart = draw(frame.convert_dtypes())
    assert chart.title == title


@pytest.mark.parametrize("name", NAMES)
def test_one_row_is_enough(name: str) -> None:
    """One row never breaks a chart."""
    draw, frame, _ = DRAWN[name]
    assert draw(frame.tail(1)).png().startswith(b"\x89PNG")


def test_one_run_has_no_trend() -> None:
    """With one run, both trend charts say so instead of drawing a point."""
    assert charts.stage_trends(frames.TRENDS.head(2)).title == "First run: no trend yet"
    assert charts.metric_trends(frames.HISTORY.head(1)).title == "First run: no trend yet"


def test_steady_stages_have_no_largest_change() -> None:
    """When nothing moved by more than two percent, the title doesn't name a stage."""
    steady = frames.TRENDS.assign(cost_s_per_row=0.01)
    assert charts.stage_trends(steady).title.startswith("No stage takes noticeably more or less time")


def test_all_gates_passed_is_said_in_one_sentence() -> None:
    """When each gate passes, the title doesn't count verdicts."""
    passed = frames.GATES.assign(verdict="pass")
    assert charts.gate_values(passed, GATES).title == "All 4 gates passed"
    assert charts.gate_values(passed.head(1), GATES).title == "The one gate passed"


def test_small_values_are_pooled_and_counted() -> None:
    """Of 20 states 14 are shown by name, and the other six together."""
    chart = charts.funding_by(frames.FUNDING, "state")
    labels = [label.get_text() for label in chart.figure.axes[0].get_yticklabels()]
    assert labels[:2] == ["S20", "S19"]
    assert labels[-1] == "6 others"
    assert len(labels) == 15


def test_users_settings_are_neither_used_nor_changed() -> None:
    """A user's own matplotlib settings change no byte of a chart, and are the same afterwards."""
    plain = charts.decisions_by_tier(frames.MATCHES).png()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "lines.linewidth": 9}):
        assert charts.decisions_by_tier(frames.MATCHES).png() == plain
        assert mpl.rcParams["font.size"] == 20


def test_dollar_signs_and_foreign_names_are_drawn_as_they_are() -> None:
    """Two dollar signs aren't a formula, and a letter the font lacks doesn't fail the chart."""
    rejects = pd.DataFrame({"reason": ["costs $1 or $2_x^", "\u540d\u524d"]})
    assert charts.rejects_by_reason(rejects).png().startswith(b"\x89PNG")


def test_plain_text_says_the_same_as_the_picture() -> None:
    """The chart's repr is its alternative text and caption."""
    text = repr(charts.stage_memory(frames.FIGURES))
    assert text.startswith("Chart: Peak memory 1.31 GB, in match recipients.")
    assert "load awards 310 MB" in text
    assert text.endswith("Source: table stage_figures.")


def test_the_phase_that_grew_is_named_with_its_run() -> None:
    """With a confirmed change of time the title says which stage, since when, and where in it."""
    change = ("match_recipients", "all", "time", "r3", 0.5)
    verdicts = pd.DataFrame([change], columns=["stage", "phase", "measure", "onset_run", "change_share"])
    title = charts.phase_trends(frames.PHASE_TRENDS, verdicts).title
    assert title == "match recipients takes 3.00 s longer since run r3, 100 % of it in score"
