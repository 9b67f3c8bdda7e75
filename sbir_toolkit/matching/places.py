"""Places, reduced to numbers that can be compared for millions of pairs at once.

ZIP, city, state and street of one firm aren't four pieces of evidence: who agrees on the ZIP agrees on the
state. Adding them up counts one fact several times and makes probabilities too certain. So two places are
compared once, and the result is one of the ordered levels of `LEVELS`, from the same building down to
another state. A missing place is a level of its own: it says nothing.

A street is its number and first word that isn't a compass point; suites, floors and the way the street's
kind is abbreviated are left aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.texts import Bytes, Hashes, Ints, hash_strings

_Number = TypeVar("_Number", np.uint16, np.uint32)

LEVELS = ("elsewhere", "unknown", "state", "zip3", "city", "zip5", "building")
"""How near two places are, farthest first; a level is an index into them."""

_ELSEWHERE, _UNKNOWN, _STATE, _ZIP3, _CITY, _ZIP5, _BUILDING = range(7)


@dataclass(frozen=True)
class Places:
    """Places as numbers; 0 stands for unknown everywhere.

    Parameters
    ----------
    zip5 : uint32 array of shape (n,)
    number : uint32 array of shape (n,)
        Street number.
    street, city : uint32 arrays of shape (n,)
        Hashes of the street's first word and of the city.
    state : uint16 array of shape (n,)
        The code's two letters; anything else counts by its first two characters.
    """

    zip5: npt.NDArray[np.uint32]
    number: npt.NDArray[np.uint32]
    street: npt.NDArray[np.uint32]
    city: npt.NDArray[np.uint32]
    state: npt.NDArray[np.uint16]

    def take(self, rows: Ints) -> Places:
        """Pick rows, in the order given."""
        return Places(*(getattr(self, part.name)[rows] for part in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        """Put places one after the other."""
        return cls(*(np.concatenate([getattr(each, part.name) for each in parts]) for part in fields(cls)))


def read_places(address: pa.Array, city: pa.Array, state: pa.Array, zip5: pa.Array) -> Places:
    """Reduce places to numbers.

    Parameters
    ----------
    address, city, state, zip5 : pyarrow string arrays of shape (n,)
        Street as filed, city as filed, two-letter state, five-digit ZIP; null where unknown.

    Returns
    -------
    Places

    Examples
    --------
    >>> texts = [pa.array([text]) for text in ("12 N. Main Street, Suite 4", "Saint Paul", "MN", "55101")]
    >>> other = [pa.array([text]) for text in ("12 main st", "ST. PAUL", "MN", "55101")]
    >>> read_places(*texts) == read_places(*other)
    True
    """
    street = pc.extract_regex(pc.ascii_upper(address.fill_null("")), _STREET)
    return Places(
        zip5=_to_number(zip5, 5),
        number=_to_number(pc.struct_field(street, "number"), 6),
        street=_street_hash(pc.struct_field(street, "word"), pc.struct_field(street, "next")),
        city=_of_each_spelling(city, _city_hash),
        state=_of_each_spelling(state, _pair),
    )


def place_level(left: Places, right: Places) -> Bytes:
    """Compare places pair by pair.

    Parameters
    ----------
    left, right : Places of shape (n,)

    Returns
    -------
    uint8 array of shape (n,)
        Indices into `LEVELS`; the same whichever side comes first.
    """
    level = np.full(len(left.zip5), _UNKNOWN, np.uint8)
    knows_state = (left.state != 0) & (right.state != 0)
    knows_zip = (left.zip5 != 0) & (right.zip5 != 0)
    same_state = knows_state & (left.state == right.state)
    same_zip3 = knows_zip & (left.zip5 // 100 == right.zip5 // 100)
    same_zip5 = knows_zip & (left.zip5 == right.zip5)
    same_city = (left.city != 0) & (left.city == right.city) & (same_state | ~knows_state)
    same_number = (left.number != 0) & (left.number == right.number)
    same_street = (left.street != 0) & (left.street == right.street)
    level[(knows_state & ~same_state) | (knows_zip & ~knows_state & ~same_zip3)] = _ELSEWHERE
    level[same_state] = _STATE
    level[same_zip3] = _ZIP3
    level[same_city] = _CITY
    level[same_zip5] = _ZIP5
    level[same_number & (same_zip5 | (same_city & same_street))] = _BUILDING
    return level


# A number, what may be joined to it, and the two words after that. No letter can
# be read in two ways, which is what makes it fast.
_STREET = (
    "^[^0-9]*(?P<number>[0-9]+)(?:[A-Z][0-9]*)?(?:-[-A-Z0-9]*)?[^-A-Z0-9][^A-Z0-9]*"
    "(?P<word>[A-Z0-9]+)(?:[^A-Z0-9]+(?P<next>[A-Z0-9]+))?"
)
_COMPASS = hash_strings(
    pa.array(["N", "S", "E", "W", "NE", "NW", "SE", "SW", "NORTH", "SOUTH", "EAST", "WEST"])
)


def _street_hash(word: pa.Array, following: pa.Array) -> npt.NDArray[np.uint32]:
    hashes = hash_strings(word)
    compass = np.flatnonzero(np.isin(hashes, _COMPASS))
    following = hash_strings(following.take(pa.array(compass)))
    hashes[compass] = np.where(following == 0, hashes[compass], following)
    return _short(hashes)


def _of_each_spelling(
    texts: pa.Array, read: Callable[[pa.Array], npt.NDArray[_Number]]
) -> npt.NDArray[_Number]:
    """Read each distinct text once: cities and states repeat."""
    spelled = texts.fill_null("").dictionary_encode()
    values: npt.NDArray[_Number] = read(spelled.dictionary)[spelled.indices.to_numpy()]
    return values


def _city_hash(city: pa.Array) -> npt.NDArray[np.uint32]:
    plain = pc.utf8_upper(city)
    plain = pc.replace_substring_regex(plain, r"[^A-Z]+", " ")
    plain = pc.replace_substring_regex(plain, r"\b(?:(S)AIN|(F)OR|(M)OUN)T\b", r"\1\2\3T")
    return _short(hash_strings(pc.replace_substring(plain, " ", "")))


def _to_number(digits: pa.Array, width: int) -> npt.NDArray[np.uint32]:
    digits = digits.fill_null("")
    is_number = pc.and_(pc.ascii_is_decimal(digits), pc.less_equal(pc.binary_length(digits), width))
    numbers = pc.cast(pc.if_else(is_number, digits, "0"), pa.uint32())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.uint32)


def _short(hashes: Hashes) -> npt.NDArray[np.uint32]:
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _pair(state: pa.Array) -> npt.NDArray[np.uint16]:
    letters = [(text.upper().encode() + b"\0\0")[:2] for text in state.to_pylist()]
    return np.array([int.from_bytes(pair) for pair in letters], np.uint16)
