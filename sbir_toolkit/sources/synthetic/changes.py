"""What can happen to a name on its way from the register to an award: each kind of difference as a function.

A change takes a registered name and gives it as an award might write it, or None when it doesn't fit the
name (no ampersand to write out, no second word to turn round). After a change to the words or the legal
form the name is dressed anew, because who writes a name differently doesn't copy its case and punctuation
either. The abbreviations here are this generator's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sbir_toolkit.sources.synthetic.draws import Picks


class Registered(NamedTuple):
    """A name in the register.

    `text` is `core + form` as the register writes it; `other` are the words of a name it could have had.
    """

    core: str
    form: str
    text: str
    other: str


Change = Callable[[Registered, Picks], str | None]

_SHORTER = {
    "TECHNOLOGIES": "TECH", "TECHNOLOGY": "TECH", "SYSTEMS": "SYS", "ASSOCIATES": "ASSOC",
    "INTERNATIONAL": "INTL", "ENGINEERING": "ENGR", "MANUFACTURING": "MFG", "LABORATORIES": "LABS",
    "LABORATORY": "LAB", "RESEARCH": "RSCH", "DEVELOPMENT": "DEV", "SERVICES": "SVCS", "MANAGEMENT": "MGMT",
    "COMMUNICATIONS": "COMM", "SCIENCES": "SCI", "SCIENTIFIC": "SCIEN", "INSTRUMENTS": "INSTR",
    "INDUSTRIES": "IND", "ENTERPRISES": "ENT", "PHARMACEUTICALS": "PHARMA", "ENVIRONMENTAL": "ENVIR",
    "INSTITUTE": "INST", "ELECTRONICS": "ELEC", "ADVANCED": "ADV", "NATIONAL": "NATL", "AMERICAN": "AMER",
    "CONSULTANTS": "CONSULT", "DIAGNOSTICS": "DIAG", "PRODUCTS": "PROD", "COMPUTER": "COMP",
    "BIOTECHNOLOGIES": "BIOTECH", "APPLICATIONS": "APPL", "UNIVERSITY": "UNIV", "CENTER": "CTR",
    "CONSTRUCTION": "CONST", "CORPORATE": "CORP", "GOVERNMENT": "GOVT", "MEDICAL": "MED", "SOUTHERN": "SO",
    "MOUNTAIN": "MTN", "AEROSPACE": "AERO",
}  # fmt: skip
_LONG_FORMS = {"INC": "INCORPORATED", "CORP": "CORPORATION", "CO": "COMPANY", "LTD": "LIMITED"}
_SHORT_FORMS = {long: short for short, long in _LONG_FORMS.items()}
_OTHER_FORMS = {
    "INC": ("LLC", "CORP", "LLC", "CO"), "INCORPORATED": ("LLC", "CORPORATION"), "LLC": ("INC", "INC",
    "CORP"), "CORP": ("INC", "INC", "LLC"), "CORPORATION": ("INC", "INC", "LLC"), "CO": ("INC", "LLC"),
    "COMPANY": ("INC", "CORP"), "LTD": ("INC", "LLC"), "LIMITED": ("INC", "LLC"),
}  # fmt: skip
_ADDED = (
    "GROUP",
    "INTERNATIONAL",
    "USA",
    "TECHNOLOGIES",
    "HOLDINGS",
    "OF AMERICA",
    "RESEARCH",
    "NORTH AMERICA",
    "LABS",
    "US",
)
_FILLERS = frozenset({"AND", "&", "OF", "THE", "FOR"})
_NEIGHBOURS = {
    "A": "SE", "E": "RA", "I": "OE", "O": "IU", "U": "OA", "S": "ZC", "C": "KS", "N": "MR", "M": "N",
    "T": "RD", "R": "TE", "L": "I", "D": "T", "P": "B", "B": "PV", "K": "C", "G": "J", "Y": "I", "H": "N",
    "F": "V", "V": "F", "X": "Z", "Z": "S",
}  # fmt: skip
_SHOUTED = frozenset(
    {
        "LLC",
        "L.L.C.",
        "LLP",
        "LP",
        "L.P.",
        "PC",
        "P.C.",
        "PLLC",
        "JV",
        "USA",
        "US",
        "II",
        "III",
        "IV",
        "RSCH",
        "SVCS",
    }
)


def title_name(text: str) -> str:
    """Write a name in mixed case; what looks like an acronym stays in capitals."""
    return " ".join(_title_word(word) for word in text.split(" "))


def form_word(form: str) -> str:
    """Give the bare word of a legal form's surface: `LLC` of `, L.L.C.`."""
    return form.strip(" ,").replace(".", "")


