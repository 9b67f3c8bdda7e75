"""The commit protocol: whatever a crash leaves behind, going on is right and does nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sbir_toolkit.enrichment import execute
from sbir_toolkit.enrichment.combine import MatchTables, combine_parts
from sbir_toolkit.enrichment.journal import Commit, Journal
from sbir_toolkit.enrichment.plan import ChunkPlan, plan_chunks
from sbir_toolkit.matching.match import KEPT
from sbir_toolkit.params import Params
from sbir_toolkit.storage import read_lines
from sbir_toolkit.tables import COMPANIES, COMPANY_MATCHES
from tests.enrichment.conftest import make_table
from tests.enrichment.crashes import Disk, lay_out

PARAMS = Params.model_validate({"compute": {"chunk_companies": 2, "workers": 1}})


class Kept(Journal):
    """A journal that remembers for whom it has promised to keep a chunk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.promised: frozenset[str] = frozenset()

    def commit(self, commit: Commit) -> None:
        super().commit(commit)
        self.promised |= {commit.key}


class Matcher:
    """Stands for the matcher: what it answers depends on the company and a parameter, and it counts."""

    def __init__(self) -> None:
        self.matched: list[str] = []

    def __call__(self, companies: pd.DataFrame, index: object, params: object) -> pa.Table:
        ids = companies["company_id"].tolist()
        self.matched += ids
        matches = COMPANY_MATCHES.arrow(answers(ids, str(index)))
        return matches.append_column(KEPT, pa.nulls(len(ids), pa.binary()))


def answers(ids: Iterable[str], parameter: str) -> pd.DataFrame:
    rows = [
        {"company_id": one, "decision": "reject", "evidence": json.dumps({"said": f"{one} {parameter}"})}
        for one in ids
    ]
    return make_table(COMPANY_MATCHES, rows)


@pytest.fixture
def matcher(monkeypatch: pytest.MonkeyPatch) -> Matcher:
    standing_in = Matcher()
    monkeypatch.setattr(execute, "match_and_keep", standing_in)
    monkeypatch.setattr(execute, "_opened_index", lambda folder: folder)
    return standing_in


def write_companies(folder: Path, ids: Iterable[str]) -> Path:
    rows = [{"company_id": one, "company": one, "spelled": one, "awards": 1} for one in ids]
    path = folder / "companies.parquet"
    pq.write_table(COMPANIES.arrow(make_table(COMPANIES, rows)), path)
    return path


def plan(companies: Path, parameter: str, journal: Journal) -> ChunkPlan:
    return plan_chunks(companies, journal, PARAMS, 1, {"parameter": parameter})


def keys_of(journal: Journal) -> set[str]:
    """The chunks that are committed, and whole."""
    return {commit.key for commit in journal.whole()}


class Died(BaseException):
    """The process is killed: nothing after it is done."""


@contextmanager
def dying_before(step: int | None, folder: Path) -> Iterator[None]:
    """Let the process die before the nth call that changes or flushes a folder; None: never."""
    left = step or 0
    calls = {name: getattr(os, name) for name in ("write", "fsync", "replace", "unlink")}

    def counted(name: str) -> Callable[..., object]:
        def call(first: int | str | Path, *more: object, **named: object) -> object:
            nonlocal left
            path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else Path(first)
            if step is not None and folder in (path, path.parent):
                left -= 1
                if left <= 0:
                    raise Died
            return calls[name](first, *more, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, counted(name))
        yield


def go_on(companies: Path, parameter: str, journal: Journal) -> pd.DataFrame:
    """Match what isn't committed, combine, and give the table."""
    pieces = execute.execute_chunks(
        plan(companies, parameter, journal),
        companies,
        Path(parameter),
        journal,
        compute=PARAMS.compute,
        limits=PARAMS.limits,
        matching=PARAMS.matching,
    )
    tables = MatchTables.inside(companies.parent)
    combine_parts(pieces, tables)
    frame: pd.DataFrame = pq.read_table(tables.company_matches).to_pandas()
    return frame


