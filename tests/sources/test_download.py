"""Fetching from a server of this machine that does everything wrong."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sbir_toolkit.cli import main
from sbir_toolkit.errors import InputError, ParameterError
from sbir_toolkit.params import Fetch, load_params
from sbir_toolkit.sources import fetch_file

OLD = bytes(range(256)) * 4_000
NEW = OLD[::-1] + b"newer"
SETTINGS = Fetch(attempts=5, wait_s=0, timeout_s=5)


class Server(ThreadingHTTPServer):
    """Serves one file; `plan` says what it does wrong at each request, and nothing when it is used up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = OLD
        self.plan: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/award_data.csv"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        does = server.plan.pop(0) if server.plan else ""
        server.asked.append(dict(self.headers))
        if does.isdigit():
            return self.answer(int(does), b"no", {"Retry-After": "0"})
        if does == "page":
            return self.answer(200, b"<!DOCTYPE html><html>maintenance</html>")
        if does == "hang up":
            return None
        if self.path == "/moved":
            return self.answer(302, b"", {"Location": "/award_data.csv"})
        if self.path.endswith("list_database_download_files/"):
            return self.answer(200, json.dumps({"subset_download_file": {"url": server.url}}).encode())
        if does.startswith("changes"):
            server.content = NEW
        self.give_file(does)

    def give_file(self, does: str) -> None:
        content, first = self.server.content, 0
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {} if "no tag" in does else {"ETag": tag, "Last-Modified": "Mon, 07 Sep 2026 00:00:00 GMT"}
        if self.headers.get("If-None-Match") == tag:
            return self.answer(304, b"", headers)
        status = 200
        is_same = self.headers.get("If-Range", tag) == tag or "lies about ranges" in does
        if "Range" in self.headers and is_same and "ignores ranges" not in does:
            first = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if first >= len(content):
                return self.answer(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
            if "wrong stretch" in does:
                first -= 1_000
            status = 206
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        body = content[first:]
        length = len(body) // 2 if "announces half" in does else len(body) * (1 + ("announces twice" in does))
        stop = len(body) // 3 if "stops" in does else len(body)
        self.answer(status, body[: min(stop, length)], {**headers, "Content-Length": str(length)})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def silent(line: str) -> None:
    assert line


@pytest.mark.parametrize(
    ("plan", "content"),
    [
        ([], OLD),
        (["stops"], OLD),
        (["stops", "stops", "stops"], OLD),
        (["stops", "stops ignores ranges", ""], OLD),
        (["stops no tag", ""], OLD),
        (["stops", "hang up", "503", "500"], OLD),
        (["429", "408"], OLD),
        (["stops", "wrong stretch"], OLD),
        (["stops", "changes"], NEW),
        (["stops", "changes lies about ranges"], NEW),
        (["stops", "changes ignores ranges"], NEW),
        (["announces half"], OLD),
        (["announces twice"], OLD),
        (["", "changes"], NEW),
    ],
    ids=lambda plan: ", ".join(plan) if isinstance(plan, list) else "",
)
def test_the_right_file_is_fetched_from_a_bad_server(
    server: Server, tmp_path: Path, plan: list[str], content: bytes
) -> None:
    """Whatever goes wrong on the way, what is put in place is one edition of the file, whole."""
    server.plan = plan
    path = tmp_path / "data" / "award_data.csv"
    fetched = fetch_file(server.url, path, SETTINGS, say=silent)
    assert path.read_bytes() == content
    assert (fetched.size, fetched.is_new) == (len(content), True)
    assert fetched.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert sorted(file.name for file in path.parent.iterdir()) == ["award_data.csv", "award_data.csv.json"]
    assert json.loads(path.with_name("award_data.csv.json").read_text())["digest"] == fetched.digest


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (["403"], "answers 403"),
        (["404"], "answers 404"),
        (["page"], "a web page"),
        (["500"] * 5, "answers 500"),
        (["stops", *["hang up"] * 4], "can't be reached"),
        (["announces twice"] * 9, "stopped at"),
        (["stops", "wrong stretch"] * 3, "another part|stopped at"),
    ],
)
def test_what_cannot_be_fetched_leaves_the_old_file(
    server: Server, tmp_path: Path, plan: list[str], message: str
) -> None:
    """A server that refuses or never gives the whole file: a clear error, and the old file as it was."""
    path = tmp_path / "award_data.csv"
    path.write_bytes(b"old")
    server.plan = plan
    with pytest.raises(InputError, match=message) as caught:
        fetch_file(server.url, path, SETTINGS, say=silent)
    assert f"download {server.url} in a browser and save it as {path}" in str(caught.value)
    assert path.read_bytes() == b"old"