def dress(core: str, form: str, picks: Picks, shouted: float = 0.14) -> str:
    """Put a name together with some punctuation, in capitals with chance `shouted`, else in mixed case."""
    text = core + (form if picks.chance(0.6) else _repunctuate(form, picks))
    return text if picks.chance(shouted) else title_name(text)


def mistype(core: str, picks: Picks) -> str | None:
    """Make one typing mistake in a word of five letters or more; None when there is no such word."""
    tokens = core.split(" ")
    at = [index for index, token in enumerate(tokens) if len(token) >= 5]
    if not at:
        return None
    chosen = picks.choice(at)
    word = tokens[chosen]
    place = 1 + picks.below(len(word) - 2)
    turn = picks.below(4)
    if turn == 0:
        word = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    elif turn == 1:
        word = word[:place] + word[place + 1 :]
    elif turn == 2:
        word = word[:place] + word[place] + word[place:]
    else:
        word = word[:place] + picks.choice(_NEIGHBOURS.get(word[place], "E")) + word[place + 1 :]
    tokens[chosen] = word
    changed = " ".join(tokens)
    return None if changed == core else changed


def _title_word(word: str) -> str:
    bare = word.rstrip(",.") + "." * (word.count(".") > 1)
    if bare in _SHOUTED or (
        len(bare) <= 4 and not set(bare) & set("AEIOUY") and bare.isalpha() and bare not in ("LTD", "CTR")
    ):
        return word
    if bare in ("AND", "OF", "FOR", "DBA"):
        return word.lower()
    if "-" in word:
        return "-".join(part.capitalize() for part in word.split("-"))
    return word.capitalize()


def _repunctuate(form: str, picks: Picks) -> str:
    word = form_word(form)
    if not word:
        return ""
    if word in _SHORT_FORMS:
        return picks.choice((" ", ", ", " ")) + word
    if word == "LLC":
        return picks.choice((" LLC", ", LLC", ", LLC", " L.L.C.", ", L.L.C.", ", LLC."))
    return picks.choice((" ", ", ", ", ", ", ")) + word + picks.choice((".", ".", ""))


def _keep(name: Registered, picks: Picks) -> str | None:
    return name.text


def _change_case(name: Registered, picks: Picks) -> str | None:
    return title_name(name.text) if name.text.isupper() else name.text.upper()


def _escape(name: Registered, picks: Picks) -> str | None:
    if "&" not in name.text:
        return None
    return (name.text if picks.chance(0.4) else title_name(name.text)).replace("&", "&amp;")


def _change_marks(name: Registered, picks: Picks) -> str | None:
    core = name.core
    if "-" in core:
        core = core.replace("-", " ")
    elif " & " in core and picks.chance(0.2):
        core = core.replace(" & ", "&")
    elif len(core.split(" ")[0]) == 1 and picks.chance(0.7):
        core = core[:1] + "." + core[1:]
    elif " " in core and picks.chance(0.05):
        core = core.replace(" ", "-", 1)
    form = _repunctuate(name.form, picks)
    if core + form == name.core + name.form:
        return None
    return core + form if picks.chance(0.3) else title_name(core + form)


