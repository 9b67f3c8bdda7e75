"""Places, reduced to numbers that can be compared for millions of pairs at once.

ZIP, city, state and street of one firm aren't four pieces of evidence: who agrees on the ZIP agrees on the
state. Adding them up counts one fact several times and makes probabilities too certain. So two places are
compared once, and the result is one of the ordered levels of `LEVELS`, from the same building down to
another state. A missing place is a level of its own: it says nothing.

A street is its number and first word that isn't a compass point; suites, floors and the way the street's
kind is abbreviated are left aside.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.texts import Bytes, Ints, hash_strings

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
    street = pc.extract_regex(pc.utf8_upper(address.fill_null("")), _STREET)
    return Places(
        zip5=_to_number(zip5, 5),
        number=_to_number(pc.struct_field(street, "number"), 6),
        street=_short_hash(pc.struct_field(street, "word")),
        city=_city_hash(city),
        state=_pair(state),
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


_STREET = (
    r"^[^0-9]{0,20}(?P<number>\d{1,6})[A-Z]?[-\d]*[^A-Z0-9]+"
    r"(?:(?:N|S|E|W|NE|NW|SE|SW|NORTH|SOUTH|EAST|WEST)[^A-Z0-9]+)?(?P<word>[A-Z0-9]+)"
)


def _city_hash(city: pa.Array) -> npt.NDArray[np.uint32]:
    # Cities repeat, so each spelling is read once.
    spelled = city.fill_null("").dictionary_encode()
    hashes: npt.NDArray[np.uint32] = _short_hash(_plain_city(spelled.dictionary))[spelled.indices.to_numpy()]
    return hashes


def _plain_city(city: pa.Array) -> pa.Array:
    plain = pc.utf8_upper(city)
    plain = pc.replace_substring_regex(plain, r"[^A-Z]+", " ")
    plain = pc.replace_substring_regex(plain, r"\bSAINT\b", "ST")
    plain = pc.replace_substring_regex(plain, r"\bFORT\b", "FT")
    plain = pc.replace_substring_regex(plain, r"\bMOUNT\b", "MT")
    return pc.replace_substring(plain, " ", "")


def _to_number(digits: pa.Array, width: int) -> npt.NDArray[np.uint32]:
    digits = digits.fill_null("")
    is_number = pc.and_(pc.utf8_is_decimal(digits), pc.less_equal(pc.utf8_length(digits), width))
    numbers = pc.cast(pc.if_else(is_number, digits, "0"), pa.uint32())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.uint32)


def _short_hash(words: pa.Array) -> npt.NDArray[np.uint32]:
    return (hash_strings(words) >> np.uint64(32)).astype(np.uint32)


def _pair(state: pa.Array) -> npt.NDArray[np.uint16]:
    letters = pc.ascii_rpad(pc.utf8_slice_codeunits(pc.utf8_upper(state.fill_null("")), 0, 2), 2, " ")
    codes = hash_strings(letters) >> np.uint64(48)
    is_known = np.asarray(pc.not_equal(letters, "  ").to_numpy(zero_copy_only=False))
    return np.where(is_known, np.maximum(codes, 1), 0).astype(np.uint16)
