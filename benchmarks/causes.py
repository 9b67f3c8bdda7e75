"""Does the toolkit name the right cause of a slow-down? Causes are injected for real, and it is asked.

Each kind really changes the thing: a function in a copied checkout (committed there, so digests and commits
are true), a parameter, the input, a library, the machine. Runs without and with the change alternate; each is
the work of three stages in processes of their own, recorded and entered into a history like a run of the
pipeline. Then `explain_change` compares the two sides, and the largest row of `cause_frame` must name the
cause (its part and what it is laid to) and the stage.

*Nothing changed* and *harmless change* (a comment in each room, a parameter of another stage, a file touched)
are the other way round: no cause may be named at all.

    make bench-causes
    python -m benchmarks.causes --kinds matching_slower disk_log --repeats 3

Each kind's result is kept in the folder; stopped and asked again, the benchmark goes on with the kinds that
this code hasn't been asked for yet (a new folder begins anew). Let nothing else run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measuring import PROJECT, describe_machine
from benchmarks.results import store
from sbir_toolkit import write_synthetic
from sbir_toolkit.meter import usable_cores
from sbir_toolkit.params import Params
from sbir_toolkit.performance import (
    Explanation,
    History,
    cause_frame,
    chunk_figures,
    explain_change,
    take_side,
)
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.storage import read_json, read_lines, write_json

AWARDS, MANY_AWARDS, RECIPIENTS, SEED = 12_000, 60_000, 40_000, 7
LOAD, MATCH = "load_awards", "match_recipients"
NULL = "none"
_BURN = "while True: pass"
_NOT_NAMED = "not identifiable"
# Matching by name so dear that it counts beside the rest, at a size that takes seconds.
_DEAR = ("matching.max_candidates=100", "matching.min_word_overlap=0.1", "matching.max_word_postings=20000")
# So dear that sharing it out is worth the start of workers.
_DEAREST = (
    "matching.max_candidates=400",
    "matching.min_word_overlap=0.05",
    "matching.max_word_postings=40000",
)
_PROCESSES = (*_DEAREST, "compute.scheduler=processes", "compute.workers=2")


@dataclass(frozen=True)
class Patch:
    """A piece of code in a copied checkout, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Conditions:
    """Under what a run is done."""

    patches: tuple[Patch, ...] = ()
    params: tuple[str, ...] = ()
    files: str = "plain"
    has_old_library: bool = False
    burners: int = 0
    forgets: tuple[str, ...] = ("index", "matching")


@dataclass(frozen=True)
class Kind:
    """A cause to inject: what must be named, and how both sides are run."""

    stages: tuple[str, ...]
    parts: tuple[str, ...]
    cause: str
    after: Conditions
    before: Conditions = field(default=Conditions())


def _patched(file: str, old: str, new: str) -> Conditions:
    return Conditions(patches=(Patch(file, old, new),))


_NORMALISE = "            part = normalise(batch)\n"
_MEASURE = "        measures = measure_pairs(index, names, pairs)\n"
_FOUND = "            found = _match_of_each(batch, company_matches)\n"
_BY_WORDS = "    query, name, score = find_by_words(index, names, open_names, params)\n"
_DECIDE = "        choice = choose(index, pairs, probability, companies.num_rows)\n"
_WAIT = "_WAIT_S = 600.0\n"
_COMMENT = "from __future__ import annotations\n"

