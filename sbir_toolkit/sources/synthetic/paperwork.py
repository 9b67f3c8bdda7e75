"""What an agency writes on an award: agency and branch, numbers, dates, money.

The shares of agencies and branches, the amounts by phase and year, the fill of the dates and the shapes of
tracking and contract numbers follow the public file. Phase I and II of one project share the tracking
number, and at NASA the contract too. Nothing here helps to find a recipient; it has to be read without
harm, oddities included: amounts with commas, dates the American way, numbers that repeat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.columns import join, keep, write_numbers
from sbir_toolkit.sources.synthetic.draws import Choice, Draws, Flags, Floats, Integers
from sbir_toolkit.sources.synthetic.population import LAST_YEAR

Days = npt.NDArray[np.datetime64]

# Full name, share per thousand, prefix of contract numbers, branches with their weights.
_AGENCIES: tuple[tuple[str, int, str, dict[str, float]], ...] = (
    ("Department of Defense", 490, "", {
        "Air Force": 32, "Navy": 27, "Army": 20, "Defense Advanced Research Projects Agency": 6,
        "Missile Defense Agency": 6, "Defense Health Program": 3, "Special Operations Command": 2,
        "Defense Logistics Agency": 1, "Office of the Secretary of Defense": 2,
        "Defense Threat Reduction Agency": 1,
    }),
    ("Department of Health and Human Services", 225, "R4", {
        "National Institutes of Health": 94, "Centers for Disease Control and Prevention": 3,
        "Food and Drug Administration": 1, "": 2,
    }),
    ("National Aeronautics and Space Administration", 84, "80NSSC", {"": 1}),
    ("National Science Foundation", 74, "", {"": 1}),
    ("Department of Energy", 65, "DE-SC00", {"": 95, "ARPA-E": 5}),
    ("Department of Agriculture", 18, "2018-33610-", {"": 1}),
    ("Environmental Protection Agency", 10, "68HERC", {"": 1}),
    ("Department of Education", 9, "91990019C", {"": 70, "Institute of Education Sciences": 30}),
    ("Department of Commerce", 9, "NA", {
        "National Institute of Standards and Technology": 45,
        "National Oceanic and Atmospheric Administration": 45, "": 10,
    }),
    ("Department of Transportation", 7, "DTRT57", {"": 1}),
    ("Department of Homeland Security", 5, "HSHQDC", {"": 1}),
    ("Nuclear Regulatory Commission", 3, "NRC-04-", {"": 1}),
    ("Department of the Interior", 1, "DOI", {"": 1}),
)  # fmt: skip
_DEFENSE, _HEALTH, _SPACE, _SCIENCE, _HOMELAND = 0, 1, 2, 3, 10
_FIRST_HOMELAND_YEAR = 2004
_AGENCY_CHOICE = Choice([row[1] for row in _AGENCIES])
_MAIN_AGENCY_SHARE = 0.72
_ACTIVITIES = (
    "FA8650",
    "N68335",
    "W911QX",
    "HR0011",
    "HQ0147",
    "W81XWH",
    "H92222",
    "SP4701",
    "W31P4Q",
    "HDTRA1",
)
_LETTERS = ("F", "N", "A", "D", "B", "H", "S", "L", "O", "T")
_INSTITUTES = ("GM", "CA", "HL", "AI", "NS", "DK", "MH", "EY", "HD", "DC")

# Typical amounts in US dollars.
_YEARS = (1983, 1992, 1998, 2010, 2015, 2022, 2025)
_FIRST_PHASE = (45_000, 55_000, 80_000, 110_000, 150_000, 200_000, 256_000)
_SECOND_PHASE = (350_000, 450_000, 650_000, 800_000, 1_000_000, 1_400_000, 1_700_000)


@dataclass(frozen=True)
class Awards:
    """What the paperwork of a block of awards follows from; one element per award.

    Parameters
    ----------
    number
        The award's own number.
    project
        The number of the award its project began with.
    company
        The number of the company's entity.
    year, project_year
        When the award and its project's first award were made.
    is_second
        Whether it is the Phase II of a Phase I with the same project number.
    """

    number: Integers
    project: Integers
    company: Integers
    year: Integers
    project_year: Integers
    is_second: Flags


class Paperwork:
    """Fills in the columns of the agency.

    Parameters
    ----------
    draws
        The draws of the seed.
    """

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._agencies = pa.array([row[0] for row in _AGENCIES])
        self._prefixes = pa.array([row[2] for row in _AGENCIES])

    def fill(self, awards: Awards) -> dict[str, pa.StringArray]:
        """Give the agency's columns, by their names in the official file; null where blank."""
        draws = self._draws
        agency = self._agency(awards)
        branch, branches = self._branch(awards, agency)
        is_phase_two = awards.is_second | draws.chance("begins with phase two", awards.project, 0.14)
        is_sttr = (awards.project_year >= 1994) & draws.chance("sttr", awards.project, 0.14)
        columns = {
            "Agency": self._agencies.take(pa.array(agency)),
            "Branch": branches,
            "Phase": pc.if_else(pa.array(is_phase_two), "Phase II", "Phase I"),
            "Program": pc.if_else(pa.array(is_sttr), "STTR", "SBIR"),
            "Agency Tracking Number": self._tracking(awards, agency, branch),
            "Contract": self._contract(awards, agency, branch, is_phase_two),
            "Award Year": write_numbers(awards.year),
            "Award Amount": self._amount(awards, is_phase_two),
            "RI Name": self._institution(awards, is_sttr),
        }
        return {**columns, **self._solicitation(awards, agency, branch), **self._dates(awards, is_phase_two)}

    def _agency(self, awards: Awards) -> Integers:
        draws = self._draws
        main = draws.choose("main agency", awards.company, _AGENCY_CHOICE)
        other = draws.choose("agency", awards.project, _AGENCY_CHOICE)
        agency = np.where(draws.chance("main agency awards", awards.project, _MAIN_AGENCY_SHARE), main, other)
        return np.where(
            (agency == _HOMELAND) & (awards.project_year < _FIRST_HOMELAND_YEAR), _DEFENSE, agency
        )

    def _branch(self, awards: Awards, agency: Integers) -> tuple[Integers, pa.StringArray]:
        branch = np.zeros(len(agency), dtype=np.int64)
        index = np.zeros(len(agency), dtype=np.int64)
        names: list[str | None] = []
        for code, (_, _, _, branches) in enumerate(_AGENCIES):
            mine = agency == code
            branch[mine] = self._draws.choose("branch", awards.project[mine], Choice(list(branches.values())))
            index[mine] = len(names) + branch[mine]
            names += [name or None for name in branches]
        return branch, pa.array(names, pa.string()).take(pa.array(index))

    def _tracking(self, awards: Awards, agency: Integers, branch: Integers) -> pa.StringArray:
        draws, project = self._draws, awards.project
        serial = draws.below("tracking", project, 9_000_000) + 1_000_000
        defense = join(
            pa.array(_LETTERS).take(pa.array(branch * (agency == _DEFENSE))),
            _two_digits(awards.project_year),
            write_numbers(1 + serial % 3),
            "-",
            write_numbers(serial // 3 % 200, 3),
            "-",
            write_numbers(serial // 700 % 9_999, 4),
        )
        health = join("R43", self._institute(project), write_numbers(serial % 1_000_000, 6))
        return _select(agency, {_DEFENSE: defense, _HEALTH: health}, write_numbers(serial))

    def _contract(
        self, awards: Awards, agency: Integers, branch: Integers, is_phase_two: Flags
    ) -> pa.StringArray:
        draws = self._draws
        key = np.where(agency == _SPACE, awards.project, awards.number)
        serial = draws.below("contract", key, 9_000_000) + 1_000_000
        year = _two_digits(np.where(agency == _SPACE, awards.project_year, awards.year))
        defense = join(
            pa.array(_ACTIVITIES).take(pa.array(branch * (agency == _DEFENSE))),
            "-",
            year,
            pc.if_else(pa.array(is_phase_two), "-C-", "-P-"),
            write_numbers(serial % 10_000, 4),
        )
        kind = pc.if_else(pa.array(is_phase_two), "2R44", "1R43")
        health = join(kind, self._institute(awards.project), write_numbers(serial % 1_000_000, 6), "-01")
        space = join("80NSSC", year, "C", write_numbers(serial % 10_000, 4))
        usual = join(self._prefixes.take(pa.array(agency)), write_numbers(serial % 100_000, 5))
        found = _select(
            agency,
            {_DEFENSE: defense, _HEALTH: health, _SPACE: space, _SCIENCE: write_numbers(serial)},
            usual,
        )
        chance = draws.uniform("contract filled", awards.number)
        found = keep(chance >= 0.24, found)
        return pc.if_else(pa.array(chance > 0.9985), "NAS 96-1", found)

    def _institute(self, project: Integers) -> pa.StringArray:
        return pa.array(_INSTITUTES).take(pa.array(self._draws.below("institute", project, len(_INSTITUTES))))

    def _amount(self, awards: Awards, is_phase_two: Flags) -> pa.StringArray:
        draws, number = self._draws, awards.number
        typical = np.where(
            is_phase_two,
            np.interp(awards.year, _YEARS, _SECOND_PHASE),
            np.interp(awards.year, _YEARS, _FIRST_PHASE),
        )
        # Sum of three uniform draws: near enough to a bell, and the same on every machine.
        bell = sum(draws.uniform(f"amount {turn}", number) for turn in range(3)) * 2 - 3
        usd = np.rint(typical * (1 + np.where(is_phase_two, 0.28, 0.17) * bell)).astype(np.int64)
        is_round = draws.chance("amount is round", number, 0.35)
        usd = np.where(is_round, usd // 1_000 * 1_000, usd)
        cents = draws.below("cents", number, 100) * draws.chance("has cents", number, 0.2)
        odd = draws.uniform("odd amount", number)
        usd, cents = np.where(odd < 0.00012, 0, usd), np.where(odd < 0.00012, 0, cents)
        plain = join(write_numbers(usd), ".", write_numbers(cents, 2), "00")
        is_american = odd > 0.995
        signs = np.where(number % 2 == 0, "$", "")[is_american]
        american = [
            f"{sign}{whole:,}.{part:02d}"
            for sign, whole, part in zip(signs, usd[is_american], cents[is_american], strict=True)
        ]
        plain = pc.replace_with_mask(plain, pa.array(is_american), pa.array(american, pa.string()))
        is_blank = (odd > 0.0002) & (odd < 0.0004)
        return keep(~is_blank, plain)

    def _institution(self, awards: Awards, is_sttr: Flags) -> pa.StringArray:
        number = write_numbers(self._draws.below("institution", awards.project, 400))
        named = keep(is_sttr, join("Example University ", number))
        is_stub = self._draws.chance("stub", awards.number, 0.07) & ~is_sttr
        return pc.if_else(pa.array(is_stub), "Stub", named)

    def _solicitation(self, awards: Awards, agency: Integers, branch: Integers) -> dict[str, pa.StringArray]:
        draws, project = self._draws, awards.project
        year = awards.project_year - draws.below("solicited before", project, 2)
        cycle = write_numbers(1 + draws.below("cycle", project, 3))
        filled = draws.uniform("solicitation filled", awards.number)
        letter = pa.array(_LETTERS).take(pa.array(branch * (agency == _DEFENSE)))
        topic = join(
            letter, _two_digits(year), cycle, "-", write_numbers(draws.below("topic", project, 180), 3)
        )
        return {
            "Solicitation Number": keep(filled >= 0.05, join(write_numbers(year), ".", cycle)),
            "Solicitation Year": keep(filled >= 0.04, write_numbers(year)),
            "Topic Code": keep(filled < np.where(agency == _DEFENSE, 0.97, 0.6), topic),
        }

    def _dates(self, awards: Awards, is_phase_two: Flags) -> dict[str, pa.StringArray]:
        draws, number = self._draws, awards.number
        day = _day(awards.year, draws.uniform("award day", number))
        months = np.where(is_phase_two, 24, 6 + 3 * draws.below("months", number, 3))
        filled = draws.uniform("dates filled", number)
        is_dated = filled < np.where(awards.year >= 2010, 0.90, 0.21)
        chance = draws.uniform("other dates filled", number)
        back = draws.below("days before", number, 60)
        dates = {
            "Proposal Award Date": (1.0, day),
            "Contract End Date": (1.0, day + months * 30),
            "Solicitation Close Date": (0.70, day - 240 - back),
            "Proposal Receipt Date": (0.54, day - 245 - back),
            "Date of Notification": (0.74, day - 60 - back),
        }
        return {
            name: keep(is_dated & (chance < share), self._write_date(awards, when))
            for name, (share, when) in dates.items()
        }

    def _write_date(self, awards: Awards, day: Days) -> pa.StringArray:
        dates = pa.array(day.astype("datetime64[D]"))
        is_american = pa.array(self._draws.chance("american dates", awards.number, 0.004))
        return pc.if_else(
            is_american, pc.strftime(dates, format="%m/%d/%Y"), pc.strftime(dates, format="%Y-%m-%d")
        )


def _day(year: Integers, moment: Floats) -> Days:
    # The last year is only partly reported.
    length = np.where(year == LAST_YEAR, 150, 365)
    return (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + (moment * length).astype(np.int64)


def _select(codes: Integers, found: dict[int, pa.StringArray], otherwise: pa.StringArray) -> pa.StringArray:
    for code, values in found.items():
        otherwise = pc.if_else(pa.array(codes == code), values, otherwise)
    return otherwise


def _two_digits(years: Integers) -> pa.StringArray:
    return write_numbers(years % 100, 2)
