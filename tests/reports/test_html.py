from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from sbir_toolkit.errors import InputError
from sbir_toolkit.reports import charts
from sbir_toolkit.reports.html import render_notebook
from sbir_toolkit.reports.tables import show_table
from tests.reports import frames

v4 = nbformat.v4
FETCHED = re.compile(
    r"""(?:\bsrc|\bsrcset|\bdata|\bposter|@import|url\()\s*[=(]?\s*["']?(?:https?:)?//""", re.IGNORECASE
)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def code(source: str, *outputs: Any, count: int | None = 1, tags: list[str] | None = None) -> Any:
    return v4.new_code_cell(
        source, outputs=list(outputs), execution_count=count, metadata={"tags": tags or []}
    )


def shown(**data: str) -> Any:
    return v4.new_output(
        "display_data", data={kind.replace("_", "/", 1): value for kind, value in data.items()}
    )


def printed(stream: str, text: str) -> Any:
    return v4.new_output("stream", name=stream, text=text)


def render(folder: Path, *cells: Any, **options: Any) -> str:
    notebook = folder / "01_stage.ipynb"
    nbformat.write(v4.new_notebook(cells=list(cells)), notebook)
    options = {"title": "Load awards", "run_id": "r1", "header": {"status": "done"}} | options
    render_notebook(notebook, folder / "reports" / "01_stage.html", **options)
    return (folder / "reports" / "01_stage.html").read_text(encoding="utf-8")


@functools.cache
def chart_html() -> str:
    return charts.decisions_by_tier(frames.MATCHES)._repr_html_()


def whole_notebook() -> list[Any]:
    table = show_table(frames.GATES, caption="Gates")
    return [
        v4.new_markdown_cell("# A title of its own\nThe question."),
        code("run_id = 'secret_parameter'", tags=["parameters"]),
        v4.new_markdown_cell("## What came in\nText with a $ and a $."),
        code("secret_call()", shown(text_html=chart_html(), text_plain="Chart: secret double")),
        v4.new_markdown_cell("## What came in\nAgain.\n# Another first-level heading\n\n![l](https://x.org/a.png)"),
        code("secret_table()", shown(text_html=table._repr_html_(), text_plain=repr(table))),
        code("plot()", shown(image_png=PIXEL, text_plain="<Figure size 640x480>")),
        code("noisy()", printed("stderr", "secret warning")),
        code("bar()", printed("stdout", "10 %\r100 %\n\x1b[31mred\x1b[0m <b>\n")),
    ]  # fmt: skip


def test_report_shows_what_was_found_and_no_code(tmp_path: Path) -> None:
    """Text, charts, tables and prints are there; code, parameters, warnings and doubles aren't."""
    text = render(tmp_path, *whole_notebook())
    assert "secret" not in text
    assert "Figure size" not in text
    assert "The question." in text
    assert '<pre class="printed">100 %\nred &lt;b&gt;\n</pre>' in text
    assert text.count("<style>") == 1
    assert ">Gates</caption>" in text


def test_report_has_one_title_and_a_table_of_contents(tmp_path: Path) -> None:
    """The given title is the one h1; each h2 is in the contents under an anchor of its own."""
    text = render(tmp_path, *whole_notebook(), title="Load <awards>")
    assert re.findall(r"<h1[^>]*>(.*?)</h1>", text) == ["Load &lt;awards&gt;"]
    links = re.findall(r'<li><a href="#([^"]+)">([^<]+)</a>', text)
    assert links == [
        ("what-came-in", "What came in"),
        ("what-came-in-2", "What came in"),
        ("another-first-level-heading", "Another first-level heading"),
    ]
    for anchor, _ in links:
        assert text.count(f'<h2 id="{anchor}">') == 1


def test_report_fetches_nothing(tmp_path: Path) -> None:
    """No picture, script, style or frame is fetched: none is named, and the browser is forbidden to."""
    page = "<script src='https://x.org/a.js'></script><link rel=stylesheet href=//x.org/b.css>"
    page += "<iframe src=http://x.org></iframe>"
    page += "<script src=https://x.org/unclosed.js>"
    page += "<img src=//x.org/c.png><img alt='kept words' srcset='https://x.org/d.png 2x'><p>kept text</p>"
    text = render(tmp_path, *whole_notebook(), code("evil()", shown(text_html=page)), home="../index.html")
    assert not FETCHED.search(text)
    assert not re.search(r"<(script|link|iframe|object|embed)\b", text, re.IGNORECASE)
    assert "default-src 'none'; img-src data:" in text
    assert "kept text" in text
    assert "kept words" in text
    assert set(re.findall(r'\bsrc="([^"]{0,5})', text)) == {"data:"}


