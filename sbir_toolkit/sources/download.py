"""Fetching an official file: whole and right, or not at all.

The files have hundreds of megabytes and the servers stop half-way, so what has come is kept beside the target
and the next attempt asks for the rest. It is asked for under the condition that the file is still the same;
when the server says it isn't, ignores the question, or answers with another stretch or size, all is fetched
anew. Only a file of the size that was announced is put in its place, in one step, and beside it stands a note
with its address, size and digest. By that note the server is asked, the next time, whether there is a newer
one.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.storage import digest_file, read_json, sync_folder, write_json

_BLOCK = 1 << 18
_SAY_EVERY_S = 2.0
_LONGEST_WAIT_S = 60.0
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_DUMPS = "subset_download_file"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched, now or before.

    Parameters
    ----------
    path
        Where it is.
    url
        Where it came from.
    size
        In bytes.
    digest
        `sha256:` and 64 hexadecimal digits.
    is_new
        Whether it was fetched now; False when the server has no newer one.
    """

    path: Path
    url: str
    size: int
    digest: str
    is_new: bool

    def __repr__(self) -> str:
        state = "fetched" if self.is_new else "unchanged since it was fetched"
        return f"{self.path}: {state}, {self.size:,} bytes, {self.digest}\nfrom {self.url}"


def fetch_file(url: str, path: Path, settings: params.Fetch, *, say: Say) -> Fetched:
    """Fetch a file.

    Parameters
    ----------
    url
        Its address; one that answers with USAspending's list of dumps stands for the newest subset in it.
    path
        Where it goes; the note stands beside it, as `<name>.json`, and so does what has come of it so far, as
        `<name>.part`.
    settings
        How often to try, and how long to wait.
    say
        Takes lines about the progress.

    Returns
    -------
    Fetched

    Raises
    ------
    InputError
        When the address can't be reached, refuses, or doesn't give the whole file. What was at `path` before
        is still there then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch = _Fetch(url, path, settings, say)
    for attempt in range(1, settings.attempts + 1):
        try:
            return fetch.try_once()
        except _PassingError as failed:
            if attempt == settings.attempts:
                raise fetch.refuse(str(failed)) from failed
            wait_s = min(failed.wait_s or settings.wait_s * 2 ** (attempt - 1), _LONGEST_WAIT_S)
            say(f"{failed}; attempt {attempt + 1} of {settings.attempts} in {wait_s:.0f} s")
            time.sleep(wait_s)
    raise fetch.refuse("no attempt was made")


class _PassingError(Exception):
    """What may be better at the next attempt."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


@dataclass(frozen=True)
class _State:
    """What is known of the file on the server: its address, and what tells it from a newer one."""

    url: str
    etag: str | None
    modified: str | None
    size: int | None

    @property
    def condition(self) -> str | None:
        """By what the server can tell that it is still the same; a weak tag can't promise the same bytes."""
        return self.modified if self.etag is None or self.etag.startswith("W/") else self.etag