KINDS: dict[str, Kind] = {
    "sources_slower": Kind(
        (LOAD,),
        ("computing",),
        "code of sources",
        _patched(
            "sources/loading.py",
            _NORMALISE,
            _NORMALISE
            + '            if "award_id" in part.table.column_names:\n'
            + "                for _ in range(12):\n"
            + "                    normalise(batch)\n",
        ),
    ),
    "matching_slower": Kind(
        (MATCH,),
        ("computing",),
        "code of matching",
        _patched(
            "matching/match.py",
            _MEASURE,
            "        for _ in range(12):\n            measure_pairs(index, names, pairs)\n" + _MEASURE,
        ),
    ),
    "enrichment_slower": Kind(
        (MATCH,),
        ("computing",),
        "code of enrichment",
        _patched(
            "enrichment/combine.py",
            _FOUND,
            "            for _ in range(60):\n                _match_of_each(batch, company_matches)\n"
            + _FOUND,
        ),
    ),
    "brute_force": Kind(
        (MATCH,),
        ("mix", "computing", "memory"),
        "code of matching",
        _patched(
            "matching/candidates.py",
            _BY_WORDS,
            "    several = min(index.names, 3000)\n"
            "    query = np.repeat(open_names, several)\n"
            "    name = np.tile(np.arange(several), len(open_names))\n"
            "    score = np.full(len(query), 0.5)\n",
        ),
    ),
    "memory_copies": Kind(
        ("load_recipients",),
        ("memory", "computing"),
        "code of sources",
        _patched(
            "sources/loading.py",
            _NORMALISE,
            _NORMALISE
            + '            if "award_id" not in part.table.column_names:\n'
            + "                for _ in range(12):\n"
            + "                    chunks = [one for column in part.table.columns for one in column.chunks]\n"
            + "                    buffers = [one for chunk in chunks for one in chunk.buffers() if one]\n"
            + "                    kept = [one.to_pybytes() for one in buffers for _ in range(10)]\n"
            + "                    del kept\n",
        ),
    ),
    "disk_log": Kind(
        (MATCH,),
        ("disk",),
        "code of matching",
        _patched(
            "matching/match.py",
            _DECIDE,
            _DECIDE
            + "        import os, tempfile\n"
            + "        with tempfile.NamedTemporaryFile('w') as log:\n"
            + "            for row in range(companies.num_rows):\n"
            + "                for line in range(4):\n"
            + "                    print('company', row, line, 'x' * 4000, file=log, flush=True)\n"
            + "                    os.fsync(log.fileno())\n",
        ),
    ),
    "slow_start": Kind(
        (MATCH,),
        ("start-up",),
        "code of enrichment",
        _patched("enrichment/enrich.py", _WAIT, f"{_WAIT}sum(range(60_000_000))\n"),
    ),
    "smaller_chunks": Kind(
        (MATCH,),
        ("computing", "waiting", "disk", "parallelism", "skew"),
        "compute.chunk_companies 0 -> 40",
        Conditions(params=("compute.chunk_companies=40",)),
    ),
    "fewer_workers": Kind(
        (MATCH,),
        ("parallelism",),
        "compute.workers 2 -> 1",
        Conditions(params=(*_PROCESSES, "compute.workers=1"), files="blank"),
        Conditions(params=_PROCESSES, files="blank"),
    ),
    "one_skewed_chunk": Kind(
        (MATCH,),
        ("skew",),
        "input awards",
        Conditions(params=(*_PROCESSES, "compute.chunk_companies=13000"), files="skewed"),
        Conditions(params=(*_PROCESSES, "compute.chunk_companies=13000"), files="scattered"),
    ),
    "three_times_the_input": Kind(
        (LOAD, MATCH),
        ("work",),
        "input awards",
        Conditions(files="many"),
        Conditions(files="third"),
    ),
    "fewer_identifiers": Kind(
        (MATCH,),
        ("mix", "computing"),
        "input awards",
        Conditions(params=_DEAR, files="blank"),
        Conditions(params=_DEAR, files="identified"),
    ),
    "older_library": Kind(
        (MATCH,), ("computing",), r"rapidfuzz [\d.]+ -> 3\.0\.0", Conditions(has_old_library=True)
    ),
    "busy_machine": Kind(
        (*("load_awards", "load_recipients", MATCH),),
        ("machine",),
        "machine itself",
        Conditions(burners=2 * usable_cores()),
    ),
    "index_not_reused": Kind(
        (MATCH,),
        ("phase",),
        "made again",
        Conditions(),
        Conditions(forgets=("matching",)),
    ),
}
_HARMLESS = Conditions(
    patches=tuple(
        Patch(file, _COMMENT, f"# A comment changes nothing.\n{_COMMENT}")
        for file in ("sources/loading.py", "matching/match.py", "enrichment/combine.py")
    ),
    params=("quality.confidence=0.9", "accuracy.seed=8"),
    files="reordered",
)
# These go first: from them the history knows how runs scatter.
KINDS = {
    f"{'nothing' if number < 5 else 'harmless'}_{number}": Kind(
        (), (NULL,), NULL, Conditions() if number < 5 else _HARMLESS
    )
    for number in range(10)
} | KINDS


