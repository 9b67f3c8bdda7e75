"""Who there is: companies that win awards, the recipients some of them are, and which award is whose.

Entities are numbered. Those below `recipients` stand in the recipient file, in the order: the counterparts
of award companies, look-alikes made on purpose, child firms, namesakes elsewhere, and everybody else. Award
companies without a counterpart, and the second registrations of those that have two, get numbers above.
Everything else about an entity follows from its number.

What is measured on real awards and set here: how many awards a company has (44 % have one, the top 1 % of
firms have a quarter of all), that firms move (of those with two or more awards 8 % are met in two states,
25 % in two cities, 62 % under two addresses), and in which years awards were made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sbir_toolkit.sources.synthetic.draws import Choice, Draws, Flags, Floats, Integers
from sbir_toolkit.sources.synthetic.names import FOREIGN, PERSON, PUBLIC, TECH, TRADE
from sbir_toolkit.sources.synthetic.places import Gazetteer

FIRST_YEAR, LAST_YEAR = 1983, 2025
_COUNTERPART_SHARE = 0.8

# Awards per year, in hundreds, from 1983 on; the last year is only partly reported.
_AWARDS_BY_YEAR = (
    8, 13, 18, 22, 28, 27, 28, 32, 34, 34, 38, 41, 43, 40, 47, 44, 46, 52, 49, 58, 65, 64, 62, 59, 57, 56, 59,
    63, 56, 55, 49, 52, 52, 54, 55, 62, 68, 71, 68, 69, 66, 60, 25,
)  # fmt: skip
# Share of companies with at least so many awards; beyond 20 the share falls with the power 1.45 of the count.
_AT_LEAST = {1: 1.0, 2: 0.56, 3: 0.358, 6: 0.172, 21: 0.039, 1_500: 0.0000802}
# The largest firm has one award in a hundred.
_MOST_SHARE, _LEAST_MOST = 0.01, 20
_LOOKALIKE_SHARE = 0.06
_CHILD_SHARE = 0.03
_NAMESAKE_SHARE = 0.004
_PARENTS_WITH_AWARDS = 0.03
_MOVES = 6
_SAME_CITY, _SAME_STATE, _ANYWHERE = range(3)
_MOVE_KINDS = Choice([0.56, 0.33, 0.11])


@dataclass(frozen=True)
class Companies:
    """The award companies; each array has one element per company.

    Parameters
    ----------
    entity
        The company's number: below `Layout.counterparts` when it has a counterpart among the recipients.
    awards
        How many awards it has.
    center, spread
        Around where its awards lie among all awards in order of time (0..1), and how widely.
    moves
        When it moved (0..1, like `center`), shape (companies, `_MOVES`); 2 where it didn't.
    places
        Where it was before the first move, after the first and so on, shape (companies, `_MOVES` + 2).
    final_station
        Which of its places the register has, whether or not an award says so.
    """

    entity: Integers
    awards: Integers
    center: Floats
    spread: Floats
    moves: Floats
    places: Integers
    final_station: Integers

    def times(self, owner: Integers, chance: Floats) -> Floats:
        """Turn draws (0..1) of the companies `owner` into moments among all awards (0..1)."""
        return _place_in_time(self.center[owner], self.spread[owner], chance)


@dataclass(frozen=True)
class Layout:
    """Where each kind of recipient begins among the numbers of entities."""

    counterparts: int
    lookalikes: int
    children: int
    namesakes: int
    others: int
    recipients: int
    companies: int

    @property
    def first_other(self) -> int:
        """The first entity that isn't derived from another one."""
        return self.recipients - self.others


@dataclass(frozen=True)
class Population:
    """Everybody, and whose award each award is.

    Parameters
    ----------
    draws
        The draws of the seed.
    gazetteer
        The places.
    layout
        Which numbers are what.
    companies
        The award companies.
    award_company : array of int64, shape (awards,)
        Whose each award is; a company's awards stand together, in order of time.
    award_time : array of float64, shape (awards,)
        When each award was made, as a position among all awards in order of time, 0..1.
    """

    draws: Draws
    gazetteer: Gazetteer
    layout: Layout
    companies: Companies
    award_company: Integers
    award_time: Floats

    def style(self, entities: Integers) -> Integers:
        """Say what kind of name each entity has."""
        layout = self.layout
        kind = self.draws.choose("style", entities, _STYLES)
        is_company = (entities < layout.counterparts) | (entities >= layout.recipients)
        return np.where(is_company, TECH, kind)

    def sources(self, entities: Integers) -> Integers:
        """Say whose name each entity's name is derived from; its own number when from nobody's."""
        layout, draws = self.layout, self.draws
        place = entities - layout.counterparts
        is_lookalike = (place >= 0) & (place < layout.lookalikes)
        place = place - layout.lookalikes
        is_child = (place >= 0) & (place < layout.children)
        place = place - layout.children
        is_namesake = (place >= 0) & (place < layout.namesakes)
        found = entities.copy()
        if layout.companies:
            which = draws.below("company imitated", entities[is_lookalike], layout.companies)
            found[is_lookalike] = self.companies.entity[which]
        derived = is_child | is_namesake
        keys = entities[derived]
        other = layout.first_other + draws.below("other source", keys, max(layout.others, 1))
        own = draws.below("award source", keys, max(layout.counterparts, 1))
        of_company = draws.chance("source has awards", keys, _PARENTS_WITH_AWARDS) & (layout.counterparts > 0)
        found[derived] = np.where(of_company, own, other)
        return found

    def is_lookalike(self, entities: Integers) -> Flags:
        """Say which entities were made to look like an award company."""
        place = entities - self.layout.counterparts
        return (place >= 0) & (place < self.layout.lookalikes)

    def is_child(self, entities: Integers) -> Flags:
        """Say which entities have another one as their parent (the one that `sources` names)."""
        place = entities - self.layout.counterparts - self.layout.lookalikes
        return (place >= 0) & (place < self.layout.children)

    def years(self, position: Floats) -> Integers:
        """Turn positions among all awards in order of time (0..1) into years."""
        years: Integers = FIRST_YEAR + np.searchsorted(_YEAR_ENDS, position, side="right")
        return years


