"""What was compared, and what came of it: the values behind each piece of evidence.

The weights are those of the model, under the words that `group_of` gives them. Beside each stand the two
values that it was worked out from, as the matcher saw them: core names, legal forms, numbers, places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sbir_toolkit.matching.candidates import Candidates, pairs_with_rows
from sbir_toolkit.matching.evidence import measure_pairs
from sbir_toolkit.matching.identifiers import KINDS, Hits, read_identity, weigh_differing
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.match import Matched
from sbir_toolkit.matching.model import Matrix, make_terms, sum_groups, weigh
from sbir_toolkit.matching.names import FORMS, Names, read_names
from sbir_toolkit.matching.places import LEVELS, Places, read_places
from sbir_toolkit.matching.siblings import Word
from sbir_toolkit.matching.texts import Floats, text_array

_IN_WORDS = {
    "elsewhere": "in another state",
    "unknown": "at an unknown place",
    "state": "in the same state",
    "zip3": "in the same ZIP area",
    "city": "in the same city",
    "zip5": "in the same ZIP code",
    "building": "in the same building",
}
PRIOR = "prior"
"""The piece that stands for what is known of any candidate before it is compared."""
NEARNESS = tuple(_IN_WORDS[level] for level in LEVELS)
"""How near two places are, in words, by level."""
IDENTIFIER_NAMES = {"uei": "UEI", "duns": "DUNS", "contract": "contract"}
"""What identifies a recipient, in words."""


@dataclass(frozen=True)
class Side:
    """A candidate as it is explained.

    Parameters
    ----------
    row : int
        The recipient's row.
    probability : float
        NaN where nothing was measured.
    pieces : dict
        For each piece of evidence its bits, the company's value and the recipient's.
    """

    row: int
    probability: float
    pieces: dict[str, tuple[float, str, str]]


@dataclass(frozen=True)
class Scored:
    """One company's pairs with all that was measured about them."""

    company: pd.Series[str]
    names: Names
    pairs: Candidates
    measures: dict[str, Floats]
    terms: Matrix
    differing: Floats
    moves: Floats
    sibling: Floats
    word: Word

    @classmethod
    def of_block(cls, frame: pd.DataFrame, block: Matched, word: Word) -> Scored:
        """Take what the matcher found out about a block of one company, of whom siblings said a word."""
        judged = block.judged
        found = block.pairs, block.measures, block.terms, judged.differing, judged.moves, judged.sibling
        return cls(frame.iloc[0], block.names, *found, word)

    def side(self, index: RecipientIndex, at: int, probability: float) -> Side:
        """Explain the pair at a position."""
        pieces, bits = sum_groups(
            self.terms[[at]], self.differing[[at]], self.moves[[at]], self.sibling[[at]]
        )
        values = self._values(index, at)
        return Side(
            row=int(self.pairs.row[at]),
            probability=probability,
            pieces={
                piece: (float(bit), *values.get(piece, values["name"]))
                for piece, bit in zip(pieces, bits[0], strict=True)
            },
        )

    def _values(self, index: RecipientIndex, at: int) -> dict[str, tuple[str, str]]:
        pairs, company = self.pairs, self.company
        query, entry = int(pairs.query[at]), int(pairs.entry[at])
        names = str(self.names.core[query]), index.core_names(pairs.name[[at]])[0]
        shown = index.shown(pairs.row[[at]]).to_pylist()[0]
        theirs = place_in_words(shown["city"], shown["state"], shown["zip5"])
        is_known = pairs.level[at] != LEVELS.index("unknown")
        others = self.measures["namesakes"][at] if self.measures["same_name"][at] > 0 else None
        numbers = _numbers(names[0]), _numbers(names[1])
        return {
            PRIOR: ("before comparing", ""),
            "name": names,
            "rarity of the name": (
                "",
                "" if others is None else f"{others:.2g} other firm(s) expected to bear it",
            ),
            # Points of the compass count as numbers, too; then the names say it best.
            "numbers": numbers if any(numbers) else names,
            "legal form": (FORMS[self.names.form[query]], FORMS[index["entry_form"][entry]]),
            "place": (
                place_in_words(company["city"], company["state"], company["zip5"]),
                f"{theirs}, {NEARNESS[pairs.level[at]]}" if is_known else theirs,
            ),
            "other identifier": (
                f"{_identifiers(company['uei'], company['duns'])}{self._doubt()}",
                _identifiers(shown["uei"], shown["duns"]),
            ),
            "places of the name": ("in these awards", ""),
            "same name elsewhere": (self.word.teller, shown["recipient_name"]),
        }

    def _doubt(self) -> str:
        word = self.word
        return f"; {word.doubter}: {_identifiers(word.uei, word.duns)}" if word.doubter else ""


def side_with(frame: pd.DataFrame, index: RecipientIndex, row: int) -> Side:
    """Explain one company beside one recipient, whether or not it was a candidate; no probability."""
    names, places = _read(frame)
    pairs, _ = pairs_with_rows(index, names, places, np.zeros(1, np.int64), np.array([row]))
    measures = measure_pairs(index, names, pairs)
    terms = make_terms(measures)
    identity = read_identity(frame)
    differing = weigh_differing(index, identity, pairs)
    if not len(pairs):
        return Side(row, np.nan, {})
    nothing = np.zeros(len(pairs))
    scored = Scored(frame.iloc[0], names, pairs, measures, terms, differing, nothing, nothing, Word())
    return scored.side(index, int(np.argmax(weigh(terms) + differing)), np.nan)


def side_of_hit(frame: pd.DataFrame, hits: Hits, index: RecipientIndex) -> Side:
    """Explain a company beside the recipient that its identifier names."""
    row, kind = int(hits.row[0]), KINDS[hits.kind[0]]
    beside = side_with(frame, index, row).pieces
    company, shown = frame.iloc[0], index.shown(hits.row[:1]).to_pylist()[0]
    own, theirs = (
        (company["contracts"], "paid under it") if kind == "contract" else (company[kind], shown[kind])
    )
    compared = {
        IDENTIFIER_NAMES[kind]: (str(own).replace("|", ", "), str(theirs)),
        "name": beside["name"][1:] if beside else (str(company["company"]), str(shown["recipient_name"])),
        "place": beside["place"][1:] if beside else ("", ""),
    }
    bits = np.array([hits.identifier[0], hits.name[0], hits.place[0]]) / np.log(2)
    pieces = {
        piece: (float(bit), *values) for bit, (piece, values) in zip(bits, compared.items(), strict=True)
    }
    return Side(row, float(hits.probability[0]), pieces)


def place_in_words(city: object, state: object, zip5: object) -> str:
    """Write a place on one line."""
    return " ".join(str(part) for part in (city, state, zip5) if isinstance(part, str)) or "place unknown"


def _read(frame: pd.DataFrame) -> tuple[Names, Places]:
    column = {name: text_array(frame[name]) for name in ("company", "address1", "city", "state", "zip5")}
    return read_names(column.pop("company")), read_places(*column.values())


def _numbers(name: str) -> str:
    return " ".join(word for word in name.split() if any(map(str.isdigit, word)))


def _identifiers(uei: object, duns: object) -> str:
    known = [f"{kind} {value}" for kind, value in (("UEI", uei), ("DUNS", duns)) if isinstance(value, str)]
    return ", ".join(known) or "none"
