"""Words that are filed in several forms: short or long, singular or plural.

Each stands for one *plain* word (`ABBREVIATIONS`), so that ADV TECH LABS and ADVANCED TECHNOLOGY
LABORATORIES have the same plain words. `plain_hashes` finds the plain words of hashed ones, `bag_hashes`
gives names with the same plain words in any order the same key.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.texts import Bytes, Flags, Hashes, Ints, hash_text, letter_codes, powers

STOP_WORDS = ("AND", "OF", "THE", "FOR", "IN")
"""Words that come and go in a name without changing it."""

_SHORT = {
    "TECHNOLOGY": "TECHNOLOGIES TECH TECHS TECHNOL TECHNLGY TECHN",
    "SYSTEM": "SYSTEMS SYS SYST SYSTS",
    "ENGINEERING": "ENGR ENGRG ENG ENGG ENGINEERS ENGINEER ENGRS ENGRNG",
    "ASSOCIATE": "ASSOCIATES ASSOC ASSOCS ASSC ASSN",
    "INTERNATIONAL": "INTL INT INTNL INTERNATL INTERNL",
    "LABORATORY": "LABORATORIES LAB LABS LABORATORYS LABORATORIE",
    "RESEARCH": "RES RSCH RSRCH RESRCH",
    "DEVELOPMENT": "DEV DEVEL DEVELOPMENTS DVLP DEVELOP",
    "SCIENCE": "SCIENCES SCI SCIENTIFIC SCIENTIFICS",
    "PHARMACEUTICAL": "PHARMACEUTICALS PHARMA PHARM PHARMACEUTICS",
    "MANUFACTURING": "MFG MANUF MANUFACTURER MANUFACTURERS MFR",
    "SERVICE": "SERVICES SVC SVCS SERV SVS",
    "SOLUTION": "SOLUTIONS SOLN SOLNS SOLS",
    "INDUSTRY": "INDUSTRIES IND INDS INDUST INDUSTRIAL",
    "INSTRUMENT": "INSTRUMENTS INSTR INSTRS INSTRUMENTATION",
    "INSTITUTE": "INST INSTITUTES INSTITUTION",
    "UNIVERSITY": "UNIV UNIVERSITIES",
    "AMERICAN": "AMER AMERICA",
    "NATIONAL": "NATL NAT NATNL",
    "GROUP": "GRP GROUPS",
    "MANAGEMENT": "MGMT MGT MGMNT MANAGMENT",
    "CONSULTING": "CONSULTANTS CONSULTANT CONSULT CNSLTNG CONS",
    "COMMUNICATION": "COMMUNICATIONS COMM COMMS COMMUN",
    "ELECTRONIC": "ELECTRONICS ELEC ELECT ELECTR",
    "ENVIRONMENTAL": "ENVIRONMENT ENV ENVIR ENVIRON",
    "CENTER": "CTR CENTRE CENTERS",
    "DEPARTMENT": "DEPT DPT",
    "ENTERPRISE": "ENTERPRISES ENT ENTPR ENTERPRIZES",
    "COMPUTER": "COMPUTERS COMPUTING COMP",
    "ADVANCED": "ADV ADVNCD ADVANCE",
    "APPLICATION": "APPLICATIONS APPL APPS",
    "MEDICAL": "MED MEDICINE",
    "DIAGNOSTIC": "DIAGNOSTICS DX",
    "THERAPEUTIC": "THERAPEUTICS THERA TX",
    "BIOSCIENCE": "BIOSCIENCES BIOSCI",
    "TECHNICAL": "TECHNICALS",
    "SOFTWARE": "SW SFTWR",
    "PRODUCT": "PRODUCTS PROD PRODS",
    "CORPORATION": "CORP CORPORATE",
    "COMPANY": "CO COMPANIES COS",
    "INCORPORATED": "INC",
    "BROTHERS": "BROS",
    "CONSTRUCTION": "CONST CONSTR CONSTRUCTORS",
    "EQUIPMENT": "EQUIP EQPT",
    "HOSPITAL": "HOSP HOSPITALS",
    "SAINT": "ST",
    "MOUNT": "MT",
    "FORT": "FT",
    "GOVERNMENT": "GOVT GOV",
    "ADMINISTRATION": "ADMIN",
    "AUTHORITY": "AUTH",
    "TRANSPORTATION": "TRANS TRANSP TRANSPORT",
    "AEROSPACE": "AERO",
    "AVIATION": "AVN",
    "INNOVATION": "INNOVATIONS INNOVATIVE INNOV",
    "INVESTMENT": "INVESTMENTS INV",
    "DESIGN": "DESIGNS DSGN",
    "DISTRIBUTION": "DIST DISTRIBUTING DISTRIBUTORS",
    "MICROELECTRONIC": "MICROELECTRONICS",
    "MATERIAL": "MATERIALS MATL MATLS",
    "UNITED": "UTD",
    "STATES": "STS",
    "DIVISION": "DIV",
    "GENERAL": "GEN",
    "HEALTH": "HLTH HEALTHCARE",
    "INFORMATION": "INFO",
    "SECURITY": "SEC SECURITIES",
    "NETWORK": "NETWORKS NETWK",
    "PARTNERS": "PARTNER PTNRS",
    "ANALYSIS": "ANALYTICS ANALYTICAL ANAL",
    "DYNAMIC": "DYNAMICS DYN",
    "SENSOR": "SENSORS SENSING",
    "OPTIC": "OPTICS OPTICAL",
    "AND": "N ET",
}  # fmt: skip

ABBREVIATIONS: dict[str, str] = {short: long for long, shorts in _SHORT.items() for short in shorts.split()}
"""Short form to the word it stands for."""


def plain_hashes(hashes: Hashes, lengths: Ints, last: Bytes) -> Hashes:
    """Find the hash of the plain word that each word stands for.

    Parameters
    ----------
    hashes : uint64 array of shape (n,)
    lengths : int64 array of shape (n,)
    last : uint8 array of shape (n,)
        Each word's last letter.

    Returns
    -------
    uint64 array of shape (n,)
        The word's own hash, or the one it is short for; without the S of a plural.
    """
    at = np.searchsorted(_FORMS, hashes).clip(max=len(_FORMS) - 1)
    is_known = _FORMS[at] == hashes
    is_plural = (last == ord("S")) & (lengths >= 5) & ~is_known
    ending = (
        letter_codes(np.array([ord("S")])) * powers(int(lengths.max(initial=1)))[np.maximum(lengths - 1, 0)]
    )
    plain: Hashes = np.where(is_known, _PLAIN[at], np.where(is_plural, hashes - ending, hashes))
    return plain


def is_stop_word(hashes: Hashes) -> Flags:
    """Tell which words are among `STOP_WORDS`."""
    return np.isin(hashes, _STOPS)


def bag_hashes(plain: Hashes, starts: Ints) -> Hashes:
    """Hash the plain words of each name, in any order and without stop words.

    Parameters
    ----------
    plain : uint64 array
        Plain words of all names.
    starts : int64 array of length n + 1
        Where each name's words are.

    Returns
    -------
    uint64 array of shape (n,)
        0 for a name of stop words only.
    """
    return hash_bags(plain, np.arange(len(plain)), starts)


def hash_bags(plain: Hashes, words: npt.NDArray[Any], starts: npt.NDArray[Any]) -> Hashes:
    """Hash bags as `bag_hashes` does, of names whose words are given as positions in `plain`."""
    mixed = (plain ^ (plain >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    mixed[is_stop_word(plain)] = 0
    sums = np.zeros(len(words) + 1, np.uint64)
    np.cumsum(mixed[words], out=sums[1:])
    bags: Hashes = sums[starts[1:]] - sums[starts[:-1]]
    return bags


_STOPS = np.array([hash_text(word) for word in STOP_WORDS], np.uint64)
_BY_HASH = sorted((hash_text(short), hash_text(long)) for short, long in ABBREVIATIONS.items())
_FORMS = np.array([pair[0] for pair in _BY_HASH], np.uint64)
_PLAIN = np.array([pair[1] for pair in _BY_HASH], np.uint64)
