"""Reports: an executed notebook as one HTML file that reads like a document and needs nothing but itself.

nbconvert's own pages carry the code, its prompts and half a megabyte of JupyterLab's style, and fetch scripts
from four places. Here the notebook is first reduced to what a reader should see (`_without_code`): text,
tables, charts and printed results; code, warnings, progress bars and widgets are left out. Then nbconvert
renders it through the template in `templates/report`, and `_lay_out` gives the page one title, a table of
contents, an alternative text for each picture, and takes out anything that would be fetched. The page also
forbids the browser to fetch (a content security policy), so an oversight can't call out.

The notebook of a stage that failed or died is rendered all the same: the error's message stands on top, a
line marks where it happened, and the steps that never ran are counted.
"""

from __future__ import annotations

import html as markup
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import HTMLExporter

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.reports.tables import BADGES, TEMPLATES, make_badge, table_style
from sbir_toolkit.storage import write_text

_SHOWN_TYPES = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
_HIDING_TAGS = {"remove-cell", "remove-output", "papermill-error-cell-tag"}
_BADGE_KEYS = {"verdict", "status", "quality", "stage status"}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.DOTALL)
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_PASSAGE = re.compile(f"{_HEADING.pattern}|{_IMAGE.pattern}", re.DOTALL | re.IGNORECASE)
_ACTIVE = re.compile(r"<(script|style|iframe|object|video|audio)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_LEFT_OPEN = re.compile(
    r"</?(?:script|style|iframe|object|video|audio|link|meta|base|embed)\b[^>]*>", re.IGNORECASE
)
_EXTERNAL = re.compile(r"\bsrc(set)?\s*=\s*[\"']?+(?!data:)", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*([\"'])(.*?)\1", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")


@dataclass(frozen=True)
class _Failure:
    kind: str
    message: str
    is_gate: bool


@dataclass(frozen=True)
class _Page:
    body: str
    contents: list[tuple[str, str]]


def render_notebook(
    notebook: Path,
    html: Path,
    *,
    title: str,
    run_id: str,
    header: Mapping[str, str],
    notices: Sequence[str] = (),
    home: str = "",
) -> None:
    """Turn an executed notebook into a report.

    Parameters
    ----------
    notebook
        The executed notebook; that of a stage that failed or died is welcome.
    html
        The report to write, whole or not at all; its folder is made when missing.
    title
        The page's one title.
    run_id
        The run it belongs to.
    header
        What stands in the strip below the title, in order: status, verdict, date, parameters. A `verdict` or
        `status` becomes a badge.
    notices
        What a reader must know first, such as a failed gate; shown above everything else.
    home
        A relative link to the run's page; left out when empty.

    Raises
    ------
    InputError
        When the notebook is missing or isn't one.
    """
    document = _read_notebook(notebook)
    failure = _find_failure(document)
    missing = _count_missing(document)
    exporter = HTMLExporter(template_name="report", extra_template_basedirs=[str(TEMPLATES)])
    exporter.exclude_anchor_links = True
    exporter.register_filter("lay_out", _lay_out)
    exporter.register_filter("plain", _without_ansi)
    resources = {
        "title": title,
        "run_id": run_id,
        "home": home,
        "notebook": notebook.name,
        "style": (TEMPLATES / "page.css").read_text(encoding="utf-8") + table_style(),
        "header": [
            (key, make_badge(value) if _is_badge(key, value) else markup.escape(value))
            for key, value in header.items()
        ],
        "notices": list(notices),
        "failure": failure,
        "missing": missing,
    }
    text, _ = exporter.from_notebook_node(_without_code(document), resources={"report": resources})
    write_text(html, text.strip() + "\n")


def _read_notebook(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError) as wrong:
        raise InputError(_explain_broken(path, wrong)) from wrong
    if not isinstance(value, dict) or not isinstance(value.get("cells"), list) or value.get("nbformat") != 4:
        raise InputError(_explain_broken(path, "something else"))
    return nbformat.reads(text, as_version=4)


def _explain_broken(path: Path, got: object) -> str:
    return explain(
        "the notebook can't be read", where=path, expected="a Jupyter notebook of format 4", got=got
    )


def _find_failure(document: Any) -> _Failure | None:
    for cell in document.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                message = _without_ansi(output.evalue).strip() or "The error has no message."
                return _Failure(output.ename, message, is_gate=output.ename == "GateError")
    return None


def _count_missing(document: Any) -> int:
    cells = [cell for cell in document.cells if cell.cell_type == "code" and cell.source.strip()]
    return sum(cell.get("execution_count") is None for cell in cells)


def _without_code(document: Any) -> Any:
    cells: list[Any] = []
    for cell in document.cells:
        if _HIDING_TAGS & set(cell.metadata.get("tags", [])) or 'id="papermill-error-cell"' in cell.source:
            continue
        if cell.cell_type == "markdown" and cell.source.strip():
            cells.append(nbformat.v4.new_markdown_cell(cell.source, id=f"cell-{len(cells)}"))
        elif cell.cell_type == "code":
            outputs = [_reduce(output) for output in cell.outputs if _is_shown(output)]
            if outputs:
                cells.append(nbformat.v4.new_code_cell("", outputs=outputs, id=f"cell-{len(cells)}"))
    return nbformat.v4.new_notebook(cells=cells)


def _is_shown(output: Any) -> bool:
    if output.output_type == "stream":
        return bool(output.name == "stdout" and output.text.strip())
    if output.output_type == "error":
        return True
    is_progress = any("widget" in kind for kind in output.data)
    return not is_progress and any(kind in _SHOWN_TYPES for kind in output.data)


def _reduce(output: Any) -> Any:
    if "data" in output:
        best = next(kind for kind in _SHOWN_TYPES if kind in output.data)
        output.data = {best: output.data[best]}
    return output


def _is_badge(key: str, value: str) -> bool:
    return key.lower() in _BADGE_KEYS and value in BADGES


def _without_ansi(text: str) -> str:
    lines = _ANSI.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def _lay_out(body: str) -> _Page:
    contents: list[tuple[str, str]] = []
    taken: set[str] = set()
    section = ""
    has_title = False

    def place(match: re.Match[str]) -> str:
        nonlocal section, has_title
        if match.group(1) is None:
            return _whole_image(match.group(0), section)
        level, inner = int(match.group(1)), match.group(2)
        section = _words(inner)
        if level == 1 and not has_title:
            has_title = True
            return ""
        level = max(2, level)
        anchor = _anchor(section, taken)
        if level == 2:
            contents.append((anchor, section))
        return f'<h{level} id="{anchor}">{inner}</h{level}>'

    return _Page(_PASSAGE.sub(place, _LEFT_OPEN.sub("", _ACTIVE.sub("", body))), contents)


def _whole_image(tag: str, section: str) -> str:
    alt = _ALT.search(tag)
    if _EXTERNAL.search(tag):
        return f"<em>{alt.group(2) if alt else 'a picture that is not part of this file'}</em>"
    if alt and alt.group(2).strip():
        return tag
    about = markup.escape(f"Figure about: {section}" if section else "Figure")
    bare = _ALT.sub("", tag) if alt else tag
    return re.sub(r"^<img\b", f'<img alt="{about}"', bare, flags=re.IGNORECASE)


def _words(inner: str) -> str:
    return " ".join(markup.unescape(_TAG.sub("", inner)).replace("\u00b6", "").split())


def _anchor(words: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "section"
    anchor, number = stem, 1
    while anchor in taken:
        number += 1
        anchor = f"{stem}-{number}"
    taken.add(anchor)
    return anchor
