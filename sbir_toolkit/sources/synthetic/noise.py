"""How the name on an award differs from the name in the register: which kinds of difference, how often.

The kinds and their shares come from comparing public SBIR names with the names of the same firms in
contract records, in another agency's list and in a later snapshot of the same file: a third of the pairs
are the same string, half differ in case and punctuation only, a tenth in the legal form, and the rest are
what makes matching hard: words added, dropped, abbreviated, mistyped or turned around, names cut at 30
characters, trade names, acronyms, partly changed names, and complete renames.

`misspell` draws a kind and lets `changes` apply it. Not every kind fits every name; when one doesn't,
another is drawn. `_REACH` says what share of names a kind fits, and evens that out.
"""

from __future__ import annotations

from itertools import accumulate

from sbir_toolkit.sources.synthetic.changes import CHANGES, Registered, dress
from sbir_toolkit.sources.synthetic.draws import Picks

# The share of each kind among pairs of names of one firm, per cent: three sources mixed 6 : 3 : 1.
SHARES = {
    "identical": 33.0, "case": 23.6, "html_entity": 0.2, "punctuation": 20.5, "ampersand": 0.3,
    "spacing": 1.1, "the": 0.3, "legal_abbreviated": 6.3, "legal_dropped": 4.8, "legal_changed": 2.4,
    "word_abbreviated": 0.3, "word_inflected": 0.4, "typo_1": 0.35, "typo_2": 0.15, "word_order": 0.15,
    "words_changed": 1.7, "truncated": 0.5, "dba": 0.3, "acronym": 0.1, "acronym_part": 0.1,
    "partly_changed": 0.8, "similar_letters": 0.1, "rename": 3.0,
}  # fmt: skip
# The kinds that also turn up between two awards of one firm.
_LIGHT = (
    "case",
    "punctuation",
    "ampersand",
    "spacing",
    "legal_abbreviated",
    "legal_dropped",
    "word_abbreviated",
    "typo_1",
)
NEW_NAME_KINDS = frozenset(
    {"rename", "partly_changed", "similar_letters", "dba", "acronym", "acronym_part", "words_changed"}
)

# For which share of names a kind fits, measured on the names this package makes; 1 where not named.
_REACH = {
    "html_entity": 0.034, "punctuation": 0.59, "ampersand": 0.048, "spacing": 0.79, "legal_abbreviated": 0.67,
    "legal_changed": 0.84, "word_abbreviated": 0.40, "word_inflected": 0.70, "typo_1": 0.96, "typo_2": 0.92,
    "word_order": 0.72, "truncated": 0.14, "acronym": 0.255, "acronym_part": 0.255, "partly_changed": 0.71,
    "similar_letters": 0.76,
}  # fmt: skip
_TRIES = 16


def misspell(name: Registered, picks: Picks, *, is_light: bool = False) -> tuple[str, str]:
    """Write a registered name as an award might.

    Parameters
    ----------
    name
        The name in the register.
    picks
        The draws of this spelling.
    is_light
        Whether to draw only from the kinds that turn up between two awards of one firm.

    Returns
    -------
    tuple of str
        The name on the award and the kind of difference, a key of `SHARES`.
    """
    kinds, edges = _LIGHT_TABLE if is_light else _FULL_TABLE
    for _ in range(_TRIES):
        point = picks.uniform() * edges[-1]
        kind = next(kind for kind, edge in zip(kinds, edges, strict=True) if point < edge)
        text = CHANGES[kind](name, picks)
        if text is not None and (text != name.text or kind == "identical"):
            return text, kind
    return name.text, "identical"


def introduce(name: Registered, picks: Picks) -> str:
    """Write the name of a firm that no register has."""
    return dress(name.core, name.form, picks, shouted=0.34)


def _table(kinds: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    return kinds, tuple(accumulate(SHARES[kind] / _REACH.get(kind, 1.0) for kind in kinds))


_FULL_TABLE = _table(tuple(SHARES))
_LIGHT_TABLE = _table(_LIGHT)
