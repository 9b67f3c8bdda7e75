"""Names for entities: which words, in what pattern, with what legal form.

A name is a core (`BLUE RIDGE OPTICS`) and the surface of a legal form (`, INC.`). The core follows a
pattern of slots, each slot is filled with a word of its category, and a word's rank in its category says
how often it turns up, so that the whole has what real names have: a few words that are everywhere, half of
the names with a word of their own, and pairs that look alike by accident. The shares of the patterns were
set so that the number of words per name, the weight of the 50 most common words and the share of words met
once agree with public SBIR and recipient names (the tests hold them to it).

`NameMaker` names any entities, in any order: what an entity is called depends on its number and the seed
only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic import words
from sbir_toolkit.sources.synthetic.draws import Choice, Draws, Floats, Integers, zipf_weights

TECH, TRADE, PUBLIC, PERSON, FOREIGN = range(5)

_SLOTS = 7
_BRANDS = 1_000_000
# The brand of rank r is drawn with probability ~ 1 / (r + 2,000): nearly all of them are rare.
_BRAND_OFFSET = 2_000

# Single letters are categories (see `_categories`), everything else stands for itself; the number is the
# pattern's share, per thousand.
_PATTERNS: dict[int, dict[str, float]] = {
    TECH: {
        "B": 240, "E": 9, "I": 34, "B n": 146, "I n": 36, "E n": 42, "S n": 30, "t n": 40, "a n": 14,
        "P n": 12, "B B": 34, "S S": 10, "E B": 16, "B t": 24, "B E": 20, "a t": 9, "S ASSOCIATES": 4,
        "I B": 6, "L n": 6, "B D": 4, "a t n": 22, "B t n": 42, "I t n": 12, "S & S": 6, "P t n": 12,
        "E t n": 26, "t t n": 18, "S & ASSOCIATES": 4, "B n n": 12, "S n n": 6, "t & n": 5, "L L n": 6,
        "B & B": 2, "F L S": 4, "E E n": 18, "E n D": 3, "B n D": 3, "t & t n": 8, "S & S n": 4,
        "a t n n": 8, "B t & n": 4, "S S & ASSOCIATES": 3, "L & L n": 4, "B t t n": 10, "P t t n": 5,
        "E E t n": 6, "a t & t n": 3, "INSTITUTE FOR a t n": 2, "CENTER FOR t & n": 2, "S S & S n": 2,
        "n OF P": 3, "B n OF P": 2, "B t & t n": 2,
    },
    TRADE: {
        "B": 80, "I": 22, "E": 2, "B N": 108, "S N": 60, "E N": 22, "T N": 8, "A N": 4, "I N": 30,
        "P N": 18, "B B": 30, "S S": 12, "F N": 10, "E T": 8, "B T": 22, "B E": 16, "L L N": 8, "B D": 8,
        "B T N": 70, "S T N": 22, "A T N": 8, "P T N": 18, "E T N": 18, "E E N": 14, "B E N": 24,
        "B N N": 14, "I N N": 6, "T & N": 3, "S & S": 14, "F S N": 16, "L & L N": 8, "S N D": 8,
        "S S N": 14, "B B N": 32, "S & SONS": 5, "B N P": 14, "B N D": 10, "S & S N": 14, "T & T N": 3,
        "B T & N": 11, "P T N N": 8, "S & SONS N": 7, "E B T N": 10, "B B T N": 16, "F L S N": 10,
        "B E T N": 14, "N OF P": 6, "B N OF P": 12, "B N JV": 6, "I D T N": 6, "B T & T N": 12,
        "S T & T N": 7, "B E T & N": 10, "B T N OF P": 12, "A T & T N": 3, "P T & T N N": 8,
        "B S & S T N": 6, "N N & N OF P": 3, "S S T & T N": 6, "B B T & T N": 6,
    },
    PUBLIC: {
        "M U": 150, "P U": 20, "X OF M": 110, "M X": 70, "P P U": 60, "P T C": 60, "P C FOR O": 40,
        "C FOR O": 6, "A C FOR O": 12, "B C": 50, "C OF P": 20, "P C OF P": 40, "UNIVERSITY OF P AT M": 16,
        "P STATE UNIVERSITY": 12, "X OF M POLICE DEPARTMENT": 20, "M X BOARD OF T": 30,
        "NATIONAL C OF O": 4, "P U NO. D": 30, "S FAMILY C": 24, "B E C": 40, "ST. F C": 6, "ST. S U": 30,
        "A C OF O & O": 20, "B T C OF P": 34, "P C FOR O & O": 24, "E C OF P P": 16, "B U": 40, "S U": 16,
    },
    PERSON: {"F S": 200, "F L S": 300, "S F": 150, "S F L": 100, "F L B": 250},
    FOREIGN: {"W B": 270, "B W": 280, "B": 120, "B B": 120, "W S": 60, "B N": 100, "W DE B": 50},
}  # fmt: skip
_FORMS = {
    TECH: words.TECH_FORMS,
    TRADE: words.TRADE_FORMS,
    FOREIGN: words.FOREIGN_FORMS,
    PUBLIC: {"": 1},
    PERSON: {"": 1},
}


class NameMaker:
    """Names entities by number.

    Parameters
    ----------
    draws
        The draws of the seed.
    place_names
        Names of cities and towns, which turn up in names of firms.
    """

    def __init__(self, draws: Draws, place_names: list[str]) -> None:
        self._draws = draws
        self._codes: dict[str, int] = {}
        self._starts: list[int] = []
        self._choices: list[Choice | None] = []
        self._patterns: npt.NDArray[np.int16] = np.zeros((0, _SLOTS), dtype=np.int16)
        self._first_pattern: dict[int, int] = {}
        self._pattern_choice: dict[int, Choice] = {}
        self._add_category("B", 0, None)
        texts: list[str] = []
        for code, (entries, weights) in _categories(draws, place_names).items():
            self._add_category(code, len(texts), Choice(weights))
            texts += [entry.replace("_", " ") for entry in entries]
        for style, patterns in _PATTERNS.items():
            self._add_patterns(style, patterns, texts)
        self._texts = pa.array(texts, pa.string())
        surfaces: list[str] = []
        self._forms: dict[int, tuple[int, Choice]] = {}
        for style, shares in _FORMS.items():
            self._forms[style] = (len(surfaces), Choice(list(shares.values())))
            surfaces += shares
        self._surfaces = pa.array(surfaces, pa.string())

    def cores(self, entities: Integers, styles: Integers) -> pa.StringArray:
        """Give each entity the words of its name.

        Parameters
        ----------
        entities : array of int64, shape (n,)
            Their numbers.
        styles : array of int64, shape (n,)
            `TECH`, `TRADE`, `PUBLIC`, `PERSON` or `FOREIGN`, the same for the same entity.

        Returns
        -------
        pyarrow.StringArray
            Upper case, one blank between words.
        """
        pattern = np.zeros(len(entities), dtype=np.int64)
        for style, choice in self._pattern_choice.items():
            mine = styles == style
            pattern[mine] = self._first_pattern[style] + self._draws.choose("pattern", entities[mine], choice)
        return self._fill(entities, self._patterns[pattern])

    def forms(self, entities: Integers, styles: Integers) -> pa.StringArray:
        """Give each entity a legal form as it ends a name, with what comes before it (`, INC.`), or none."""
        index = np.zeros(len(entities), dtype=np.int64)
        for style, (start, choice) in self._forms.items():
            mine = styles == style
            index[mine] = start + self._draws.choose("form", entities[mine], choice)
        return self._surfaces.take(pa.array(index))

    def _fill(self, entities: Integers, slots: npt.NDArray[np.int16]) -> pa.StringArray:
        flat = slots.ravel()
        keys = (entities[:, None] * 8 + np.arange(_SLOTS)).ravel()
        word = np.zeros(len(flat), dtype=np.int64)
        brands = pa.array([], pa.string())
        for code, choice in enumerate(self._choices):
            at = np.flatnonzero(flat == code)
            if len(at) == 0:
                continue
            if choice is None:
                growth = (_BRANDS / _BRAND_OFFSET + 1) ** self._draws.uniform("brand", keys[at])
                brands = _make_brands(self._draws, (_BRAND_OFFSET * (growth - 1)).astype(np.int64))
                word[at] = len(self._texts) + np.arange(len(at))
            else:
                word[at] = self._starts[code] + self._draws.choose("word", keys[at], choice)
        vocabulary = pa.concat_arrays([self._texts, brands])
        columns = []
        for slot in range(_SLOTS):
            index = pa.array(word.reshape(slots.shape)[:, slot], mask=slots[:, slot] < 0)
            columns.append(vocabulary.take(index))
        return pc.binary_join_element_wise(*columns, " ", null_handling="skip")

    def _add_category(self, code: str, start: int, choice: Choice | None) -> None:
        self._codes[code] = len(self._choices)
        self._starts.append(start)
        self._choices.append(choice)

    def _add_patterns(self, style: int, patterns: dict[str, float], texts: list[str]) -> None:
        rows = np.full((len(patterns), _SLOTS), -1, dtype=np.int16)
        for row, pattern in zip(rows, patterns, strict=True):
            for slot, code in enumerate(pattern.split(" ")):
                if code not in self._codes:
                    self._add_category(code, len(texts), Choice([1.0]))
                    texts.append(code)
                row[slot] = self._codes[code]
        self._first_pattern[style] = len(self._patterns)
        self._pattern_choice[style] = Choice(list(patterns.values()))
        self._patterns = np.vstack([self._patterns, rows])


def _categories(draws: Draws, place_names: list[str]) -> dict[str, tuple[list[str], Floats]]:
    """Say what each letter of a pattern stands for, and how often each word of it comes."""
    letters = [chr(code) for code in range(ord("A"), ord("Z") + 1)]

    def ranked(entries: list[str], exponent: float, offset: float) -> tuple[list[str], Floats]:
        return entries, zipf_weights(len(entries), exponent, offset)

    distinct = list(dict.fromkeys(place_names))
    places = [distinct[index] for index in draws.shuffle("place words", len(distinct))]
    built = [stem + ending for stem in words.SURNAME_STEMS for ending in words.SURNAME_ENDINGS]
    surname_weights = np.concatenate([zipf_weights(len(words.SURNAMES), 0.8, 3), np.full(len(built), 0.035)])
    return {
        "n": ranked(words.TECH_NOUNS, 1.1, 1.5),
        "t": ranked(words.TECH_TOPICS, 0.75, 8),
        "a": ranked(words.ADJECTIVES, 1.0, 1.5),
        "A": ranked(words.ADJECTIVES[2:], 0.8, 4),
        "N": ranked(words.TRADE_NOUNS, 0.85, 3),
        "T": ranked([*words.TRADE_TOPICS, *words.TECH_TOPICS[100:]], 0.6, 12),
        "E": ranked(list(dict.fromkeys([*words.ENGLISH_BRANDS, *words.COMMON_WORDS])), 0.55, 60),
        "S": ([*words.SURNAMES, *built], surname_weights),
        "F": ranked(words.FIRST_NAMES, 0.6, 4),
        "I": _acronyms(draws, letters),
        "L": ranked([letters[index] for index in draws.shuffle("letters", 26)], 0.5, 4),
        "P": ranked([*words.REGIONS, *places], 0.65, 15),
        "M": ranked(places, 0.4, 10),
        "D": ranked(words.NUMBERS, 1.0, 2),
        "U": ranked(words.PUBLIC_UNITS, 0.8, 2),
        "X": ranked(words.PUBLIC_HEADS, 0.9, 1),
        "C": ranked(words.SOCIETIES, 0.7, 2),
        "O": ranked(words.CAUSES, 0.5, 4),
        "W": ranked(words.FOREIGN_WORDS, 0.5, 4),
        "&": (["&", "AND"], np.array([0.68, 0.32])),
    }


def _acronyms(draws: Draws, letters: list[str]) -> tuple[list[str], Floats]:
    """Make acronyms of two to four letters, some with a digit; the short ones come more often."""
    found: dict[str, None] = {}
    for length, count in ((2, 500), (3, 5_000), (4, 2_500)):
        picked = draws.below(f"acronyms of {length}", np.arange(count * length), 26).reshape(count, length)
        for row in picked:
            found["".join(letters[index] for index in row)] = None
    for number, base in enumerate(list(found)[:120]):
        found[base[:1] + str(number % 9 + 1) + (base[1:2] if number % 2 else "")] = None
    return list(found), zipf_weights(len(found), 0.3, 20)


def _make_brands(draws: Draws, ranks: Integers) -> pa.StringArray:
    """Make brands: three in ten of a beginning and an ending, the others of syllables and a tail."""

    def part(purpose: str, entries: list[str], keep: npt.NDArray[np.bool_] | None = None) -> pa.StringArray:
        index = pa.array(draws.below(purpose, ranks, len(entries)), mask=None if keep is None else ~keep)
        return pa.array(entries, pa.string()).take(index)

    compound = pc.binary_join_element_wise(
        part("brand beginning", words.BRAND_BEGINNINGS), part("brand ending", words.BRAND_ENDINGS), ""
    )
    third = draws.chance("brand third syllable", ranks, 0.35)
    spoken = pc.binary_join_element_wise(
        part("first onset", words.SYLLABLE_ONSETS),
        part("first vowel", words.SYLLABLE_VOWELS),
        part("second onset", words.SYLLABLE_MIDDLES, third),
        part("second vowel", words.SYLLABLE_VOWELS, third),
        part("third onset", words.SYLLABLE_MIDDLES),
        part("brand tail", words.BRAND_TAILS),
        "",
        null_handling="skip",
    )
    return pc.if_else(pa.array(draws.chance("brand is compound", ranks, 0.3)), compound, spoken)
