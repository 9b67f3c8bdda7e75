"""The register: what each entity's legal name is, and how each award company spells its own.

Most names come straight from `names.NameMaker`. A child firm takes its parent's name with an addition, a
namesake takes another firm's name as it is, and a look-alike takes an award company's name with one thing
changed, so that the right answer has a wrong one beside it. `Register.legal_names` gives any of them, alone
or in a block.

`spell_companies` writes every spelling that awards use: one main spelling per company and now and then
another one. A firm that was renamed is met under its old name until it changed it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic import words
from sbir_toolkit.sources.synthetic.changes import Registered, mistype, title_name
from sbir_toolkit.sources.synthetic.columns import join, keep
from sbir_toolkit.sources.synthetic.draws import Choice, Flags, Integers, Picks
from sbir_toolkit.sources.synthetic.names import FOREIGN, PERSON, TECH, TRADE, NameMaker
from sbir_toolkit.sources.synthetic.noise import NEW_NAME_KINDS, introduce, misspell
from sbir_toolkit.sources.synthetic.population import Population

# Numbers of names that nobody has, for former and trade names.
_SHADOW = 1 << 40
_VARIANT_SHARES = Choice([0.98, 0.015, 0.005])
_KNOWN_FORMER_SHARE = 0.4
NO_COUNTERPART = "no_counterpart"


class Register:
    """Legal names by number of entity.

    Parameters
    ----------
    population
        Who there is.
    """

    def __init__(self, population: Population) -> None:
        self._population = population
        self._draws = population.draws
        self._maker = NameMaker(population.draws, population.gazetteer.names)

    def cores(self, entities: Integers) -> pa.StringArray:
        """Give the words of legal names, upper case, without the legal form."""
        population, draws = self._population, self._draws
        sources = population.sources(entities)
        is_child = population.is_child(entities)
        # Four in ten children have a name of their own.
        roots = np.where(is_child & draws.chance("own name", entities, 0.4), entities, sources)
        cores = self._maker.cores(roots, population.style(roots))
        takes_addition = is_child & (roots != entities)
        additions = pa.array([division.replace("_", " ") for division in words.DIVISIONS])
        chosen = draws.below("division", entities, len(additions))
        added = additions.take(pa.array(chosen, mask=~takes_addition))
        cores = pc.binary_join_element_wise(cores, added, " ", null_handling="skip")
        return self._alter(entities, cores, population.is_lookalike(entities))

    def forms(self, entities: Integers) -> pa.StringArray:
        """Give the legal forms as they end the names (`, INC.`)."""
        population = self._population
        style = population.style(population.sources(entities))
        return self._maker.forms(entities, np.where(population.is_lookalike(entities), TECH, style))

    def legal_names(self, entities: Integers) -> pa.StringArray:
        """Give the names as registered: mostly in capitals, now and then inverted, cut or in mixed case."""
        draws = self._draws
        names = pc.binary_join_element_wise(self.cores(entities), self.forms(entities), "")
        is_plain = self._is_trade(entities)
        with_the = draws.uniform("the", entities)
        names = pc.if_else(pa.array(is_plain & (with_the < 0.006)), join("THE ", names), names)
        names = pc.if_else(pa.array(is_plain & (with_the > 0.997)), join(names, ", THE"), names)
        is_cut = is_plain & draws.chance("cut", entities, 0.01)
        names = pc.if_else(pa.array(is_cut), pc.utf8_rtrim(pc.utf8_slice_codeunits(names, 0, 30), " "), names)
        is_mixed = draws.chance("mixed case", entities, 0.07)
        titled = pa.array(
            [title_name(name) for name in names.filter(pa.array(is_mixed)).to_pylist()], pa.string()
        )
        return pc.replace_with_mask(names, pa.array(is_mixed), titled)

    def other_cores(self, entities: Integers) -> pa.StringArray:
        """Give the words of a name that each entity might have had and nobody has."""
        style = self._population.style(entities)
        return self._maker.cores(entities + _SHADOW, np.where(style == FOREIGN, TRADE, style))

    def alternate_names(self, entities: Integers, names: pa.StringArray) -> pa.StringArray:
        """Give some entities other names (another spelling, a trade or a former name), the others null."""
        draws = self._draws
        turn = draws.uniform("alternate", entities)
        wanted = np.flatnonzero(turn < 0.135)
        chosen, turn = entities[wanted], turn[wanted] / 0.135
        cores, others = self.cores(chosen), self.other_cores(chosen)
        shadow_forms = self._maker.forms(chosen + _SHADOW, self._population.style(chosen))
        spelled, former = join(cores, shadow_forms), join(others, shadow_forms)
        both = pc.binary_join_element_wise(spelled, others, "|")
        found = pc.if_else(pa.array(turn < 0.45), spelled, pc.if_else(pa.array(turn < 0.75), others, former))
        found = pc.if_else(pa.array(turn > 0.9), both, found)
        is_new = pc.not_equal(found, names.take(pa.array(wanted)))
        found = keep(is_new.to_numpy(zero_copy_only=False), found)
        index = np.full(len(entities), -1, dtype=np.int64)
        index[wanted] = np.arange(len(wanted))
        return found.take(pa.array(index, mask=index < 0))

    def _is_trade(self, entities: Integers) -> Flags:
        population = self._population
        style = population.style(entities)
        return (entities >= population.layout.counterparts) & ~np.isin(style, (PERSON, FOREIGN))

    def _alter(self, entities: Integers, cores: pa.StringArray, mask: Flags) -> pa.StringArray:
        if not mask.any():
            return cores
        states = self._draws.bits("look-alike", entities[mask])
        altered = [
            _imitate(core, Picks(int(state)))
            for core, state in zip(cores.filter(pa.array(mask)).to_pylist(), states, strict=True)
        ]
        return pc.replace_with_mask(cores, pa.array(mask), pa.array(altered, pa.string()))


@dataclass(frozen=True)
class Spellings:
    """How award companies write their names.

    Parameters
    ----------
    texts : pyarrow.StringArray, shape (spellings,)
        The names as on awards.
    kinds : pyarrow.StringArray, shape (spellings,)
        How each differs from the register's: a key of `noise.SHARES`, or `no_counterpart`.
    of_award : array of int64, shape (awards,)
        Which spelling each award uses.
    former : pyarrow.StringArray, shape (counterparts,)
        The former or trade name that the register knows of each counterpart; null where it knows none.
    """

    texts: pa.StringArray
    kinds: pa.StringArray
    of_award: Integers
    former: pa.StringArray


def spell_companies(population: Population, register: Register) -> Spellings:
    """Write every spelling that awards use, and say which award uses which.

    Parameters
    ----------
    population
        Who there is.
    register
        What they are called.
    """
    draws, companies, layout = population.draws, population.companies, population.layout
    entities = companies.entity
    parts = [register.cores(entities), register.forms(entities), register.legal_names(entities)]
    others = register.other_cores(entities).to_pylist()
    names = [Registered(*row) for row in zip(*(part.to_pylist() for part in parts), others, strict=True)]
    has_counterpart = entities < layout.counterparts
    texts, kinds = [], []
    for name, known, state in zip(names, has_counterpart, draws.bits("main spelling", entities), strict=True):
        picks = Picks(int(state))
        text, kind = misspell(name, picks) if known else (introduce(name, picks), NO_COUNTERPART)
        texts.append(text)
        kinds.append(kind)

    keys = np.arange(len(population.award_company))
    owner = population.award_company
    variant = draws.choose("variant", keys, _VARIANT_SHARES)
    has_new_name = np.array([kind in NEW_NAME_KINDS for kind in kinds], dtype=bool)
    # Most of a firm's awards are older than its new name.
    everyone = np.arange(len(entities))
    changed_at = companies.times(everyone, 0.6 + 0.6 * draws.uniform("renamed", entities))
    variant[has_new_name[owner] & (population.award_time > changed_at[owner])] = 1
    former = _known_former(population, texts, has_new_name)

    codes, of_award = np.unique(owner * 4 + variant, return_inverse=True)
    index = np.empty(len(codes), dtype=np.int64)
    states = draws.bits("other spelling", codes)
    for at, (code, state) in enumerate(zip(codes.tolist(), states.tolist(), strict=True)):
        company, which = divmod(code, 4)
        index[at] = company
        if which:
            index[at] = len(texts)
            text, kind = misspell(names[company], Picks(state), is_light=True)
            texts.append(text)
            kinds.append(kind if has_counterpart[company] else NO_COUNTERPART)
    return Spellings(pa.array(texts, pa.string()), pa.array(kinds, pa.string()), index[of_award], former)


def _known_former(population: Population, texts: list[str], has_new_name: Flags) -> pa.StringArray:
    entities, count = population.companies.entity, population.layout.counterparts
    known = has_new_name & (entities < count)
    known &= population.draws.chance("former name known", entities, _KNOWN_FORMER_SHARE)
    former: list[str | None] = [None] * count
    for company in np.flatnonzero(known):
        former[entities[company]] = texts[company].replace("|", " ")
    return pa.array(former, pa.string())


def _imitate(core: str, picks: Picks) -> str:
    """Change one thing in a name so that it is another firm's."""
    first, *others = core.split(" ")
    noun, brand = picks.choice(words.TECH_NOUNS[:40]), picks.choice(words.ENGLISH_BRANDS)
    imitations = [core, core, mistype(core, picks) or f"NEW {core}", f"{core} {noun}", f"{core} {noun}"]
    imitations += [
        f"{core} {picks.choice(words.NUMBERS[:8])}",
        f"{core} OF {picks.choice(words.REGIONS[:10])}",
    ]
    if others:
        imitations += 2 * [" ".join([first, *others[:-1], noun]), " ".join([brand, *others])]
    return picks.choice(imitations).replace("_", " ")