def _change_ampersand(name: Registered, picks: Picks) -> str | None:
    if " & " in name.core:
        return dress(name.core.replace(" & ", " AND "), name.form, picks)
    if " AND " in name.core:
        return dress(name.core.replace(" AND ", " & "), name.form, picks)
    return None


def _change_spacing(name: Registered, picks: Picks) -> str | None:
    tokens = name.core.split(" ")
    longest = max(range(len(tokens)), key=lambda index: len(tokens[index]))
    if len(tokens) >= 2 and picks.chance(0.6):
        at = picks.below(len(tokens) - 1)
        if tokens[at] in _FILLERS or tokens[at + 1] in _FILLERS:
            return None
        joined = [*tokens[:at], tokens[at] + tokens[at + 1], *tokens[at + 2 :]]
        return dress(" ".join(joined), name.form, picks)
    word = tokens[longest]
    if len(word) < 8:
        return None
    cut = 4 + picks.below(len(word) - 7)
    tokens[longest] = f"{word[:cut]} {word[cut:]}"
    return dress(" ".join(tokens), name.form, picks)


def _change_the(name: Registered, picks: Picks) -> str | None:
    if name.core.startswith("THE "):
        return dress(name.core[4:], name.form, picks)
    text = dress(name.core, name.form, picks)
    if picks.chance(0.7):
        return ("THE " if text.isupper() else "The ") + text
    return text + (", THE" if text.isupper() else ", The")


def _abbreviate_form(name: Registered, picks: Picks) -> str | None:
    word = form_word(name.form)
    other = _LONG_FORMS.get(word) or _SHORT_FORMS.get(word)
    if other is None:
        return None
    return dress(name.core, _repunctuate(" " + other, picks), picks)


def _drop_form(name: Registered, picks: Picks) -> str | None:
    if not name.form:
        return dress(name.core, _repunctuate(picks.choice((" INC", " INC", " LLC", " CORP")), picks), picks)
    return dress(name.core, "", picks)


def _change_form(name: Registered, picks: Picks) -> str | None:
    others = _OTHER_FORMS.get(form_word(name.form))
    if others is None:
        return None
    return dress(name.core, _repunctuate(" " + picks.choice(others), picks), picks)


def _abbreviate_word(name: Registered, picks: Picks) -> str | None:
    tokens = name.core.split(" ")
    at = [index for index, token in enumerate(tokens) if token in _SHORTER]
    if not at:
        return None
    chosen = picks.choice(at)
    tokens[chosen] = _SHORTER[tokens[chosen]] + ("." if picks.chance(0.2) else "")
    return dress(" ".join(tokens), name.form, picks)


def _inflect_word(name: Registered, picks: Picks) -> str | None:
    tokens = name.core.split(" ")
    at = [index for index, token in enumerate(tokens) if len(token) >= 5 and index > 0]
    if not at:
        return None
    chosen = picks.choice(at)
    token = tokens[chosen]
    if token.endswith("IES"):
        tokens[chosen] = token[:-3] + "Y"
    elif token.endswith("S"):
        tokens[chosen] = token[:-1]
    elif token.endswith("Y"):
        tokens[chosen] = token[:-1] + "IES"
    else:
        tokens[chosen] = token + "S"
    return dress(" ".join(tokens), name.form, picks)


def _mistype_once(name: Registered, picks: Picks) -> str | None:
    core = mistype(name.core, picks)
    return None if core is None else dress(core, name.form, picks)


def _mistype_twice(name: Registered, picks: Picks) -> str | None:
    once = mistype(name.core, picks)
    core = None if once is None else mistype(once, picks)
    return None if core is None or core == name.core else dress(core, name.form, picks)