def test_only_what_is_missing_is_asked_for(server: Server, tmp_path: Path) -> None:
    """After a stop the rest is asked for, if the file is still the same; also by the next process."""
    path = tmp_path / "award_data.csv"
    server.plan = ["stops"]
    with pytest.raises(InputError, match="stopped at"):
        fetch_file(server.url, path, SETTINGS.model_copy(update={"attempts": 1}), say=silent)
    assert not path.exists()
    fetch_file(server.url, path, SETTINGS, say=silent)
    assert server.asked[1]["Range"] == f"bytes={len(OLD) // 3}-"
    assert server.asked[1]["If-Range"] == f'"{hashlib.md5(OLD).hexdigest()}"'
    assert path.read_bytes() == OLD


def test_a_file_that_is_there_is_fetched_only_when_there_is_a_newer_one(
    server: Server, tmp_path: Path
) -> None:
    """An unchanged file isn't fetched; a newer one is, and so is one that somebody changed here."""
    path = tmp_path / "award_data.csv"
    first = fetch_file(server.url, path, SETTINGS, say=silent)
    again = fetch_file(server.url, path, SETTINGS, say=silent)
    assert (again.is_new, again.digest) == (False, first.digest)
    assert "unchanged" in repr(again)
    path.write_bytes(b"changed by hand")
    assert fetch_file(server.url, path, SETTINGS, say=silent).is_new
    server.content = NEW
    assert fetch_file(server.url, path, SETTINGS, say=silent).is_new
    assert path.read_bytes() == NEW


def test_redirects_and_the_list_of_dumps_are_followed(server: Server, tmp_path: Path) -> None:
    """An address that moved, and USAspending's list that names the newest dump, lead to the file."""
    base = server.url.rsplit("/", 1)[0]
    for number, name in enumerate(("moved", "bulk/list_database_download_files/")):
        path = tmp_path / f"{number}.csv"
        fetch_file(f"{base}/{name}", path, SETTINGS, say=silent)
        assert path.read_bytes() == OLD


def test_a_list_of_dumps_that_is_out_of_reach_is_not_offered_as_the_file(tmp_path: Path) -> None:
    """What to do by hand is told of the archive that the list names; of a file's own address, to save it."""
    settings = SETTINGS.model_copy(update={"attempts": 1})
    for name, told in (("list_database_download_files", "-p recipients.path="), ("a.csv", "save it as")):
        with pytest.raises(InputError, match=told):
            fetch_file(f"http://127.0.0.1:9/{name}", tmp_path / "a.csv", settings, say=silent)


def test_waiting_grows_and_a_disk_that_is_full_is_said(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wait is twice the last one; what the disk refuses isn't tried again."""
    waits: list[float] = []
    monkeypatch.setattr("sbir_toolkit.sources.download.time.sleep", waits.append)
    server.plan = ["500", "500", "500"]
    fetch_file(server.url, tmp_path / "a.csv", Fetch(wait_s=1, timeout_s=5), say=silent)
    assert waits == [1, 2, 4]
    Path("/dev/full").exists() or pytest.skip("this system has no device that is always full")
    (tmp_path / "b.csv.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fetch_file(server.url, tmp_path / "b.csv", SETTINGS, say=silent)
    assert not (tmp_path / "b.csv").exists()


def test_the_command_fetches_and_says_what_to_do_offline(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fetch awards` writes where `awards.path` says; offline it names the address to use by hand."""
    path = tmp_path / "award_data.csv"
    base = ["fetch", "awards", "params/base.yml", "-p", f"awards.path={path}", "-p", "fetch.attempts=1", "-p"]
    assert main([*base, f"fetch.awards={server.url}"]) == 0
    assert hashlib.sha256(OLD).hexdigest() in capsys.readouterr().out
    url = "http://nowhere.invalid/award_data.csv"
    assert main([*base, f"fetch.awards={url}"]) == 2
    said = capsys.readouterr().err
    assert "can't be reached" in said
    assert f"download {url} in a browser and save it as {path}" in said
    assert path.read_bytes() == OLD


def test_only_addresses_of_the_web_are_taken() -> None:
    """A file's or another protocol's address is refused before anything is fetched."""
    with pytest.raises(ParameterError, match=r"fetch\.awards"):
        load_params(overrides=["fetch.awards=file:///etc/passwd"])
