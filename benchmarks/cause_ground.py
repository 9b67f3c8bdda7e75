"""Where `benchmarks/causes.py` injects its causes: checkouts, input files, runs and their history."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.cause_kinds import Conditions, Kind, Patch
from benchmarks.measuring import PROJECT
from sbir_toolkit import write_synthetic
from sbir_toolkit.params import Params
from sbir_toolkit.performance import (
    Explanation,
    History,
    chunk_figures,
    explain_change,
    measure_run,
    take_side,
)
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.storage import read_json, read_lines, write_json

AWARDS, MANY_AWARDS, RECIPIENTS, SEED = 12_000, 60_000, 40_000, 7
STAGES = ("load_awards", "load_recipients", "match_recipients")
_BURN = "while True: pass"


class Ground:
    """A folder with checkouts, files, runs and a history, all of them made for this benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What is known of runs follows from their records and events; so it follows this code, not theirs.
        (folder / "history.sqlite").unlink(missing_ok=True)
        self.history = History(folder / "history.sqlite")
        for record in folder.glob("runs/*/run.json"):
            self._enter(record.parent)
        self._checkouts = folder / "checkouts"
        self.base = self._checkout("base")
        self._pipeline = load_pipeline(self.base / "notebooks" / "pipeline.yml", Params())

    def run(self, run_id: str, conditions: Conditions, name: str, checkout: Path) -> None:
        """Do one run."""
        runs = self.folder / "runs"
        kept = self.folder / "store" / name
        for part in conditions.forgets:
            shutil.rmtree(kept / part, ignore_errors=True)
        shutil.rmtree(runs / run_id, ignore_errors=True)
        runs.mkdir(exist_ok=True)
        files = self._files(conditions.files)
        job = runs / f"{run_id}.job.json"
        told = {
            "checkout": str(checkout),
            "folder": str(runs / run_id),
            "store": str(kept),
            "name": name,
            "set": list(conditions.params),
            "inputs": {one: str(files / f"{one}.csv") for one in ("awards", "recipients")},
        }
        write_json(job, told)
        paths = [str(checkout), *([str(self._old_library())] if conditions.has_old_library else [])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        program = Path(__file__).with_name("cause_run.py")
        with _burning(conditions.burners):
            subprocess.run([sys.executable, str(program), str(job)], env=env, cwd=checkout, check=True)
        shutil.rmtree(runs / run_id / "data")
        self._enter(runs / run_id)

    def run_sides(self, name: str, kind: Kind, repeats: int) -> None:
        """Run both sides of a kind in alternation."""
        sides = {"before": kind.before, "after": kind.after}
        checkouts = {
            side: self._checkout(self._label(name, side), conditions.patches)
            if conditions.patches
            else self.base
            for side, conditions in sides.items()
        }
        if "index" not in kind.before.forgets:
            self.run(f"{name}-before-warm", kind.before, name, checkouts["before"])
        for number in range(repeats):
            for side, conditions in sides.items():
                self.run(f"{name}-{side}-{number}", conditions, name, checkouts[side])

    def explain(self, name: str, kind: Kind, repeats: int) -> list[Explanation]:
        """Explain each stage's change between the two sides of a kind that were run."""
        before, after = (
            take_side(self.history, [f"{name}-{side}-{one}" for one in range(repeats)], side, self._chunks)
            for side in ("before", "after")
        )
        checkout = self._checkouts / self._label(name, "after") if kind.after.patches else self.base
        return [
            explain_change(
                stage, before, after, project=checkout, path=self._pipeline.path(self._pipeline[stage])
            )
            for stage in STAGES
        ]

    def _enter(self, run: Path) -> None:
        record = read_json(run / "run.json")
        self.history.record_run(record, measure_run(record, read_lines(run / "events.ndjson")))

    def _chunks(self, run_id: str) -> pd.DataFrame:
        return chunk_figures(read_lines(self.folder / "runs" / run_id / "events.ndjson"))

    @staticmethod
    def _label(name: str, side: str) -> str:
        return f"{name}-{side}"

    def _checkout(self, name: str, patches: tuple[Patch, ...] = ()) -> Path:
        """Copy the project as a git checkout of its own; patches are a commit on top."""
        path = self._checkouts / name
        shutil.rmtree(path, ignore_errors=True)
        if not patches:
            for part in ("sbir_toolkit", "notebooks", "params"):
                shutil.copytree(
                    PROJECT / part, path / part, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb_*")
                )
            _git(path, "init", "--quiet")
            (path / ".gitignore").write_text("__pycache__/\n")
        else:
            shutil.copytree(self.base, path)
        for patch in patches:
            file = path / "sbir_toolkit" / patch.file
            text = file.read_text()
            if text.count(patch.old) != 1:
                raise SystemExit(f"{patch.file} has changed: this isn't in it once any more: {patch.old!r}")
            file.write_text(text.replace(patch.old, patch.new))
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(path / "sbir_toolkit")], check=True)
        _git(path, "add", "--all")
        _git(
            path, "commit", "--quiet", "--message", f"{name}: the injected change" if patches else "as it is"
        )
        return path

    def _files(self, kind: str) -> Path:
        """Make the input files of one kind, once."""
        path = self.folder / "files" / kind
        if (path / "awards.csv").exists():
            return path
        if kind in ("plain", "many"):
            awards_wanted = AWARDS if kind == "plain" else MANY_AWARDS
            write_synthetic(path, awards=awards_wanted, recipients=RECIPIENTS, seed=SEED)
            return path
        plain = self._files("plain" if kind == "reordered" else "many")
        awards = pd.read_csv(plain / "awards.csv", dtype=str, keep_default_na=False)
        identifiers = [name for name in awards.columns if name.lower() in ("uei", "duns")]
        assert len(identifiers) == 2, list(awards.columns)
        order = awards["Company"].str.upper().rank(method="first", pct=True)
        blanked = {
            "third": pd.Series(data=False, index=awards.index),
            "reordered": pd.Series(data=False, index=awards.index),
            "identified": pd.Series(data=False, index=awards.index),
            "blank": pd.Series(data=True, index=awards.index),
            "skewed": order <= 0.5,
            "scattered": pd.util.hash_pandas_object(awards["Company"], index=False) % 2 == 0,
        }[kind]
        awards.loc[blanked, identifiers] = ""
        if kind == "identified":
            awards[identifiers] = _identifiers(plain).to_numpy()
        if kind in ("skewed", "scattered"):
            # Words that many names share make a company dear to look for.
            awards.loc[blanked, "Company"] += " Advanced Technologies Systems Research"
        if kind == "third":
            awards = awards.head(len(awards) // 3)
        if kind == "reordered":
            awards = awards.iloc[::-1]
        path.mkdir(parents=True)
        shutil.copyfile(plain / "recipients.csv", path / "recipients.csv")
        awards.to_csv(path / "awards.csv", index=False)
        return path

    def _old_library(self) -> Path:
        """Make an older rapidfuzz: the installed one, which calls itself 3.0.0 and compares eight times."""
        import rapidfuzz

        path = self.folder / "old_library"
        if not path.exists():
            package = Path(rapidfuzz.__file__).parent
            shutil.copytree(package, path / "rapidfuzz", ignore=shutil.ignore_patterns("__pycache__"))
            told = next(package.parent.glob("rapidfuzz-*.dist-info"))
            older = path / "rapidfuzz-3.0.0.dist-info"
            older.mkdir()
            text = (told / "METADATA").read_text()
            (older / "METADATA").write_text(re.sub(r"(?m)^Version: .*", "Version: 3.0.0", text))
            with (path / "rapidfuzz" / "process.py").open("a") as file:
                file.write(
                    "\n_newer = cpdist\n\n"
                    "def cpdist(*arguments, **options):\n"
                    "    for _ in range(40):\n"
                    "        _newer(*arguments, **options)\n"
                    "    return _newer(*arguments, **options)\n"
                )
        return path


def _identifiers(files: Path) -> pd.DataFrame:
    """Give each award of a synthetic file the identifiers of its true recipient, where there is one."""
    truth, recipients = (pd.read_csv(files / f"{name}.csv", dtype=str) for name in ("truth", "recipients"))
    register = recipients.set_index("recipient_hash")[["uei", "duns"]]
    told: pd.DataFrame = register.reindex(truth["recipient_hash"]).fillna("")
    return told


@contextlib.contextmanager
def _burning(count: int) -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def _git(folder: Path, *words: str) -> None:
    author = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
    subprocess.run(["git", "-C", str(folder), *author, *words], check=True)
