"""The award file: one row per award, in the official layout of 42 columns, with its quirks.

What a matcher sees of an award is the company's name as spelled then, where it was then, and the
identifiers that were asked for then: no DUNS before 2000, both from 2015 on, hardly a DUNS after 2022. What
the right answer is doesn't show; it goes to the truth file, row by row. Persons are placeholders; web and
mail addresses end in `.example`, and telephone numbers are from the range kept for fiction.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.columns import join, keep, write_numbers
from sbir_toolkit.sources.synthetic.draws import Choice, Flags, Integers
from sbir_toolkit.sources.synthetic.identifiers import make_duns, make_uei
from sbir_toolkit.sources.synthetic.paperwork import Awards, Paperwork
from sbir_toolkit.sources.synthetic.places import write_streets
from sbir_toolkit.sources.synthetic.population import LAST_YEAR, Population
from sbir_toolkit.sources.synthetic.prose import Prose
from sbir_toolkit.sources.synthetic.recipients import STATIONS, RecipientRows
from sbir_toolkit.sources.synthetic.register import Spellings

COLUMNS = (
    "Company", "Award Title", "Agency", "Branch", "Phase", "Program", "Agency Tracking Number", "Contract",
    "Proposal Award Date", "Contract End Date", "Solicitation Number", "Solicitation Year",
    "Solicitation Close Date", "Proposal Receipt Date", "Date of Notification", "Topic Code", "Award Year",
    "Award Amount", "UEI", "Duns", "HUBZone Owned", "Socially and Economically Disadvantaged",
    "Woman Owned", "Number Employees", "Company Website", "Address1", "Address2", "City", "State", "Zip",
    "Abstract", "Contact Name", "Contact Title", "Contact Phone", "Contact Email", "PI Name", "PI Title",
    "PI Phone", "PI Email", "RI Name", "RI POC Name", "RI POC Phone",
)  # fmt: skip
TRUTH_COLUMNS = (
    "source_row",
    "recipient_hash",
    "noise",
    "is_rejected",
    "has_counterpart",
    "has_uei",
    "has_duns",
)

DUPLICATES = 3
_REJECTED_SHARE = 1 / 2_000
_BLANK_COMPANIES = ("", "   ")
_BAD_YEARS = ("19X7", "", "20l8", "unknown")
BLANK_COMPANY, BAD_YEAR = "blank_company", "unreadable_year"

_FIRST_UEI_YEAR = 2015
_UEI_SHARE = 0.97
# Share of awards with a DUNS, by year; straight lines between.
_DUNS_YEARS = (1983, 1999, 2000, 2002, 2015, 2018, 2021, 2022, 2023, 2025)
_DUNS_SHARES = (0.01, 0.01, 0.45, 0.42, 0.95, 0.995, 0.995, 0.55, 0.08, 0.02)
# Companies that registered anew, under another identifier, and companies with a stranger's DUNS by mistake.
_REGISTERED_ANEW_SHARE = 0.02
_WRONG_DUNS_SHARE = 0.002
_AS_IS, _QUOTED, _HYPHENS, _FLOAT, _SHORT, _ZEROS, _NOT_GIVEN = range(7)
_DUNS_SHAPES = Choice([0.935, 0.020, 0.010, 0.008, 0.02, 0.002, 0.005])
_SECOND_PHASE_SHARE = 0.5


class AwardRows:
    """Makes rows of the award file and of the truth file.

    Parameters
    ----------
    population
        Who there is.
    spellings
        How the companies write their names.
    recipients
        The rows of the other file, for the truth.
    """

    def __init__(self, population: Population, spellings: Spellings, recipients: RecipientRows) -> None:
        self._population = population
        self._draws = population.draws
        self._spellings = spellings
        self._paperwork, self._prose = Paperwork(population.draws), Prose(population.draws)
        self._plan_projects()
        self._plan_order()
        counterparts = np.arange(population.layout.counterparts)
        self._hashes = recipients.hashes(counterparts)

    def make(self, start: int, stop: int) -> tuple[pa.Table, pa.Table]:
        """Make the rows from `start` up to, not including, `stop`: by `COLUMNS`, and by `TRUTH_COLUMNS`."""
        companies = self._population.companies
        number = self._order[start:stop]
        owner = self._population.award_company[number]
        project = self._project[number]
        awards = Awards(
            number,
            project,
            companies.entity[owner],
            self._year[number],
            self._year[project],
            project != number,
        )
        uei, duns, has_duns = self._identifiers(awards)
        rejection = self._rejection[start:stop]
        columns = {
            **self._paperwork.fill(awards),
            **self._places(awards, owner),
            **self._ownership(awards),
            **self._persons(awards),
            "Company": self._names(number),
            "Award Title": self._prose.titles(project),
            "UEI": uei,
            "Duns": duns,
            "Abstract": self._prose.abstracts(number),
        }
        self._spoil(columns, rejection, np.arange(start, stop))
        table = pa.table({name: pc.cast(columns[name], pa.string()) for name in COLUMNS})
        return table, self._truth(
            start, awards, rejection, pc.is_valid(uei).to_numpy(zero_copy_only=False), has_duns
        )

    def entities(self, start: int, stop: int) -> Integers:
        """Give the entity of the register that each row's company is; -1 where it is none."""
        entity = self._population.companies.entity[self._population.award_company[self._order[start:stop]]]
        return np.where(entity < self._population.layout.counterparts, entity, -1)

    def _plan_projects(self) -> None:
        """Pair Phase II awards with the award before, and give each award its year."""
        population, draws = self._population, self._draws
        owner = population.award_company
        number = np.arange(len(owner))
        self._year = population.years(population.award_time)
        follows = draws.chance("follows", number, _SECOND_PHASE_SHARE)
        before = np.roll(follows, 1)
        is_second = follows & ~before & (np.roll(owner, 1) == owner) & (number > 0)
        self._project = np.where(is_second, number - 1, number)
        later = np.minimum(self._year[self._project] + 1 + number % 2, LAST_YEAR)
        self._year = np.where(is_second, np.maximum(self._year, later), self._year)

    def _plan_order(self) -> None:
        """Put the awards in the file's order; choose rows that repeat another, and unreadable ones."""
        rows = len(self._project)
        self._order = self._draws.shuffle("award order", rows)
        special = self._draws.shuffle("special rows", rows)
        rejected = min(rows // 4, max(2, round(rows * _REJECTED_SHARE)))
        copies = min(DUPLICATES, rows // 8)
        self._rejection = np.zeros(rows, dtype=np.int64)
        self._rejection[special[:rejected]] = 1 + np.arange(rejected) % 2
        targets = special[rejected : rejected + copies]
        self._order[targets] = self._order[special[rejected + copies : rejected + 2 * copies]]

    def _names(self, number: Integers) -> pa.StringArray:
        draws = self._draws
        names = self._spellings.texts.take(pa.array(self._spellings.of_award[number]))
        doubled = pc.replace_substring(names, " ", "  ", max_replacements=1)
        names = pc.if_else(pa.array(draws.chance("double blank", number, 0.002)), doubled, names)
        trailing = pc.binary_join_element_wise(names, " ", "")
        return pc.if_else(pa.array(draws.chance("trailing blank", number, 0.12)), trailing, names)

    def _identifiers(self, awards: Awards) -> tuple[pa.StringArray, pa.StringArray, Flags]:
        draws, layout = self._draws, self._population.layout
        anew = layout.recipients + layout.companies + awards.company
        registered = np.where(
            draws.chance("registered anew", awards.company, _REGISTERED_ANEW_SHARE), anew, awards.company
        )
        has_uei = (awards.year >= _FIRST_UEI_YEAR) & draws.chance("uei filled", awards.number, _UEI_SHARE)
        uei = keep(has_uei, make_uei(registered, draws))
        if layout.recipients:
            stranger = draws.below("stranger", awards.company, layout.recipients)
            is_wrong = draws.chance("wrong duns", awards.company, _WRONG_DUNS_SHARE)
            registered = np.where(is_wrong, stranger, registered)
        share = np.interp(awards.year, _DUNS_YEARS, _DUNS_SHARES)
        has_duns = draws.uniform("duns filled", awards.number) < share
        shape = draws.choose("duns shape", awards.number, _DUNS_SHAPES)
        duns = _shape_duns(make_duns(registered), shape)
        duns = keep(has_duns, duns)
        return uei, duns, has_duns & (shape != _ZEROS) & (shape != _NOT_GIVEN)

    def _places(self, awards: Awards, owner: Integers) -> dict[str, pa.StringArray]:
        draws, gazetteer, companies = self._draws, self._population.gazetteer, self._population.companies
        station = (companies.moves[owner] < self._population.award_time[awards.number][:, None]).sum(axis=1)
        place = companies.places[owner, station]
        address = awards.company * STATIONS + station
        # A company fills in its address the same way nearly every time.
        writer = np.where(
            draws.chance("address typed anew", awards.number, 0.15), awards.number + (1 << 40), address
        )
        streets = write_streets(address, draws, is_long=draws.chance("long on award", writer, 0.7))
        shouts = pa.array(draws.chance("address shouts", writer, 0.25))
        cities = gazetteer.cities(place)
        short = pc.replace_substring(cities, "SAINT ", "ST. ")
        cities = pc.if_else(pa.array(draws.chance("short saint", writer, 0.5)), short, cities)
        zips = gazetteer.zip5(place, address)
        plus = write_numbers(draws.below("zip plus", address, 9_999) + 1, 4)
        odd = draws.uniform("odd zip", writer)
        zips = pc.if_else(pa.array(odd < 0.15), join(zips, "-", plus), zips)
        zips = pc.if_else(pa.array(odd > 0.993), "-", zips)
        return {
            "Address1": pc.if_else(shouts, pc.utf8_upper(streets), streets),
            "Address2": keep(
                draws.chance("second line", awards.number, 0.02), join("Attn: Contracts ", plus)
            ),
            "City": pc.if_else(shouts, cities, pc.utf8_title(cities)),
            "State": gazetteer.state_names.take(pa.array(gazetteer.state_of(place))),
            "Zip": zips,
        }

    def _ownership(self, awards: Awards) -> dict[str, pa.StringArray]:
        draws, company, number = self._draws, awards.company, awards.number
        size = 10 ** (0.3 + 1.9 * draws.uniform("employees", company))
        staff = (size * (0.8 + 0.4 * draws.uniform("employees then", number))).astype(np.int64) + 1
        staff_text = keep(~draws.chance("employees blank", number, 0.036), write_numbers(staff))
        as_float = pa.array(draws.chance("employees float", number, 0.05))
        website = join("http://www.firm", write_numbers(company, 7), ".example")
        website = keep(draws.chance("website", number, 0.53), website)
        not_given = pa.array(draws.chance("website not given", number, 0.01))

        def flag(purpose: str, share: float, blank: float) -> pa.StringArray:
            values = pc.if_else(pa.array(draws.chance(purpose, company, share)), "Y", "N")
            return keep(~draws.chance(f"{purpose} blank", number, blank), values)

        return {
            "HUBZone Owned": flag("hubzone", 0.027, 0.001),
            "Socially and Economically Disadvantaged": flag("disadvantaged", 0.07, 0.001),
            "Woman Owned": flag("woman owned", 0.12, 0.03),
            "Number Employees": pc.if_else(as_float, join(staff_text, ".0"), staff_text),
            "Company Website": pc.if_else(not_given, "N/A", website),
        }

    def _persons(self, awards: Awards) -> dict[str, pa.StringArray]:
        draws = self._draws
        contact, leader = write_numbers(awards.company, 7), write_numbers(awards.project, 7)
        digits = write_numbers(draws.below("phone", awards.company, 100), 2)
        phone = pc.if_else(
            pa.array(draws.chance("no phone", awards.number, 0.03)), "() -", join("(555) 555-01", digits)
        )
        has_contact = draws.chance("contact", awards.number, 0.4)
        has_leader = draws.chance("leader", awards.number, 0.8)
        has_liaison = draws.chance("liaison", awards.number, 0.1)
        return {
            "Contact Name": keep(has_contact, join("Contact ", contact)),
            "Contact Title": keep(has_contact, _repeat("Administrator", len(contact))),
            "Contact Phone": keep(has_contact, phone),
            "Contact Email": keep(has_contact, join("contact", contact, "@agency.example")),
            "PI Name": keep(has_leader, join("Investigator ", leader)),
            "PI Title": keep(has_leader, _repeat("Principal Investigator", len(contact))),
            "PI Phone": keep(has_leader, phone),
            "PI Email": keep(has_leader, join("pi", leader, "@firm.example")),
            "RI POC Name": keep(has_liaison, join("Liaison ", leader)),
            "RI POC Phone": keep(has_liaison, phone),
        }

    def _spoil(self, columns: dict[str, pa.StringArray], rejection: Integers, row: Integers) -> None:
        """Make the chosen rows unreadable: by a blank company, or by an award year that isn't one."""
        for code, name, values in ((1, "Company", _BLANK_COMPANIES), (2, "Award Year", _BAD_YEARS)):
            chosen = self._draws.below("spoiled", row, len(values))
            spoiled = pa.array(values, pa.string()).take(pa.array(chosen))
            columns[name] = pc.if_else(pa.array(rejection == code), spoiled, columns[name])

    def _truth(
        self, start: int, awards: Awards, rejection: Integers, has_uei: Flags, has_duns: Flags
    ) -> pa.Table:
        count = self._population.layout.counterparts
        has_counterpart = awards.company < count
        kinds = self._spellings.kinds.take(pa.array(self._spellings.of_award[awards.number]))
        kinds = pc.if_else(pa.array(rejection == 1), BLANK_COMPANY, kinds)
        kinds = pc.if_else(pa.array(rejection == 2), BAD_YEAR, kinds)
        values = [
            write_numbers(np.arange(start + 1, start + 1 + len(rejection))),
            self._hashes.take(pa.array(awards.company, mask=~has_counterpart)),
            kinds,
            *(
                write_numbers(flag.astype(np.int64))
                for flag in (rejection > 0, has_counterpart, has_uei, has_duns)
            ),
        ]
        return pa.table(values, names=list(TRUTH_COLUMNS))


def _shape_duns(duns: pa.StringArray, shape: Integers) -> pa.StringArray:
    """Write DUNS as they are met: in apostrophes, with hyphens, as a float, without zeros, as junk."""
    parts = [pc.utf8_slice_codeunits(duns, start, stop) for start, stop in ((0, 2), (2, 5), (5, 9))]
    short = pc.utf8_ltrim(duns, "0")
    written = {
        _QUOTED: join("'", duns, "'"),
        _HYPHENS: pc.binary_join_element_wise(*parts, "-"),
        _FLOAT: join(short, ".0"),
        _SHORT: short,
        _ZEROS: _repeat("000000000", len(duns)),
        _NOT_GIVEN: _repeat("N/A", len(duns)),
    }
    for code, values in written.items():
        duns = pc.if_else(pa.array(shape == code), values, duns)
    return duns


def _repeat(value: str, count: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(value, pa.string()), count)