class _Fetch:
    """One file on its way."""

    def __init__(self, url: str, path: Path, settings: params.Fetch, say: Say) -> None:
        self._listed = url
        self._url = url
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._part_note = path.with_name(f"{path.name}.part.json")
        self._note = path.with_name(f"{path.name}.json")
        self._settings = settings
        self._say = say

    @property
    def _is_list(self) -> bool:
        """Whether the address is that of a list of files, of which the newest is meant."""
        return urlsplit(self._listed).path.rstrip("/").endswith("list_database_download_files")

    def refuse(self, got: str) -> InputError:
        """Make the error that says why it can't be fetched, and how else to get it."""
        by_hand = f"download {self._url} in a browser and save it as {self._path}"
        if self._is_list and self._url == self._listed:
            by_hand = (
                f"open {self._url} in a browser, download the zip archive that it names under {_DUMPS}, "
                "and name that: -p recipients.path=FILE.zip"
            )
        return InputError(
            explain(
                "the file can't be fetched",
                where=self._url,
                expected="the whole file",
                got=got,
                todo=f"try again later, or {by_hand}",
            )
        )

    def try_once(self) -> Fetched:
        """Ask for the file or for the rest of it, and put it in place when it is whole."""
        if self._is_list:
            self._url = self._newest_dump()
        begun, kept = self._begun(), self._kept()
        headers = {"Accept-Encoding": "identity", "User-Agent": "sbir-toolkit"}
        if begun is not None:
            size = self._part.stat().st_size
            headers |= {"Range": f"bytes={size}-", "If-Range": str(begun.condition)}
        elif kept is not None:
            headers |= {"If-None-Match": kept.etag} if kept.etag else {}
            headers |= {"If-Modified-Since": kept.modified} if kept.modified else {}
        with self._open(headers) as answer:
            if answer.status == http.HTTPStatus.NOT_MODIFIED:
                return Fetched(self._path, self._url, self._path.stat().st_size, self._known_digest(), False)
            if answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._forget()
                raise _PassingError("the server has no such rest of the file: all is fetched anew")
            state = self._receive(answer, begun)
        self._check_end(state)
        return self._put(state)

    def _newest_dump(self) -> str:
        with self._open({"User-Agent": "sbir-toolkit"}) as answer:
            text = self._read(answer, 1 << 20)
        try:
            listed = json.loads(text)
            return str(listed[_DUMPS]["url"])
        except (ValueError, KeyError, TypeError) as wrong:
            raise self.refuse(f"an answer without {_DUMPS}.url: {text[:80]!r}") from wrong

    @contextmanager
    def _open(self, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        url = self._listed if "Accept-Encoding" not in headers else self._url
        request = urllib.request.Request(url, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=self._settings.timeout_s)
        except urllib.error.HTTPError as refused:
            if refused.code in (304, 416):
                with refused:
                    yield cast(http.client.HTTPResponse, refused)
                return
            with refused:
                raise self._failure(refused) from refused
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as failed:
            reason = failed.reason if isinstance(failed, urllib.error.URLError) else failed
            raise _PassingError(f"the server can't be reached: {reason}") from failed
        with answer:
            yield answer

    def _failure(self, refused: urllib.error.HTTPError) -> Exception:
        what = f"the server answers {refused.code} {refused.reason}"
        if refused.code not in _PASSING:
            return self.refuse(what)
        after = refused.headers.get("Retry-After", "")
        return _PassingError(what, float(after) if after.isdigit() else 0.0)

    def _receive(self, answer: http.client.HTTPResponse, begun: _State | None) -> _State:
        """Write what comes behind what is there already, or from the beginning."""
        length = answer.headers.get("Content-Length")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self.refuse(f"a file in another encoding, {answer.headers['Content-Encoding']}")
        state = _State(
            self._url,
            answer.headers.get("ETag"),
            answer.headers.get("Last-Modified"),
            int(length) if length is not None and length.isdigit() else None,
        )
        first = 0
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            first = self._part.stat().st_size if begun else 0
            state = self._continued(answer, begun, state, first)
        elif answer.status != http.HTTPStatus.OK:
            raise self.refuse(f"the server answers {answer.status} {answer.reason}")
        write_json(self._part_note, dataclasses.asdict(state))
        self._copy(answer, first, state)
        return state

    def _continued(
        self, answer: http.client.HTTPResponse, begun: _State | None, state: _State, first: int
    ) -> _State:
        """Check that what comes is the rest of what is there."""
        stretch = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        is_rest = (
            begun is not None
            and stretch is not None
            and int(stretch[1]) == first
            and stretch[3] in {"*", str(begun.size)}
            and (state.etag, state.modified) == (begun.etag, begun.modified)
        )
        if begun is None or not is_rest:
            self._forget()
            raise _PassingError("the server gave another part of the file, or of another file: all anew")
        return begun

    def _copy(self, answer: http.client.HTTPResponse, first: int, state: _State) -> None:
        told = time.monotonic()
        with self._part.open("r+b" if first else "wb") as file:
            file.seek(first)
            size = first
            while block := self._read(answer, _BLOCK):
                if size == 0 and _is_web_page(block) and not self._path.suffix.startswith(".htm"):
                    self._forget()
                    raise self.refuse("a web page")
                file.write(block)
                size += len(block)
                if time.monotonic() - told > _SAY_EVERY_S:
                    told = time.monotonic()
                    self._say(_progress(size, state.size))
        if state.size is not None and size != state.size:
            if size > state.size:
                self._forget()
            raise _PassingError(f"the server stopped at {size:,} of {state.size:,} bytes")

    def _read(self, answer: http.client.HTTPResponse, size: int) -> bytes:
        try:
            return answer.read(size)
        except (http.client.HTTPException, TimeoutError, ConnectionError) as failed:
            raise _PassingError(f"the connection broke: {failed!r}") from failed

    def _check_end(self, state: _State) -> None:
        """Ask for what comes behind the end: a server that has more announced too little."""
        size = self._part.stat().st_size
        headers = {"Range": f"bytes={size}-", "Accept-Encoding": "identity", "User-Agent": "sbir-toolkit"}
        try:
            with self._open(headers) as answer:
                tag, length = answer.headers.get("ETag"), answer.headers.get("Content-Length", "")
                is_whole = answer.status == http.HTTPStatus.OK and length in {"", str(size)}
                is_whole |= answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                is_whole &= tag in {None, state.etag}
        except (_PassingError, InputError):
            return  # no answer says nothing against the size that was announced
        if not is_whole:
            self._forget()
            raise _PassingError("the file changed while it was fetched, or is longer than announced")

    def _put(self, state: _State) -> Fetched:
        digest = digest_file(self._part)
        size = self._part.stat().st_size
        if size == 0:
            self._forget()
            raise self.refuse("an empty file")
        self._note.unlink(missing_ok=True)
        self._part.replace(self._path)
        sync_folder(self._path.parent)
        write_json(self._note, {**dataclasses.asdict(state), "size": size, "digest": digest})
        self._part_note.unlink(missing_ok=True)
        return Fetched(self._path, self._url, size, digest, True)

    def _begun(self) -> _State | None:
        """What is known of a file that has come in part; None when it can't be gone on with."""
        state = _read_note(self._part_note)
        if state is None or not self._part.exists() or state.url != self._url or state.condition is None:
            return None
        size = self._part.stat().st_size
        return state if size and (state.size is None or size < state.size) else None

    def _kept(self) -> _State | None:
        """What is known of the file in place; None when it isn't the one that was fetched."""
        state = _read_note(self._note)
        if state is None or state.url != self._url or not self._path.exists():
            return None
        return state if digest_file(self._path) == self._known_digest() else None

    def _known_digest(self) -> str:
        return str(read_json(self._note)["digest"])

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._part_note.unlink(missing_ok=True)


def _read_note(path: Path) -> _State | None:
    try:
        note = read_json(path)
        return _State(*(note[field.name] for field in dataclasses.fields(_State)))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no note, or one that a crash left half: then nothing is known


def _is_web_page(block: bytes) -> bool:
    return block.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def _progress(size: int, total: int | None) -> str:
    if not total:
        return f"{size / 1e6:,.0f} MB"
    return f"{size / 1e6:,.0f} of {total / 1e6:,.0f} MB, {size / total:.0%}"