def test_every_state_that_a_crash_can_leave_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matcher: Matcher
) -> None:
    """At each write, flush and rename of two commits: right in the end, and what was promised is kept."""
    companies = write_companies(tmp_path, "abcd")
    home = tmp_path / "home"
    home.mkdir()
    opened: list[Kept] = []
    disk = Disk(home, lambda: opened[0].promised if opened else frozenset())
    with disk.listening(monkeypatch):
        opened.append(Kept(home))
        go_on(companies, "p", opened[0])
    expected, every = answers("abcd", "p"), keys_of(opened[0])
    assert disk.steps >= 2 * 5
    assert len(disk.states) > disk.steps
    for number, (state, promised) in enumerate(disk.states.items()):
        matcher.matched.clear()
        left = Journal(lay_out(state, tmp_path / f"state-{number}"))
        committed = keys_of(left)
        assert promised <= committed, sorted(name for name, _ in state)
        pd.testing.assert_frame_equal(go_on(companies, "p", left), expected, check_dtype=False)
        assert len(matcher.matched) == 4 - 2 * len(committed)
        keys = [line["key"] for line in read_lines(left.folder / "journal.ndjson") if "digest" in line]
        assert set(keys) == every == keys_of(left)
        assert not list(left.folder.glob("*.tmp"))


class Matching(RuleBasedStateMachine):
    """A store over months: new files, new parameters, crashes and damage, beside a model that is a dict.

    The model knows which chunks must be known (parameter and companies to whether the part is whole), so it
    also knows which companies may be matched at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.matcher = Matcher()
        self.patch.setattr(execute, "match_and_keep", self.matcher)
        self.patch.setattr(execute, "_opened_index", lambda folder: folder)
        self.ids, self.parameter = "abcde", "p"
        self.known: dict[str, dict[tuple[str, ...], bool]] = {"p": {}, "q": {}}

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    @property
    def new(self) -> str:
        """The companies of whom no whole chunk tells."""
        carried = {one for chunk, whole in self.known[self.parameter].items() if whole for one in chunk}
        return "".join(one for one in self.ids if one not in carried)

    @rule(ids=st.sets(st.sampled_from("abcdefgh"), min_size=1))
    def change_input(self, ids: set[str]) -> None:
        self.ids = "".join(sorted(ids))

    @rule(parameter=st.sampled_from("pq"))
    def change_parameter(self, parameter: str) -> None:
        self.parameter = parameter

    @rule()
    def resume(self) -> None:
        self._match(None)

    @rule(step=st.integers(1, 12))
    def crash(self, step: int) -> None:
        self._match(step)

    @rule(number=st.integers(0, 9), cut_off=st.booleans())
    def damage_a_part(self, number: int, cut_off: bool) -> None:
        parts = sorted(self._home().glob("part-*.parquet"))
        if parts:
            part = parts[number % len(parts)]
            content = part.read_bytes()
            part.write_bytes(content[:-7] if cut_off else content[:50] + b"?" + content[51:])
            key = part.stem.removeprefix("part-")
            for chunk in self.known[self.parameter]:
                if self._key(chunk) == key:
                    self.known[self.parameter][chunk] = False

    @rule()
    def tear_the_journal(self) -> None:
        path = self._home() / "journal.ndjson"
        if path.exists() and path.stat().st_size:
            path.write_bytes(path.read_bytes()[:-20])
            left = {line["key"] for line in read_lines(path)}
            for chunk in [one for one in self.known[self.parameter] if self._key(one) not in left]:
                del self.known[self.parameter][chunk]

    @invariant()
    def committed_is_what_the_model_knows(self) -> None:
        whole = {self._key(chunk) for chunk, is_whole in self.known[self.parameter].items() if is_whole}
        assert keys_of(Journal(self._home())) == whole

    def _match(self, step: int | None) -> None:
        """Match to the end, or until a crash before one step of the commit protocol."""
        companies = write_companies(self.folder, self.ids)
        new = self.new
        self.matcher.matched.clear()
        journal = Kept(self._home())
        for mark in self._home().glob("*.begun"):
            # A chunk that died twice is isolated in a process of its own; that has tests of its own.
            mark.unlink()
        try:
            with dying_before(step, self._home()):
                found = go_on(companies, self.parameter, journal)
        except Died:
            assert set(self.matcher.matched) <= set(new)
        else:
            assert sorted(self.matcher.matched) == sorted(new)
            pd.testing.assert_frame_equal(found, answers(self.ids, self.parameter), check_dtype=False)
        committed = keys_of(Journal(self._home()))
        for chunk in [tuple(new[at : at + 2]) for at in range(0, len(new), 2)]:
            if self._key(chunk) in committed:
                self.known[self.parameter][chunk] = True
        promised = {self._key(chunk) for chunk, whole in self.known[self.parameter].items() if whole}
        assert journal.promised <= promised

    def _home(self) -> Path:
        return self.folder / self.parameter

    def _key(self, chunk: tuple[str, ...]) -> str:
        companies = write_companies(self.folder, chunk)
        return plan(companies, self.parameter, Journal(self.folder / "empty")).chunks[0].key


TestMatching = Matching.TestCase
TestMatching.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
