"""Files at an address: fetched whole into the store before they are read, sent whole once they are made.

Readers look at a file more than once and map what they can, so an input at a URL is fetched first; it is
fetched again only when the server says that it has another one (by tag, time or size). Each version stays
under the digest of its content, so a run that is resumed reads what it began with, whatever stands at the
address by then. `http(s)://` needs nothing more; `s3://` and `gs://` go through fsspec and need the extras
`s3` and `gcs`. Who one is there and where it is, those libraries find as ever (`AWS_PROFILE`,
`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, ParameterError, explain
from sbir_toolkit.sources.download import fetch_file
from sbir_toolkit.storage import digest_file, digest_value, mark_used, read_json, sync_folder, write_json

_EXTRAS = {"s3": "s3", "gs": "gcs"}
_HOME = "remote"
_SAY_EVERY_S = 2.0
# What tells one version of an object from another, as far as its store says it.
_VERSION = ("ETag", "etag", "generation", "LastModified", "updated", "size")

Say = Callable[[str], None]


def is_url(name: str | None) -> bool:
    """Tell whether something names a place elsewhere rather than a file here."""
    return name is not None and "://" in name


def fetch_input(url: str, store: Path, settings: params.Fetch, *, say: Say) -> Path:
    """Fetch a file into the store, unless the one that is there is still the same.

    Parameters
    ----------
    url
        `http://`, `https://`, `s3://` or `gs://`.
    store
        What is kept from run to run.
    settings
        How often to try, and how long to wait.
    say
        Takes lines about what is fetched.

    Returns
    -------
    pathlib.Path
        Where this version is; it stays there, also when a newer one is fetched.

    Raises
    ------
    InputError
        When it can't be fetched whole.
    ParameterError
        When there is no such kind of address, or what it needs isn't installed.
    """
    scheme, name = urlsplit(url).scheme, PurePosixPath(urlsplit(url).path).name or "input"
    current = store / _HOME / digest_value(url)[7:23] / name
    if scheme in ("http", "https"):
        digest = fetch_file(url, current, settings, say=say).digest
    else:
        current.parent.mkdir(parents=True, exist_ok=True)
        digest = _fetch_object(url, current, say)
    kept = current.parent / digest[7:23] / name
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        # A second name for the same bytes: a newer file takes the first one's place, not this one's.
        os.link(current, kept)
    mark_used(kept.parent)
    return kept


def find_url(path: Path) -> str | None:
    """Say where a file came from that `fetch_input` gave; None for any other."""
    note = path.parent.parent / f"{path.name}.json"
    if path.parent.parent.parent.name != _HOME or not note.exists():
        return None
    return str(read_json(note)["url"])


def send_file(path: Path, url: str) -> None:
    """Send a file to an object store; whoever looks there sees all of it, or none.

    Raises
    ------
    InputError
        When it doesn't arrive whole.
    ParameterError
        When nothing can be written at such an address.
    """
    system, place, failures = _open_store(url)
    size = path.stat().st_size
    try:
        system.put_file(str(path), place)
        system.invalidate_cache()
        arrived = system.info(place)["size"]
    except failures as wrong:
        raise _not_sent(url, f"{type(wrong).__name__}: {wrong}") from wrong
    if arrived != size:
        raise _not_sent(url, f"{arrived:,} of {size:,} bytes")


def remove_file(url: str) -> None:
    """Remove a file from an object store, if it is there."""
    system, place, failures = _open_store(url)
    try:
        if system.exists(place):
            system.rm_file(place)
    except failures as wrong:
        raise _not_sent(url, f"{type(wrong).__name__}: {wrong}") from wrong


def check_writable(url: str) -> None:
    """Refuse an address that nothing can be written at, before any work is done for it.

    Raises
    ------
    ParameterError
        When there is no such kind of address, or what it needs isn't installed.
    """
    _open_store(url)


def _fetch_object(url: str, path: Path, say: Say) -> str:
    system, place, failures = _open_store(url)
    note, part = path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.part")
    try:
        version = _version(system, place)
        known = read_json(note) if note.exists() and path.exists() else {}
        if known.get("version") == version:
            return str(known["digest"])
        say(f"fetching {url}, {version['size']:,} bytes" if "size" in version else f"fetching {url}")
        system.get_file(place, str(part), callback=_telling(say))
        if _version(system, place) != version:
            raise _not_fetched(url, "another version of it, put there meanwhile")
    except failures as wrong:
        raise _not_fetched(url, f"{type(wrong).__name__}: {wrong}") from wrong
    size = part.stat().st_size
    if size != version.get("size", size):
        raise _not_fetched(url, f"{size:,} of {version['size']:,} bytes")
    digest = digest_file(part)
    note.unlink(missing_ok=True)
    part.replace(path)
    sync_folder(path.parent)
    write_json(note, {"url": url, "version": version, "size": size, "digest": digest})
    return digest


def _version(system: Any, place: str) -> dict[str, Any]:
    system.invalidate_cache()
    facts = {key: value for key, value in system.info(place).items() if key in _VERSION}
    return {key: value if isinstance(value, int) else str(value) for key, value in facts.items()}


def _telling(say: Say) -> Any:
    from fsspec.callbacks import Callback

    told = time.monotonic()

    def tell(size: int | None, value: int, **_: Any) -> None:
        nonlocal told
        if time.monotonic() - told > _SAY_EVERY_S:
            told = time.monotonic()
            say(f"{value:,} of {size or 0:,} bytes")

    return Callback(hooks={"say": tell})


def _open_store(url: str) -> tuple[Any, str, tuple[type[BaseException], ...]]:
    """Give the file system that an address is in, the place there, and what it raises when it fails."""
    scheme = urlsplit(url).scheme
    if scheme not in _EXTRAS:
        raise ParameterError(
            explain(
                "nothing can be read or written at such an address",
                where=url,
                expected="s3://bucket/file or gs://bucket/file; to read also http(s)://",
                got=f"{scheme}://",
            )
        )
    import fsspec

    failures: tuple[type[BaseException], ...]
    try:
        if scheme == "s3":
            from botocore.exceptions import BotoCoreError

            failures = (OSError, BotoCoreError)
        else:
            from google.auth.exceptions import GoogleAuthError

            failures = (OSError, GoogleAuthError)
        system, place = fsspec.core.url_to_fs(url)
    except ImportError as lacking:
        raise ParameterError(
            explain(
                f"what {scheme}:// needs isn't installed",
                where=url,
                got=lacking,
                todo=f"pip install 'sbir-toolkit[{_EXTRAS[scheme]}]'",
            )
        ) from lacking
    return system, place, failures


def _not_fetched(url: str, got: str) -> InputError:
    return InputError(
        explain(
            "the file can't be fetched",
            where=url,
            expected="the whole file",
            got=got,
            todo="check the address and that you may read it, or download it and name the file",
        )
    )


def _not_sent(url: str, got: str) -> InputError:
    return InputError(
        explain(
            "the file can't be sent",
            where=url,
            expected="the whole file there",
            got=got,
            todo="check the address and that you may write there",
        )
    )
