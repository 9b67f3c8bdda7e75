"""Identifiers like the government's that belong to nobody: UEI, DUNS, CAGE, and USAspending's recipient hash.

Each is a function of an entity's number, made so that two numbers never share one. The UEI carries its
check digit as GSA defines it, because a reader that validates would otherwise refuse every made-up one.
This module writes identifiers; it is not the one that reads them, and shares nothing with it, so that each
can find the other's mistake.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.sources.synthetic.draws import Draws, Integers

_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", dtype=np.uint8)
_LETTERS = _ALPHABET[10:]
# Letters in the first and sixth place: then the first five never look like a CAGE code, and no nine digits
# stand in a row.
_LETTER_PLACES = (0, 5)
_HALF_BITS = 27
_HALF_MASK = np.uint64((1 << _HALF_BITS) - 1)
# Largest primes below 10**8 and 9 * 10**8, and a prime below the number of CAGE codes: multiplying by a
# number prime to them visits each value once.
_LOW_PRIME, _HIGH_PRIME, _CAGE_PRIME = 99_999_989, 899_999_963, 3_930_391
_JUNK_DUNS = (0, 123_456_789, *(digit * 111_111_111 for digit in range(1, 10)))


def make_uei(entities: Integers, draws: Draws) -> pa.StringArray:
    """Give each entity its UEI: 12 characters, valid, no two alike."""
    rest = _permute(entities, draws).astype(np.int64)
    characters = np.empty((len(entities), 12), dtype=np.uint8)
    for place in range(11):
        letters = _LETTERS if place in _LETTER_PLACES else _ALPHABET
        rest, digit = np.divmod(rest, len(letters))
        characters[:, place] = letters[digit]
    characters[:, 11] = _check_digit(characters[:, :11]) + ord("0")
    return _as_strings(characters)


def make_duns(entities: Integers) -> pa.StringArray:
    """Give each entity its DUNS: 9 digits, no two alike, half of them with a leading zero."""
    entities = np.asarray(entities, dtype=np.int64)
    pair = entities // 2
    low = (pair * 61_803_399 + 4_142_135) % _LOW_PRIME
    high = 100_000_000 + (pair * 618_033_989 + 73_205_080) % _HIGH_PRIME
    number = np.where(entities % 2 == 0, low, high)
    for order, junk in enumerate(_JUNK_DUNS):
        spare = (_LOW_PRIME if junk < 100_000_000 else 100_000_000 + _HIGH_PRIME) + order
        number[number == junk] = spare
    return _as_strings(_digits(number, 9))


def make_cage(entities: Integers) -> pa.StringArray:
    """Give each entity a CAGE code of the American shape: digit, three letters or digits, digit."""
    rest = (np.asarray(entities, dtype=np.int64) * 2_414_213 + 1_732_050) % _CAGE_PRIME
    characters = np.empty((len(rest), 5), dtype=np.uint8)
    for place in range(5):
        letters = _ALPHABET[:10] if place in (0, 4) else _ALPHABET
        rest, digit = np.divmod(rest, len(letters))
        characters[:, place] = letters[digit]
    return _as_strings(characters)


def make_recipient_hash(ueis: pa.StringArray, duns: pa.StringArray) -> pa.StringArray:
    """Hash identifiers as USAspending does: MD5 of upper-case `uei-...`, else `duns-...`, written as a UUID.

    Parameters
    ----------
    ueis, duns : pyarrow.StringArray, same length
        Null where a recipient has none; one of the two must be there.

    Returns
    -------
    pyarrow.StringArray
        Lower-case, with hyphens after 8, 12, 16 and 20 digits.
    """
    digests = b"".join(
        hashlib.md5(b"UEI-" + uei if uei is not None else b"DUNS-" + number, usedforsecurity=False).digest()
        for uei, number in zip(
            ueis.cast(pa.binary()).to_pylist(), duns.cast(pa.binary()).to_pylist(), strict=True
        )
    )
    digits = np.frombuffer(digests.hex().encode(), dtype=np.uint8).reshape(-1, 32)
    characters = np.full((len(digits), 36), ord("-"), dtype=np.uint8)
    characters[:, [place for place in range(36) if place not in (8, 13, 18, 23)]] = digits
    return _as_strings(characters)


def _permute(entities: Integers, draws: Draws) -> npt.NDArray[np.uint64]:
    """Send each number below 2**54 to another one, none twice (a Feistel network of four rounds)."""
    numbers = np.asarray(entities).astype(np.uint64)
    left, right = numbers >> np.uint64(_HALF_BITS), numbers & _HALF_MASK
    for turn in range(4):
        mixed = draws.bits(f"uei round {turn}", right.astype(np.int64)) & _HALF_MASK
        left, right = right, left ^ mixed
    return (left << np.uint64(_HALF_BITS)) | right


def _check_digit(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Compute GSA's check digit: sum the last digits of code x place, and again until one digit is left."""
    places = np.arange(1, 12)
    total: Integers = (characters.astype(np.int64) * places % 10).sum(axis=1)
    while (total > 9).any():
        total = np.where(total > 9, (total // 10 * 1) % 10 + (total % 10 * 2) % 10, total)
    return total.astype(np.uint8)


def _digits(numbers: Integers, width: int) -> npt.NDArray[np.uint8]:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _as_strings(characters: npt.NDArray[np.uint8]) -> pa.StringArray:
    rows, width = characters.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(characters)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data))