def test_each_picture_has_an_alternative_text(tmp_path: Path) -> None:
    """A chart keeps its own; a bare picture is named after its section."""
    text = render(tmp_path, *whole_notebook())
    alts = [re.search(r'alt="([^"]*)"', tag) for tag in re.findall(r"<img\b[^>]*>", text)]
    words = [alt.group(1) for alt in alts if alt is not None]
    assert len(words) == len(alts) == 2
    assert words[0].startswith("50.0 % of awards accepted")
    assert words[1] == "Figure about: Another first-level heading"


def test_same_notebook_gives_the_same_bytes(tmp_path: Path) -> None:
    """Rendering twice gives the same file, though cells have random ids."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert render(tmp_path / "a", *whole_notebook()) == render(tmp_path / "b", *whole_notebook())


def test_header_and_notices_stand_on_top(tmp_path: Path) -> None:
    """The strip shows each value, a verdict as a badge; notices are escaped and come before the text."""
    text = render(
        tmp_path, *whole_notebook(), header={"verdict": "warn", "date": "<now>"}, notices=["Gate <x> failed"]
    )
    assert '<dd><span class="sbir-badge warn">warn</span></dd>' in text
    assert "<dd>&lt;now&gt;</dd>" in text
    assert text.index("Gate &lt;x&gt; failed") < text.index("The question.")


def test_failed_stage_says_why_and_where(tmp_path: Path) -> None:
    """The error's message stands on top in one box, without its traceback; a line marks the place."""
    error = v4.new_output(
        "error", ename="InputError", evalue="no header\n  got: <b>", traceback=["secret line"]
    )
    text = render(
        tmp_path,
        v4.new_markdown_cell("## Read"),
        v4.new_markdown_cell(
            '<span id="papermill-error-cell" style="color:red">Execution using papermill</span>'
        ),
        code("fail()", error),
        v4.new_markdown_cell("## Later"),
        code("later()", count=None),
    )
    assert text.count("This stage failed") == 1
    assert "<pre>no header\n  got: &lt;b&gt;</pre>" in text
    assert "1 step of this notebook didn't run" in text
    assert "secret line" not in text
    assert "papermill" not in text
    assert text.index("This stage failed") < text.index('id="read"') < text.index('id="stopped-here"')
    assert text.index('id="stopped-here"') < text.index('id="later"')


def test_stage_stopped_by_a_gate_is_not_called_failed(tmp_path: Path) -> None:
    """A gate that stops a stage did its work; the box says so."""
    error = v4.new_output("error", ename="GateError", evalue="the match rate is too low", traceback=[])
    text = render(tmp_path, code("gate()", error))
    assert "A quality gate stopped this stage" in text
    assert "This stage failed" not in text


def test_died_stage_is_rendered(tmp_path: Path) -> None:
    """A notebook whose kernel was killed has no error in it; the missing steps are counted."""
    cells = [
        code("first()", shown(text_plain="kept")),
        code("killed()", count=None),
        code("never()", count=None),
    ]
    text = render(tmp_path, *cells, header={"status": "died"}, notices=["Killed by signal 9 at 7.9 GB"])
    assert "Killed by signal 9" in text
    assert "2 steps of this notebook didn't run" in text
    assert '<pre class="printed">kept</pre>' in text


def test_empty_notebook_is_rendered(tmp_path: Path) -> None:
    """A notebook without cells gives a page with its title."""
    assert "<h1>Load awards</h1>" in render(tmp_path)


def test_report_is_small(tmp_path: Path) -> None:
    """The page around the content takes less than 20 kB."""
    assert len(render(tmp_path)) < 20_000


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"cells": 3}', b"\xff\xfe"])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing or broken notebook is an error that names the file, and no report is left."""
    notebook = tmp_path / "broken.ipynb"
    if content is not None:
        notebook.write_bytes(content)
    with pytest.raises(InputError, match="the notebook can't be read"):
        render_notebook(notebook, tmp_path / "out.html", title="T", run_id="r", header={})
    assert not (tmp_path / "out.html").exists()
