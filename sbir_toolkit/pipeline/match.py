"""The matcher alone: two files in, one table of matches out, no notebooks.

The same readers, the same enrichment and the same store as in the pipeline, so a match made here is byte for
byte the one that a run makes. The recipients go from their file straight into the index; records of theirs
that could not be used are kept with their reasons in the store, `recipients/*/recipient_rejects.parquet`.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.enrichment import Enriched, link_awards, prepare_index
from sbir_toolkit.enrichment.combine import MatchTables
from sbir_toolkit.enrichment.companies import collapse_awards
from sbir_toolkit.enrichment.enrich import LINKED
from sbir_toolkit.enrichment.review import write_questions
from sbir_toolkit.errors import ParameterError
from sbir_toolkit.errors import explain as explain_error
from sbir_toolkit.locks import LONGEST_WAIT_S, locked
from sbir_toolkit.matching import open_index
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.setup import digest_input
from sbir_toolkit.reports.spreadsheets import ReviewFiles, write_review
from sbir_toolkit.sources import Loaded, load_awards, stream_recipients
from sbir_toolkit.sources.recognition import recognise
from sbir_toolkit.storage import atomic_path, digest_value, make_folder, mark_used, read_json, write_json
from sbir_toolkit.versions import DECIDING_LIBRARIES, code_digest, library_versions


@dataclass(frozen=True)
class Matched:
    """What matching two files gave; `recipients` says what was read, now or when their index was built."""

    out: Path
    awards: Loaded
    recipients: str
    enriched: Enriched
    unused: tuple[str, ...] = ()
    review: ReviewFiles | None = None

    def __repr__(self) -> str:
        rejects = _rejects_of(self.out)
        lines = [f"{self.awards!r}\n{self.recipients}\n{self.enriched!r}", *self.unused]
        lines += [f"matches: {self.out}\nrejected records: {rejects}"]
        return "\n".join([*lines, repr(self.review)] if self.review else lines)


def match_awards(
    awards: Path,
    recipients: Path | Sequence[Path],
    out: Path,
    params: Params,
    store: Path,
    *,
    review: Path | None = None,
) -> Matched:
    """Match a file of awards to a file of recipients.

    Parameters
    ----------
    awards, recipients
        Files as published; see `load_awards` and `load_recipients`. Recipients may come from several.
    out
        Where the matches go: Parquet, one row per award in the order of the awards (contract `matches`).
        Awards that could not be read are listed with their reasons in `<out>.rejects.parquet` beside it.
    params
        Parameters; none of the pipeline's are used.
    store
        Where the recipient index and committed chunks are kept for the next time. While the recipients' file
        is the same, it isn't read again.
    review
        Where the review list goes, when it is wanted: a name that ends in .xlsx; the same as CSV beside it.

    Returns
    -------
    Matched
        Counts of what was read, rejected and decided.

    Raises
    ------
    InputError
        When a file can't be read or isn't what it should be.
    ParameterError
        When `out` doesn't end in .parquet, or `review` in .xlsx.
    """
    _require_ending(out, ".parquet", "the matches are written as Parquet")
    if review is not None:
        _require_ending(review, ".xlsx", "the review list is written as a workbook")
    several = [recipients] if isinstance(recipients, Path) else list(recipients)
    recognise(awards, is_header_told=bool(params.awards.header))  # or the recipients would be read in vain
    recipients_key = digest_value(
        {
            "input": digest_input(several, "recipients", params.recipients, todo="name a file of recipients"),
            "told": params.recipients.model_dump(mode="json", exclude={"path"}),
            "code": code_digest("sources", "matching"),
            "libraries": library_versions(DECIDING_LIBRARIES),
        }
    )
    # What is in there is read from the awards each time, and nobody else's while the lock is held.
    work = store / "files" / digest_value([str(awards.resolve()), recipients_key])[7:23]
    with locked(work.with_suffix(".lock"), "the matching of these two files", wait_s=LONGEST_WAIT_S):
        # Reading keeps all cores busy, laying out an index doesn't: so the awards' turn comes after.
        is_read = threading.Event()
        with ThreadPoolExecutor(1) as beside:
            reading = beside.submit(_load_after, is_read, awards, work, params)
            try:
                index, told = _find_index(several, recipients_key, store, params, is_read)
            finally:
                is_read.set()
            read_awards, companies = reading.result()
        linked = link_awards(work / "awards.parquet", index, work, store, params, companies=companies)
        for source, target in (
            (linked.tables.matches, out),
            (work / "award_rejects.parquet", _rejects_of(out)),
        ):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        unused = tuple(_list_unused(linked.tables.overrides))
        files = None
        if review is not None:
            read_rows = params.limits.read_rows
            write_questions(work / "awards.parquet", linked.tables, open_index(index), batch_rows=read_rows)
            questions = pq.read_table(linked.tables.review_candidates).to_pandas()
            files = write_review(questions, review.parent, review.stem)
        shutil.rmtree(work)
    return Matched(out, read_awards, told, linked, unused, files)


def _load_after(is_free: threading.Event, awards: Path, work: Path, params: Params) -> tuple[Loaded, int]:
    """Read the awards and collapse them to companies, once the cores are free."""
    is_free.wait()
    loaded = load_awards(awards, work, params.limits, params.awards, columns=LINKED)
    companies = MatchTables.inside(work).companies
    return loaded, collapse_awards(loaded.paths["awards"], companies, batch_rows=params.limits.read_rows)


def _announce_end(tables: Iterable[pa.Table], is_over: threading.Event) -> Iterator[pa.Table]:
    yield from tables
    is_over.set()


def _find_index(
    recipients: Sequence[Path], key: str, store: Path, params: Params, is_read: threading.Event
) -> tuple[Path, str]:
    # The recipients go from the file into the index, and are read only when there is none, or no note of what
    # was found when they were read.
    folder = store / "recipients" / key[7:23]
    reading = stream_recipients(recipients, folder, params.limits, params.recipients)
    index = prepare_index(
        _announce_end(reading, is_read), store, params, contracts=reading.contracts, content=key
    )
    is_read.set()  # also where the index was known and nothing was read
    note = folder / "told.json"
    make_folder(folder)
    mark_used(folder)
    if not note.exists():
        write_json(note, repr(reading.finish()))
    return index, read_json(note)


def _require_ending(path: Path, ending: str, what: str) -> None:
    if path.suffix != ending:
        raise ParameterError(
            explain_error(what, where=path, expected=f"a name that ends in {ending}", got=path.name)
        )


def _list_unused(overrides: Path) -> list[str]:
    unused = pq.read_table(overrides, filters=[("status", "=", "unused")]).to_pylist()
    return [f"override in row {one['row']} not used ({one['company']}): {one['reason']}" for one in unused]


def _rejects_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.rejects.parquet")
