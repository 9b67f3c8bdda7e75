"""Inputs and outputs at an address: S3 as moto serves it here, and plain HTTP."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sbir_toolkit import write_synthetic
from sbir_toolkit.cli import main
from sbir_toolkit.errors import InputError, ParameterError
from sbir_toolkit.params import Fetch, load_params
from sbir_toolkit.pipeline.project import fetch_inputs, find_project
from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.pipeline.start import resume_pipeline, run_pipeline
from sbir_toolkit.sources.remote import fetch_input, find_url, send_file
from sbir_toolkit.storage import digest_file, read_json

from .toy import FUNDING, make_project, write_notebook

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    if not store.exists("bucket"):
        store.mkdir("bucket")
    yield "s3://bucket"
    store.rm("bucket", recursive=True)


def names(prefix: str) -> list[str]:
    import s3fs

    store = s3fs.S3FileSystem()
    store.invalidate_cache()
    return sorted(store.find(prefix))


def test_an_object_is_fetched_once_and_its_versions_stay(bucket: str, tmp_path: Path) -> None:
    """The same one isn't fetched again; a newer one is, and who read the old one still finds it."""
    source, said = tmp_path / "a.csv", list[str]()
    url = f"{bucket}/in/a.csv"
    source.write_text("first\n")
    send_file(source, url)
    first = fetch_input(url, tmp_path / "store", Fetch(), say=said.append)
    assert fetch_input(url, tmp_path / "store", Fetch(), say=said.append) == first
    assert len(said) == 1
    source.write_text("second\n")
    send_file(source, url)
    second = fetch_input(url, tmp_path / "store", Fetch(), say=said.append)
    assert (first.read_text(), second.read_text(), len(said)) == ("first\n", "second\n", 2)
    assert first.name == second.name == "a.csv"
    assert find_url(second) == url
    assert find_url(source) is None


def test_what_is_not_there_or_not_possible_is_said(bucket: str, tmp_path: Path) -> None:
    """Each says the address and what to do."""
    with pytest.raises(InputError, match=r"(?s)can't be fetched.*s3://bucket/nothing.csv"):
        fetch_input(f"{bucket}/nothing.csv", tmp_path, Fetch(), say=print)
    with pytest.raises(ParameterError, match=r"(?s)such an address.*ftp://"):
        fetch_input("ftp://host/a.csv", tmp_path, Fetch(), say=print)
    with pytest.raises(ParameterError, match=r"pip install 'sbir-toolkit\[gcs\]'"):
        fetch_input("gs://bucket/a.csv", tmp_path, Fetch(), say=print)
    with pytest.raises(InputError, match=r"(?s)can't be sent.*s3://nobucket"):
        send_file(Path(__file__), "s3://nobucket/a.py")
    with pytest.raises(ParameterError, match="such an address"):
        send_file(Path(__file__), "https://example.org/a.py")


def test_match_reads_and_writes_where_it_is_told(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Awards from S3 and recipients over HTTP give the bytes that files give, in S3."""
    made = write_synthetic(tmp_path, awards=60, recipients=200, seed=5)
    send_file(made.awards, f"{bucket}/awards.csv")
    monkeypatch.chdir(ROOT)
    outputs = ["--outputs", str(tmp_path / "outputs")]
    local = tmp_path / "local.parquet"
    assert main([*outputs, "match", str(made.awards), str(made.recipients), "-o", str(local)]) == 0
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        recipients = f"http://127.0.0.1:{server.server_port}/{made.recipients.name}"
        words = ["match", f"{bucket}/awards.csv", recipients, "-o", f"{bucket}/out/matches.parquet"]
        assert main([*outputs, *words]) == 0
        server.shutdown()
    assert f"matches: {bucket}/out/matches.parquet" in capsys.readouterr().out
    assert names("bucket/out") == ["bucket/out/matches.parquet", "bucket/out/matches.rejects.parquet"]
    there = fetch_input(f"{bucket}/out/matches.parquet", tmp_path / "back", Fetch(), say=print)
    assert digest_file(there) == digest_file(local)


def test_a_run_reads_a_version_and_is_delivered_whole(bucket: str, tmp_path: Path) -> None:
    """`complete.json` lists what is there; what couldn't be sent is sent by `resume`."""
    write_notebook(tmp_path / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=3))
    project = make_project(
        tmp_path, {"count": {"writes": ["funding"]}}, synthetic={"awards": 5, "recipients": 5}
    )
    params = load_params(project.root / "params" / "toy.yml", ["pipeline.publish_to=s3://absent/runs"])
    said: list[str] = []
    with pytest.raises(Exception, match=r"(?s)is done, but couldn't be copied whole.*resume"):
        run_pipeline(project, params, say=said.append)
    import s3fs

    s3fs.S3FileSystem().mkdir("absent")
    folder = next(path for path in project.runs.iterdir() if (path / "run.json").exists())
    resumed = resume_pipeline(project, RunFolder(folder), say=said.append)
    assert resumed.record["delivered"]["to"] == f"s3://absent/runs/{folder.name}"
    complete = json.loads(s3fs.S3FileSystem().cat_file(f"absent/runs/{folder.name}/complete.json"))
    listed = {f"absent/runs/{folder.name}/{name}" for name in [*complete["files"], "complete.json"]}
    assert set(names(f"absent/runs/{folder.name}")) == listed
    assert complete["files"]["data/funding.parquet"]["digest"] == digest_file(
        folder / "data" / "funding.parquet"
    )
    assert read_json(folder / "run.json")["delivered"]["files"] == len(complete["files"])


def test_inputs_at_an_address_become_files(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters that are frozen into a run name the very version that it reads."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "a.csv").write_text("x\n")
    send_file(tmp_path / "a.csv", f"{bucket}/a.csv")
    given = load_params(None, [f"awards.path={bucket}/a.csv", f"recipients.path=[{bucket}/a.csv, b.csv]"])
    params = fetch_inputs(find_project(tmp_path / "outputs"), given, say=print)
    assert isinstance(params.awards.path, str)
    assert Path(params.awards.path).read_text() == "x\n"
    assert params.recipients.path == (params.awards.path, str(ROOT / "b.csv"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
