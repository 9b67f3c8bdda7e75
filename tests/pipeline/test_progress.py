"""How far a run is, read from its events: in words, in a terminal, in a log, below a notebook's cell."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from sbir_toolkit.cli.display import Display
from sbir_toolkit.pipeline.cell_progress import summarise
from sbir_toolkit.pipeline.doing import Doing, Events, find_doing
from sbir_toolkit.storage import append_line, read_lines

from .toy import make_project, write_notebook


def beat(
    at: float, *doing: tuple[str, float, int | None, int | None], stage: str = "match"
) -> dict[str, object]:
    told = [
        {"what": what, "started": started, "done": done, "total": total, "unit": "rows"}
        for what, started, done, total in doing
    ]
    return {"at": at, "kind": "beat", "stage": stage, "pid": 1, "doing": told}


def test_words_say_amount_rate_elapsed_and_time_left() -> None:
    """What isn't known is left out."""
    half = Doing("read a.csv", 50_000_000, 100_000_000, "bytes", 5.0)
    assert (
        str(half)
        == "read a.csv [############............]  50% 50 of 100 MB, 10 MB/s, 5.0 s, about 5.0 s left"
    )
    assert str(Doing("index words", None, 3000, "rows", 2.0)) == "index words 3,000 rows, 2.0 s"
    assert str(Doing("join", None, None, "rows", 2.0)) == "join 2.0 s"
    assert Doing("x", 0, 10, "rows", 1.0).left_s is None
    assert Doing("x", 12, 10, "rows", 1.0).share == 1


def test_what_is_known_best_is_shown() -> None:
    """A piece of work that says how far it is comes before one that doesn't; what is old isn't shown."""
    events = [beat(100.0, ("join", 90.0, None, None), ("read", 98.0, 1, 4)), beat(100.2, stage="other")]
    found = find_doing(events, "match", since=50.0, now=101.0)
    assert found is not None
    assert (found.what, found.done, found.total, found.elapsed_s) == ("read", 1, 4, 3.0)
    assert find_doing(events, "match", since=50.0, now=120.0) is None
    assert find_doing(events, "match", since=100.1, now=101.0) is None


def test_matching_counts_companies_of_chunks() -> None:
    """Chunks committed before count neither as work nor as done."""
    events = [
        {
            "at": 10.0,
            "kind": "chunks",
            "stage": "match",
            "total": 4,
            "committed": 1,
            "rows": 40,
            "committed_rows": 10,
        },
        {"at": 12.0, "kind": "chunk", "stage": "match", "chunk": "b", "rows": 10},
        beat(14.0, ("match", 10.0, None, 40)),
    ]
    found = find_doing(events, "match", since=0.0, now=14.0)
    assert found is not None
    assert (found.done, found.total, found.unit, found.left_s) == (10, 30, "companies", pytest.approx(8.0))


def test_events_are_followed_while_they_are_written(tmp_path: Path) -> None:
    """Half a line waits for its other half, and no line is read twice."""
    path = tmp_path / "events.ndjson"
    events = Events(path)
    assert events.follow() == []
    line = json.dumps({"at": 1.0, "kind": "sample"})
    path.write_text(line + "\n" + line[:9])
    assert len(events.follow()) == 1
    with path.open("a") as file:
        file.write(line[9:] + "\nnonsense\n")
    assert [event["at"] for event in events.follow()] == [1.0, 1.0]


def test_a_log_gets_plain_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the output is no terminal there are lines with the time, and no control characters."""
    monkeypatch.setattr("sbir_toolkit.cli.display._LINE_EVERY_S", 0.02)
    with Display(lambda: ["load: read 5 of 9 rows"]) as display:
        display.say("run one")
        time.sleep(0.2)
    printed = capsys.readouterr().out
    assert "\033" not in printed
    first, second, *_ = printed.splitlines()
    assert first.endswith("  run one")
    assert second.endswith("  load: read 5 of 9 rows")


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn below what is said, and erased before anything else is printed."""
    monkeypatch.setattr("sbir_toolkit.cli.display._REDRAW_S", 0.02)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with Display(lambda: ["BAR"]) as shown:
        time.sleep(0.2)
        shown.say("SAID")
        time.sleep(0.1)
    before, after = capsys.readouterr().out.split("SAID")
    for part in (before, after):
        assert part.count("BAR") == part.count("\033[1A\033[2K") >= 2


def test_one_line_is_left_below_a_cell(tmp_path: Path) -> None:
    """A notebook opened by hand keeps what was done and what it took, as text, where the bar was."""
    project = make_project(
        tmp_path, {"brew": {"writes": ["funding"]}}, synthetic={"awards": 5, "recipients": 5}
    )
    path = project.root / "notebooks" / "brew.ipynb"
    write_notebook(
        path,
        "import sbir_toolkit as sbir\nstage = sbir.open_stage('brew', run_id, params_file)",
        "import time\nfrom sbir_toolkit.meter import phase\nwith phase('boil_water', rows=3): time.sleep(2)",
        "1 + 1",
    )
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute()
    slow, quick = notebook.cells[-2:]
    (left,) = slow.outputs
    assert left.data["text/plain"].startswith("took 2.")
    assert "boil water 2.0 s (3 rows)" in left.data["text/plain"]
    assert "<progress" not in left.data["text/html"]
    assert [output.output_type for output in quick.outputs] == ["execute_result"]
    events = read_lines(project.runs / "lab-toy" / "events.ndjson")
    assert {"beat", "phase"} <= {event["kind"] for event in events}


def test_parts_of_a_phase_are_not_named_beside_it() -> None:
    """What ran side by side is, though."""

    def phase(name: str, started: float, elapsed_s: float, rows: int | None) -> dict[str, object]:
        return {"kind": "phase", "phase": name, "started": started, "elapsed_s": elapsed_s, "rows": rows}

    events = [
        phase("score", 2.0, 1.0, 9),
        phase("match", 1.0, 5.0, 4),
        phase("read", 7.0, 1.0, 2),
        phase("write", 7.5, 1.0, None),
        phase("old", 0.0, 0.5, 1),
    ]
    assert summarise(events, 1.0, 8.0) == "took 8.0 s: match 5.0 s (4 rows), read 1.0 s (2 rows), write 1.0 s"


def test_a_bar_needs_a_stage_that_lives(tmp_path: Path) -> None:
    """A process that was killed stops to beat, so nothing is shown of it after a moment."""
    path = tmp_path / "events.ndjson"
    append_line(path, beat(time.time() - 60, ("match", 0.0, 1, 2)))
    assert find_doing(Events(path).follow(), "match", 0.0, time.time()) is None