def _turn_words(name: Registered, picks: Picks) -> str | None:
    tokens = name.core.split(" ")
    if len(tokens) < 2:
        return None
    if len(tokens) == 2 or picks.chance(0.6):
        tokens = tokens[1:] + tokens[:1] if picks.chance(0.5) else tokens[-1:] + tokens[:-1]
    else:
        tokens[0], tokens[1] = tokens[1], tokens[0]
    return dress(" ".join(tokens), name.form, picks)


def _change_words(name: Registered, picks: Picks) -> str | None:
    tokens = name.core.split(" ")
    if len(tokens) >= 3 and picks.chance(0.65):
        tokens = tokens[:-1]
    elif len(tokens) == 2 and tokens[1] in _SHORTER and picks.chance(0.3):
        tokens = tokens[:1]
    else:
        tokens = [*tokens, picks.choice(_ADDED)]
    while tokens and tokens[-1] in _FILLERS:
        tokens.pop()
    return dress(" ".join(tokens), name.form, picks)


def _cut(name: Registered, picks: Picks) -> str | None:
    if len(name.text) <= 30:
        return None
    return name.text[:30].rstrip() if picks.chance(0.6) else title_name(name.text[:30].rstrip())


def _add_trade_name(name: Registered, picks: Picks) -> str | None:
    text, other = dress(name.core, name.form, picks), title_name(name.other)
    turn = picks.below(5)
    if turn == 0:
        return f"{text} DBA {other}"
    if turn == 1:
        return f"{other} dba {text}"
    if turn == 2:
        return f"{text} (formerly {other})"
    if turn == 3:
        return f"{text} ({_initials(name.core)})"
    return f"{text} d/b/a {other}"


def _initials(core: str) -> str:
    return "".join(token[0] for token in core.split(" ") if token not in _FILLERS)


def _shorten(name: Registered, picks: Picks) -> str | None:
    initials = _initials(name.core)
    return None if len(initials) < 3 else initials + (name.form if picks.chance(0.6) else "")


def _shorten_part(name: Registered, picks: Picks) -> str | None:
    tokens = [token for token in name.core.split(" ") if token not in _FILLERS]
    if len(tokens) < 3:
        return None
    return dress(" ".join([tokens[0][0] + tokens[1][0], *tokens[2:]]), name.form, picks)


def _change_part(name: Registered, picks: Picks) -> str | None:
    tokens, others = name.core.split(" "), name.other.split(" ")
    if len(tokens) < 2:
        return None
    keeps_first = picks.chance(0.75)
    core = " ".join([tokens[0], others[-1]] if keeps_first else [others[0], *tokens[1:]])
    return None if core == name.core else dress(core, name.form, picks)


def _change_letters(name: Registered, picks: Picks) -> str | None:
    tokens = name.core.split(" ")
    if len(tokens[0]) < 6:
        return None
    tokens[0] = tokens[0][:-3] + picks.choice(("TEK", "EX", "ON", "ICA", "IX", "GEN", "SYS", "ARA"))
    return None if tokens[0] == name.core.split(" ")[0] else dress(" ".join(tokens), name.form, picks)


def _rename(name: Registered, picks: Picks) -> str | None:
    return dress(name.other, _repunctuate(name.form or " INC", picks), picks)


CHANGES: dict[str, Change] = {
    "identical": _keep, "case": _change_case, "html_entity": _escape, "punctuation": _change_marks,
    "ampersand": _change_ampersand, "spacing": _change_spacing, "the": _change_the,
    "legal_abbreviated": _abbreviate_form, "legal_dropped": _drop_form, "legal_changed": _change_form,
    "word_abbreviated": _abbreviate_word, "word_inflected": _inflect_word, "typo_1": _mistype_once,
    "typo_2": _mistype_twice, "word_order": _turn_words, "words_changed": _change_words, "truncated": _cut,
    "dba": _add_trade_name, "acronym": _shorten, "acronym_part": _shorten_part,
    "partly_changed": _change_part, "similar_letters": _change_letters, "rename": _rename,
}  # fmt: skip