_YEAR_ENDS = np.cumsum(_AWARDS_BY_YEAR)[:-1] / sum(_AWARDS_BY_YEAR)
_STYLE_WEIGHTS = {TECH: 0.08, TRADE: 0.70, PUBLIC: 0.16, PERSON: 0.02, FOREIGN: 0.04}
_STYLES = Choice([_STYLE_WEIGHTS[style] for style in sorted(_STYLE_WEIGHTS)])


def plan_population(awards: int, recipients: int, seed: int) -> Population:
    """Decide who there is.

    Parameters
    ----------
    awards, recipients
        How many award records and recipients to plan for; 0 or more.
    seed
        Of all draws.

    Returns
    -------
    Population
        Small beside the files: a few numbers per award and company, none per recipient.
    """
    draws = Draws(seed)
    gazetteer = Gazetteer(draws)
    counts = _count_awards(awards, draws)
    layout = _lay_out(len(counts), recipients)
    companies = _settle(counts, layout, draws, gazetteer)
    owner = np.repeat(np.arange(len(counts)), counts)
    time = companies.times(owner, draws.uniform("award time", np.arange(awards)))
    order = np.lexsort((time, owner))
    return Population(draws, gazetteer, layout, companies, owner, time[order])


def _count_awards(awards: int, draws: Draws) -> Integers:
    """Draw how many awards each company has, until all awards have one."""
    if awards == 0:
        return np.zeros(0, dtype=np.int64)
    chance = 1 - draws.uniform("awards of company", np.arange(awards))
    shares = np.log(np.array(list(_AT_LEAST.values())))
    sizes = np.exp(np.interp(-np.log(chance), -shares, np.log(np.array(list(_AT_LEAST)))))
    counts: Integers = np.minimum(sizes.astype(np.int64), max(_LEAST_MOST, int(awards * _MOST_SHARE)))
    total: Integers = np.cumsum(counts)
    last = int(np.searchsorted(total, awards))
    counts[last] -= total[last] - awards
    return counts[: last + 1]


def _lay_out(companies: int, recipients: int) -> Layout:
    counterparts = min(round(companies * _COUNTERPART_SHARE), recipients)
    left = recipients - counterparts
    lookalikes = min(round(companies * _LOOKALIKE_SHARE), left // 4)
    children = min(round(recipients * _CHILD_SHARE), left // 4)
    namesakes = min(round(recipients * _NAMESAKE_SHARE), left // 4)
    others = left - lookalikes - children - namesakes
    return Layout(counterparts, lookalikes, children, namesakes, others, recipients, companies)


def _settle(counts: Integers, layout: Layout, draws: Draws, gazetteer: Gazetteer) -> Companies:
    """Give each company its number, its time and its places."""
    keys = np.arange(len(counts))
    # A firm with many awards has them over many years, one with few within some years.
    spread = np.minimum(0.95, 0.02 + 0.09 * np.sqrt(counts))
    center = draws.uniform("company time", keys)
    # A firm whose awards are old is less often still among today's recipients.
    standing = draws.uniform("company standing", keys) + 0.5 * center
    rank = np.empty(len(keys), dtype=np.int64)
    rank[np.argsort(-standing, kind="stable")] = keys
    without = layout.recipients + rank - layout.counterparts
    entity = np.where(rank < layout.counterparts, rank, without)

    steps = keys[:, None] * 8 + np.arange(_MOVES)
    gaps = -np.log1p(-draws.uniform("moves", steps))
    has_moved = np.cumsum(gaps, axis=1) < 0.62 * (counts[:, None] - 1) ** 0.45
    stations = has_moved.sum(axis=1)
    # The register may have a later address than the last award.
    is_later = draws.chance("moved since", keys, 0.08)
    places = np.empty((len(keys), _MOVES + 2), dtype=np.int64)
    places[:, 0] = gazetteer.draw("home", entity, is_tech=True)
    for station in range(1, _MOVES + 2):
        before = places[:, station - 1]
        step = entity * 8 + station
        kind = draws.choose("kind of move", step, _MOVE_KINDS)
        near = gazetteer.draw_within("near move", step, gazetteer.state_of(before))
        far = gazetteer.draw("far move", step, is_tech=True)
        places[:, station] = np.select([kind == _SAME_CITY, kind == _SAME_STATE], [before, near], far)
    moments = _place_in_time(center[:, None], spread[:, None], draws.uniform("moments", steps))
    moves = np.where(has_moved, moments, 2.0)
    return Companies(entity, counts, center, spread, moves, places, stations + is_later)


def _place_in_time(center: Floats, spread: Floats, chance: Floats) -> Floats:
    """Spread draws around a center; what falls off an end of time is folded back, so no year gets less."""
    moment = np.abs(center + spread * (chance - 0.5))
    return np.where(moment > 1, 2 - moment, moment)