class Ground:
    """A folder with checkouts, files, runs and a history, all of them made for this benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = folder / "history.sqlite"
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
            "history": str(self.history),
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

    def try_kind(self, name: str, kind: Kind, repeats: int) -> dict[str, Any]:
        """Run both sides in alternation, ask for the cause, and judge the answer."""
        sides = {"before": kind.before, "after": kind.after}
        checkouts = {
            side: self._checkout(f"{name}-{side}", conditions.patches) if conditions.patches else self.base
            for side, conditions in sides.items()
        }
        if "index" not in kind.before.forgets:
            self.run(f"{name}-before-warm", kind.before, name, checkouts["before"])
        for number in range(repeats):
            for side, conditions in sides.items():
                self.run(f"{name}-{side}-{number}", conditions, name, checkouts[side])
        explained = self.explain(name, repeats, checkouts["after"])
        causes = cause_frame(explained)
        named = causes[~causes["cause"].str.contains(_NOT_NAMED)]
        row = causes.iloc[0].to_dict() if len(causes) else dict.fromkeys(causes.columns, "")
        if NULL in kind.parts:
            is_cause, is_stage = named.empty, named.empty
        else:
            is_cause = row["part"] in kind.parts and bool(re.search(kind.cause, str(row["cause"])))
            is_stage = row["stage"] in kind.stages
        return {
            "kind": name,
            "is_cause_right": bool(is_cause),
            "is_stage_right": bool(is_stage),
            "times": {told.stage: [told.before_s, told.after_s] for told in explained},
            "first": {key: str(value) for key, value in row.items()},
            "told": [repr(told) for told in explained],
        }

    def explain(self, name: str, repeats: int, checkout: Path) -> list[Explanation]:
        """Explain each stage's change between the two sides of a kind."""
        history = History(self.history)
        before, after = (
            take_side(history, [f"{name}-{side}-{one}" for one in range(repeats)], side, self._chunks)
            for side in ("before", "after")
        )
        return [
            explain_change(
                stage, before, after, project=checkout, path=self._pipeline.path(self._pipeline[stage])
            )
            for stage in ("load_awards", "load_recipients", "match_recipients")
        ]

    def _chunks(self, run_id: str) -> pd.DataFrame:
        return chunk_figures(read_lines(self.folder / "runs" / run_id / "events.ndjson"))

    def _checkout(self, name: str, patches: tuple[Patch, ...] = ()) -> Path:
        """Copy the project as a git checkout of its own; patches are a commit on top."""
        path = self.folder / "checkouts" / name
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


def _table(results: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for result in results:
        first = result["first"]
        slowest = max(result["times"].items(), key=lambda item: abs(item[1][1] - item[1][0]))
        rows.append(
            {
                "kind": result["kind"],
                "cause": "right" if result["is_cause_right"] else "WRONG",
                "stage": "right" if result["is_stage_right"] else "WRONG",
                "largest change": f"{slowest[0]} {slowest[1][0]:.2f} s -> {slowest[1][1]:.2f} s",
                "named first": "{part} in {where}: {cause} ({confidence})".format_map(first)
                if first["part"]
                else "nothing",
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Inject, ask, judge, and show what is known of all kinds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--repeats", type=int, default=3, help="runs on each side; default: %(default)s")
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=PROJECT / "outputs" / "bench" / "causes",
        help="where everything goes; default: outputs/bench/causes",
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "results.json"
    results: dict[str, dict[str, Any]] = read_json(kept) if kept.exists() else {}
    machine = describe_machine()
    ground = Ground(options.folder)
    own = {"code": machine["toolkit"]["digest"], "repeats": options.repeats}
    for name in options.kinds:
        if results.get(name, {}).get("of") == own:
            continue
        results[name] = {"of": own} | ground.try_kind(name, KINDS[name], options.repeats)
        write_json(kept, results)
        print("\n".join([f"== {name}", *results[name]["told"]]), flush=True)
    known = [results[name] for name in KINDS if results.get(name, {}).get("of") == own]
    injected = [one for one in known if KINDS[one["kind"]].stages]
    unchanged = [one for one in known if not KINDS[one["kind"]].stages]
    notes = [
        f"cause first in {sum(one['is_cause_right'] for one in injected)} of {len(injected)} injected kinds, "
        f"stage right in {sum(one['is_stage_right'] for one in injected)}",
        f"no cause invented in {sum(one['is_cause_right'] for one in unchanged)} of {len(unchanged)} "
        "comparisons without a change that matters",
    ]
    store("causes", options, machine, {"results": results}, {"Causes": _table(known)}, notes=notes)


if __name__ == "__main__":
    main()
