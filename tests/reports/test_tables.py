from __future__ import annotations

import pandas as pd
import pytest

from sbir_toolkit.reports.tables import BADGES, make_badge, show_table, table_style
from tests.reports import frames


def test_numbers_are_written_in_their_columns_units() -> None:
    """The suffix of a column's name decides how its numbers read, and numbers are aligned to the right."""
    frame = pd.DataFrame(
        {
            "award_usd": [1234.5],
            "elapsed_s": [125.0],
            "peak_bytes": [1_460_000_000],
            "saved_share": [0.16],
            "match_probability": [0.9731],
            "rows_per_s": [12345.6],
            "cost_s_per_row": [4.2e-6],
            "rows": [219_500],
            "award_year": [2021],
        }
    )
    html = show_table(frame).html()
    for text in (
        "$1,234",
        "2 min 05 s",
        "1.46 GB",
        "16.0 %",
        "0.973",
        "12,346/s",
        "4.20 \u00b5s",
        "219,500",
        "2021",
    ):
        assert f'<td class="n">{text}</td>' in html
    assert "award<small>, US$</small>" in html


def test_metrics_are_written_in_their_rows_unit() -> None:
    """The column `unit` of the metrics decides row by row."""
    html = show_table(frames.METRICS).html()
    assert '<td class="n">81.4 %</td><td class="n">80.6 %</td>' in html
    assert '<td class="n">$2,100,000,000</td>' in html


def test_values_are_written_as_their_metric_or_estimate_tells() -> None:
    """Gates' values follow the metric's name, and accuracy estimates are shares."""
    assert '<td class="n">94.3 %</td>' in show_table(frames.GATES).html()
    assert '<td class="n">100 %</td>' in show_table(frames.GATES).html()
    assert '<td class="n">99.0 %</td>' in show_table(frames.ACCURACY).html()


def test_a_share_and_its_interval_have_as_many_digits() -> None:
    """A share is written as in the charts, beside the ends of its interval or in one column with them."""
    row = {"estimate": ["recall"], "value": [0.9991], "low": [0.98], "high": [1.0]}
    html = show_table(pd.DataFrame(row)).html()
    assert all(f'<td class="n">{text}</td>' in html for text in ("99.9 %", "98.0 %", "100 %"))
    joined = pd.DataFrame({"recall": [0.9991], "recall_low": [0.98], "recall_high": [1.0]})
    shown = show_table(joined).html()
    assert '<td class="n">99.9 % (98.0 to 100)</td>' in shown
    assert "recall low" not in shown


def test_given_units_win() -> None:
    """A caller's unit is stronger than the name's."""
    assert "81.4 %" in show_table(pd.DataFrame({"value": [0.8136]}), units={"value": "share"}).html()
    assert "0.8136" in show_table(pd.DataFrame({"value": [0.8136]})).html()


def test_what_was_left_out_is_said() -> None:
    """A cut table says how many rows there are; a whole one says nothing."""
    frame = pd.DataFrame({"n": range(1234)})
    assert "first 20 of 1,234 rows" in show_table(frame).html()
    assert "first 20 of 1,234 rows" in repr(show_table(frame))
    assert show_table(frame).html().count("<tr>") == 21
    assert "rows" not in show_table(frame.head(20)).html()


def test_no_rows_are_said() -> None:
    """An empty frame is shown as 'no rows', with its caption."""
    table = show_table(frames.GATES.head(0), caption="Gates")
    assert "no rows" in table.html()
    assert "Gates" in table.html()
    assert repr(table) == "Gates\nno rows"
    told = show_table(table.frame, caption="Gates", empty="No gate failed.")
    assert repr(told) == "No gate failed."
    assert "No gate failed." in told.html() and "Gates" not in told.html()


def test_text_is_escaped() -> None:
    """Names from a file can't become markup, neither in a cell nor in a heading, caption or tooltip."""
    evil = "<script>alert('x')</script>"
    frame = pd.DataFrame(
        {evil: [evil, f'"{evil}"' * 20], "verdict": [evil, "pass"], "digest": [evil, f'"{evil}']}
    )
    html = show_table(frame, caption=evil)._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6
    assert '""' not in html.replace('=""', "")


@pytest.mark.parametrize("word", ["pass", "warn", "fail", "unknown", "accept", "review", "reject"])
def test_verdicts_and_decisions_are_badges(word: str) -> None:
    """Each verdict and decision has a badge that says the word and has a style."""
    html = show_table(pd.DataFrame({"verdict": [word]})).html()
    assert make_badge(word) in html
    assert f">{word}</span>" in html
    assert f".sbir-badge.{BADGES[word]}{{" in table_style()


def test_missing_values_are_dashes() -> None:
    """Null of any kind is a dash, never 0, nan or None."""
    frame = pd.DataFrame(
        {"a": [None, "x"], "b_usd": [float("nan"), 1.0], "c": pd.array([None, 2], dtype="Int64")}
    )
    first = show_table(frame).html().split("<tr>")[2]
    assert first.count("\u2013") == 3
    assert "nan" not in first.lower()
    assert "none<" not in first.lower()


def test_named_index_is_shown_and_the_frame_stays() -> None:
    """A group's name isn't lost, and the frame isn't changed."""
    frame = frames.FUNDING.groupby("dimension")[["awards"]].sum()
    before = frame.copy(deep=True)
    assert "dimension" in show_table(frame).html()
    pd.testing.assert_frame_equal(frame, before)


def test_columns_with_equal_headings_are_all_shown() -> None:
    """Two columns whose headings read the same don't swallow each other."""
    text = repr(show_table(pd.DataFrame({"peak_s": [1.5], "peak_bytes": [2_000_000]})))
    assert "1.50 s" in text
    assert "2.00 MB" in text


def test_style_comes_with_the_html_of_a_notebook_only() -> None:
    """In JupyterLab a table brings its style; in a report the page has it once."""
    table = show_table(frames.GATES)
    assert table._repr_html_() == f"<style>{table_style()}</style>{table.html()}"


def test_evidence_is_written_in_words() -> None:
    """The weights of evidence are read, the heaviest first; words stay as they are."""
    evidence = ['{"prior": -6.9, "name": 9.7, "told by": "9084bea8ff 41.2"}', "Name (strong)."]
    html = show_table(pd.DataFrame({"evidence": evidence})).html()
    assert ">name +9.7, prior -6.9, told by company 9084bea8 (odds 41)</td>" in html
    assert ">Name (strong).</td>" in html
