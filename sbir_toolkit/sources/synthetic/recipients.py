"""The recipient file: one row per entity of the register, in an order that says nothing.

Filled as USAspending's lookup is: nearly every row has a UEI, six in ten a DUNS (always one of the two),
rows that are known only as somebody's parent have no address, one in eight has other names on record, and
the row's own id is USAspending's hash of its identifiers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.columns import keep
from sbir_toolkit.sources.synthetic.draws import Choice, Integers, zipf_weights
from sbir_toolkit.sources.synthetic.identifiers import make_cage, make_duns, make_recipient_hash, make_uei
from sbir_toolkit.sources.synthetic.names import FOREIGN
from sbir_toolkit.sources.synthetic.places import FOREIGN_CITIES, write_streets
from sbir_toolkit.sources.synthetic.population import Population
from sbir_toolkit.sources.synthetic.register import Register, Spellings

SCHEMA = pa.schema(
    [
        pa.field(name, pa.string())
        for name in (
            "recipient_hash", "legal_business_name", "uei", "duns", "parent_uei",
            "parent_legal_business_name", "address_line_1", "city", "state", "zip5", "country_code", "cage",
            "alternate_names", "source",
        )
    ]
)  # fmt: skip

_UEI_SHARE, _DUNS_SHARE, _CAGE_SHARE = 0.97, 0.6, 0.35
_SOURCES = ("sam", "fpds", "fabs", "sam-parent", "fpds-parent", "fabs-parent")
_FIRST_PARENT_SOURCE = 3
_ORDINARY_SOURCES = Choice([0.40, 0.25, 0.25, 0.04, 0.03, 0.03])
_COMPANY_SOURCES = Choice([0.74, 0.18, 0.04, 0.02, 0.02, 0.0])
_COUNTRIES = [(country, city) for country, cities in FOREIGN_CITIES.items() for city in cities.split(",")]
_COUNTRY_CHOICE = Choice(zipf_weights(len(_COUNTRIES), 0.5, 3))
# Addresses are numbers: eight stations per entity.
STATIONS = 8


class RecipientRows:
    """Makes rows of the recipient file.

    Parameters
    ----------
    population
        Who there is.
    register
        What they are called.
    spellings
        What award companies call themselves; some of it is on record.
    """

    def __init__(self, population: Population, register: Register, spellings: Spellings) -> None:
        self._population = population
        self._draws = population.draws
        self._register = register
        self._former = spellings.former
        layout, companies = population.layout, population.companies
        self._order = population.draws.shuffle("recipient order", layout.recipients)
        first_child = layout.counterparts + layout.lookalikes
        children = first_child + np.arange(layout.children)
        self._is_parent = np.zeros(layout.recipients, dtype=bool)
        self._is_parent[population.sources(children)] = True
        counterparts = companies.entity < layout.counterparts
        self._station = np.zeros(layout.counterparts, dtype=np.int64)
        self._place = np.zeros(layout.counterparts, dtype=np.int64)
        mine, station = companies.entity[counterparts], companies.final_station[counterparts]
        self._station[mine] = station
        self._place[mine] = companies.places[counterparts, station]

    def make(self, start: int, stop: int) -> pa.Table:
        """Make the rows from `start` up to, not including, `stop`, by `SCHEMA`."""
        return self._of(self._order[start:stop])

    def of(self, entities: Integers) -> pa.Table:
        """Make the rows of some entities, by `SCHEMA`; nothing but nulls for -1."""
        known = np.flatnonzero(entities >= 0)
        at = np.full(len(entities), -1)
        at[known] = np.arange(len(known))
        return self._of(entities[known]).take(pa.array(at, mask=at < 0))

    def _of(self, entities: Integers) -> pa.Table:
        names = self._register.legal_names(entities)
        ueis, duns = self.identifiers(entities)
        parent_uei, parent_name = self._parents(entities, names, ueis)
        street, city, state, zip5, country, source = self._addresses(entities)
        cages = keep(self._draws.chance("cage", entities, _CAGE_SHARE), make_cage(entities))
        columns = [
            make_recipient_hash(ueis, duns), names, ueis, duns, parent_uei, parent_name,
            street, city, state, zip5, country, cages, self._alternates(entities, names), source,
        ]  # fmt: skip
        return pa.table([pc.cast(column, pa.string()) for column in columns], schema=SCHEMA)

    def identifiers(self, entities: Integers) -> tuple[pa.StringArray, pa.StringArray]:
        """Give UEIs and DUNS as the register has them, null where it has none."""
        has_uei = self._draws.chance("register has uei", entities, _UEI_SHARE)
        has_duns = self._draws.chance("register has duns", entities, _DUNS_SHARE) | ~has_uei
        return keep(has_uei, make_uei(entities, self._draws)), keep(has_duns, make_duns(entities))

    def hashes(self, entities: Integers) -> pa.StringArray:
        """Give the recipient hashes."""
        return make_recipient_hash(*self.identifiers(entities))

    def _parents(
        self, entities: Integers, names: pa.StringArray, ueis: pa.StringArray
    ) -> tuple[pa.StringArray, pa.StringArray]:
        """Name the parents: another row's for a child, its own for a parent."""
        is_child = self._population.is_child(entities)
        own = self._is_parent[entities]
        parents = self._population.sources(entities[is_child])
        found = []
        for mine, theirs in (
            (ueis, self.identifiers(parents)[0]),
            (names, self._register.legal_names(parents)),
        ):
            column = keep(own, mine)
            found.append(pc.replace_with_mask(column, pa.array(is_child), theirs))
        return found[0], found[1]

    def _addresses(self, entities: Integers) -> tuple[pa.StringArray, ...]:
        draws, gazetteer, layout = self._draws, self._population.gazetteer, self._population.layout
        is_company = entities < layout.counterparts
        companies = entities[is_company]
        station = np.zeros(len(entities), dtype=np.int64)
        place = gazetteer.draw("recipient place", entities, is_tech=False)
        station[is_company], place[is_company] = self._station[companies], self._place[companies]
        address = entities * STATIONS + station
        origin = np.where(
            is_company,
            draws.choose("source", entities, _COMPANY_SOURCES),
            draws.choose("source", entities, _ORDINARY_SOURCES),
        )
        has_address = origin < _FIRST_PARENT_SOURCE
        is_foreign = self._population.style(entities) == FOREIGN
        abroad = draws.choose("country", entities, _COUNTRY_CHOICE)
        countries = pa.array([country for country, _ in _COUNTRIES]).take(pa.array(abroad))
        cities_abroad = pa.array([city for _, city in _COUNTRIES]).take(pa.array(abroad))
        streets = write_streets(address, draws, is_long=draws.chance("long street", entities, 0.12))
        cities = pc.if_else(pa.array(is_foreign), cities_abroad, gazetteer.cities(place))
        states = gazetteer.state_codes.take(pa.array(gazetteer.state_of(place)))
        return (
            keep(has_address, streets),
            keep(has_address, cities),
            keep(has_address & ~is_foreign, states),
            keep(has_address & ~is_foreign, gazetteer.zip5(place, address)),
            keep(has_address, pc.if_else(pa.array(is_foreign), countries, "USA")),
            pa.array(_SOURCES).take(pa.array(origin)),
        )

    def _alternates(self, entities: Integers, names: pa.StringArray) -> pa.StringArray:
        usual = self._register.alternate_names(entities, names)
        count = self._population.layout.counterparts
        former = self._former.take(pa.array(entities, mask=entities >= count))
        return pc.coalesce(former, usual)
