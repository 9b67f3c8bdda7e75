"""The causes that `benchmarks/causes.py` injects: what is done, and what must be named for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sbir_toolkit.meter import usable_cores

LOAD, MATCH = "load_awards", "match_recipients"
ALL = (LOAD, "load_recipients", MATCH)
NULL = "none"
# Matching by name so dear that it counts beside the rest, at a size that takes seconds.
_DEAR = ("matching.max_candidates=100", "matching.min_word_overlap=0.1", "matching.max_word_postings=20000")
# So dear that sharing it out is worth the start of workers.
_DEAREST = (
    "matching.max_candidates=400",
    "matching.min_word_overlap=0.05",
    "matching.max_word_postings=40000",
)
_TWO_PROCESSES = ("compute.scheduler=processes", "compute.workers=2")
_PROCESSES = (*_DEAREST, *_TWO_PROCESSES)
_TWO_CHUNKS = (*_DEAR, *_TWO_PROCESSES, "compute.chunk_companies=13000")


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
_CHOICE = "        choice = choose(index, weighed.pairs, judged.probability, companies.num_rows)\n"
_DECIDE = f"{_CHOICE}    return Matched("
_IMPORTS = "from sbir_toolkit.locks import LONGEST_WAIT_S, locked\n"
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
            "    several = min(index.names, 8000)\n"
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
            + "                for _ in range(40):\n"
            + "                    chunks = [one for column in part.table.columns for one in column.chunks]\n"
            + "                    buffers = [one for chunk in chunks for one in chunk.buffers() if one]\n"
            + "                    kept = [one.to_pybytes() for one in buffers for _ in range(15)]\n"
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
            _CHOICE
            + "        import os, tempfile\n"
            + "        with tempfile.NamedTemporaryFile('w') as log:\n"
            + "            for row in range(companies.num_rows):\n"
            + "                for line in range(4):\n"
            + "                    print('company', row, line, 'x' * 4000, file=log, flush=True)\n"
            + "                    os.fsync(log.fileno())\n"
            + "    return Matched(",
        ),
    ),
    # Each of these processes loads that room when it starts.
    "slow_start": Kind(
        ALL,
        ("start-up",),
        "code of enrichment",
        _patched("enrichment/enrich.py", _IMPORTS, f"{_IMPORTS}sum(range(60_000_000))\n"),
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
        Conditions(params=_TWO_CHUNKS, files="skewed"),
        Conditions(params=_TWO_CHUNKS, files="scattered"),
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
        ALL,
        ("queueing", "machine"),
        "the machine",
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
