"""Recipients that are nobody in particular: they make common words common."""

from __future__ import annotations

import random

_COMMON = [
    "TECHNOLOGIES",
    "SYSTEMS",
    "RESEARCH",
    "SERVICES",
    "SOLUTIONS",
    "GROUP",
    "ENGINEERING",
    "ASSOCIATES",
    "INTERNATIONAL",
    "ADVANCED",
    "MEDICAL",
    "APPLIED",
    "CONSULTING",
    "SCIENTIFIC",
    "MATERIALS",
    "ENERGY",
    "TECHNOLOGY",
    "CONSTRUCTION",
    "MANAGEMENT",
    "CENTER",
    "NATIONAL",
    "AMERICAN",
    "GENERAL",
    "UNIVERSITY",
    "DEVELOPMENT",
    "LABORATORIES",
    "THERAPEUTICS",
    "HOLDINGS",
    "DESIGN",
    "HEALTH",
    "SOFTWARE",
    "INDUSTRIES",
    "OF",
    "AND",
    "CITY",
    "COUNTY",
    "AUTHORITY",
    "HOUSING",
    "SCHOOL",
    "DISTRICT",
    "NETWORKS",
    "OPTICS",
    "SCIENCES",
    "NORTH",
    "SOUTH",
    "BOSTON",
    "BOULDER",
    "ROBOTICS",
    "POLYMERS",
    "PRECISION",
    "MACHINING",
    "SIGNAL",
    "STREET",
    "COMPANY",
    "FIRST",
    "INSTITUTE",
    "STAR",
    "TRANSPORTATION",
    "PHOTONICS",
    "IMAGING",
    "SENSORS",
    "DYNAMICS",
]
_SYLLABLES = [
    "BA",
    "CO",
    "DEL",
    "EN",
    "FI",
    "GRA",
    "HY",
    "JO",
    "KA",
    "LUM",
    "MI",
    "NOR",
    "OP",
    "PRO",
    "QUI",
    "RE",
    "SY",
    "TE",
    "UL",
    "VE",
    "WI",
    "ZEN",
    "TRO",
]
_FORMS = ("INC", "LLC", "CORP", "", "CO", "LTD")
_PLACES = (("TAMPA", "FL", "33602"), ("SALINA", "KS", "67401"), ("MACON", "GA", "31201"), (None, None, None))


def make_background(count: int) -> list[dict[str, object]]:
    """Make recipients with names of one made-up word and a few common ones."""
    draw = random.Random(4)
    weights = [1 / (place + 4) for place in range(len(_COMMON))]
    rows: list[dict[str, object]] = []
    for number in range(count):
        coined = "".join(draw.choices(_SYLLABLES, k=3)) + draw.choice("XYZKW")
        words = draw.choices(_COMMON, weights, k=draw.choice((1, 2, 2, 3)))
        city, state, zip5 = draw.choice(_PLACES)
        rows.append(
            {
                "recipient_id": f"background-{number}",
                "recipient_name": " ".join([coined, *dict.fromkeys(words), draw.choice(_FORMS)]).strip(),
                "city": city,
                "state": state,
                "zip5": zip5,
            }
        )
    return rows
