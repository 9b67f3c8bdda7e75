"""Places: states, cities, ZIP codes and street addresses, and how each side writes them.

States, their shares and the first three digits of ZIP codes are real, so that a state, a city and a ZIP
agree with each other; the larger cities are real too, the thousands of small towns are invented, and so is
every street and number. A place is a number; what it is called and which ZIP codes it has follow from that.

`Gazetteer` draws places and gives their parts. `write_streets` writes a street address as a company would
on its proposal (`123 North Main Street, Suite 200`) or as a register does (`123 N MAIN ST STE 200`): the
same place, two strings.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic import words
from sbir_toolkit.sources.synthetic.columns import join, keep, write_numbers
from sbir_toolkit.sources.synthetic.draws import Choice, Draws, Flags, Integers, zipf_weights

# Code, name, first and last three-digit ZIP, share of recipients and of SBIR awards (per thousand), cities
# with their three-digit ZIP; a line that begins with a blank goes on with the cities.
_STATES = """
AL|Alabama|350|369|15|18|Huntsville 358,Birmingham 352,Mobile 366,Montgomery 361,Auburn 368
AK|Alaska|995|999|6|1|Anchorage 995,Fairbanks 997,Juneau 998
AZ|Arizona|850|865|20|20|Tucson 857,Phoenix 850,Tempe 852,Scottsdale 852,Flagstaff 860
AR|Arkansas|716|729|9|3|Fayetteville 727,Little Rock 722,Jonesboro 724
CA|California|900|961|95|223|San Diego 921,Los Angeles 900,San Jose 951,Palo Alto 943,Irvine 926,
 Berkeley 947,Sunnyvale 940,Santa Barbara 931,Torrance 905,San Francisco 941,Mountain View 940,
 Pasadena 911,Sacramento 958,Fremont 945,Santa Clara 950,Long Beach 908,Oakland 946,Goleta 931,
 Chatsworth 913,La Jolla 920,Fresno 937,Menlo Park 940,Carlsbad 920,Santa Monica 904,Hayward 945
CO|Colorado|800|816|22|40|Boulder 803,Denver 802,Golden 804,Fort Collins 805,Colorado Springs 809,
 Longmont 805,Littleton 801,Louisville 800
CT|Connecticut|060|069|10|17|New Haven 065,Danbury 068,Hartford 061,Storrs 062,Stamford 069,
 Farmington 060
DE|Delaware|197|199|4|4|Newark 197,Wilmington 198,Dover 199
DC|District of Columbia|200|205|14|5|Washington 200
FL|Florida|320|349|55|24|Orlando 328,Gainesville 326,Melbourne 329,Miami 331,Tampa 336,
 Jacksonville 322,Alachua 326,Fort Lauderdale 333,Pensacola 325
GA|Georgia|300|319|30|13|Atlanta 303,Norcross 300,Athens 306,Savannah 314,Augusta 309,Marietta 300
HI|Hawaii|967|968|5|4|Honolulu 968,Hilo 967,Kailua 967
ID|Idaho|832|838|7|2|Boise 837,Moscow 838,Idaho Falls 834
IL|Illinois|600|629|40|18|Chicago 606,Champaign 618,Evanston 602,Naperville 605,Springfield 627,
 Peoria 616,Skokie 600
IN|Indiana|460|479|15|9|Indianapolis 462,West Lafayette 479,Bloomington 474,South Bend 466,
 Fort Wayne 468
IA|Iowa|500|528|10|4|Ames 500,Des Moines 503,Iowa City 522,Cedar Rapids 524
KS|Kansas|660|679|9|4|Lawrence 660,Wichita 672,Overland Park 662,Manhattan 665
KY|Kentucky|400|427|11|6|Lexington 405,Louisville 402,Bowling Green 421
LA|Louisiana|700|714|14|5|New Orleans 701,Baton Rouge 708,Lafayette 705,Shreveport 711
ME|Maine|039|049|5|4|Portland 041,Orono 044,Bangor 044
MD|Maryland|206|219|35|51|Rockville 208,Columbia 210,Baltimore 212,Gaithersburg 208,Annapolis 214,
 Silver Spring 209,Bethesda 208,Beltsville 207,Frederick 217,Greenbelt 207
MA|Massachusetts|010|027|22|138|Cambridge 021,Woburn 018,Waltham 024,Boston 021,Burlington 018,
 Billerica 018,Andover 018,Newton 024,Bedford 017,Lexington 024,Watertown 024,Worcester 016,
 Natick 017,Wilmington 018,Acton 017,Medford 021,Amherst 010,Framingham 017
MI|Michigan|480|499|25|18|Ann Arbor 481,Detroit 482,Lansing 489,Grand Rapids 495,Kalamazoo 490,
 Houghton 499,Troy 480
MN|Minnesota|550|567|17|13|Minneapolis 554,Saint Paul 551,Rochester 559,Duluth 558,Eden Prairie 553
MS|Mississippi|386|397|9|3|Starkville 397,Jackson 392,Gulfport 395
MO|Missouri|630|658|18|9|Saint Louis 631,Columbia 652,Kansas City 641,Rolla 654,Springfield 658
MT|Montana|590|599|8|5|Bozeman 597,Billings 591,Missoula 598,Helena 596,Great Falls 594
NE|Nebraska|680|693|7|3|Lincoln 685,Omaha 681,Grand Island 688
NV|Nevada|889|898|9|4|Reno 895,Las Vegas 891,Henderson 890
NH|New Hampshire|030|038|5|14|Hanover 037,Nashua 030,Manchester 031,Salem 030,Lebanon 037
NJ|New Jersey|070|089|24|26|Princeton 085,Newark 071,Monmouth Junction 088,Trenton 086,Edison 088,
 Mount Laurel 080
NM|New Mexico|870|884|11|22|Albuquerque 871,Santa Fe 875,Los Alamos 875,Las Cruces 880
NY|New York|100|149|55|43|New York 100,Rochester 146,Ithaca 148,Buffalo 142,Brooklyn 112,
 Stony Brook 117,Albany 122,Troy 121,Syracuse 132,Farmingdale 117,Schenectady 123
NC|North Carolina|270|289|26|18|Durham 277,Raleigh 276,Chapel Hill 275,Charlotte 282,
 Winston Salem 271,Greensboro 274
ND|North Dakota|580|588|5|2|Fargo 581,Grand Forks 582,Bismarck 585
OH|Ohio|430|459|28|35|Dayton 454,Columbus 432,Cleveland 441,Cincinnati 452,Beavercreek 454,
 Akron 443,Toledo 436,Fairborn 453
OK|Oklahoma|730|749|14|4|Norman 730,Oklahoma City 731,Tulsa 741,Stillwater 740
OR|Oregon|970|979|13|13|Portland 972,Corvallis 973,Eugene 974,Beaverton 970,Bend 977
PA|Pennsylvania|150|196|32|38|Pittsburgh 152,Philadelphia 191,State College 168,Malvern 193,
 Bethlehem 180,King Of Prussia 194,Lancaster 176,Erie 165
RI|Rhode Island|028|029|4|6|Providence 029,Newport 028,Middletown 028,Warwick 028
SC|South Carolina|290|299|14|5|Charleston 294,Columbia 292,Greenville 296,Clemson 296
SD|South Dakota|570|577|6|2|Sioux Falls 571,Rapid City 577,Brookings 570
TN|Tennessee|370|385|17|9|Oak Ridge 378,Knoxville 379,Nashville 372,Memphis 381,Tullahoma 373
TX|Texas|750|799|80|37|Austin 787,Houston 770,College Station 778,San Antonio 782,Dallas 752,
 Plano 750,Fort Worth 761,El Paso 799,Lubbock 794,Richardson 750
UT|Utah|840|847|9|12|Salt Lake City 841,Logan 843,Provo 846,Park City 840
VT|Vermont|050|059|4|5|Burlington 054,Essex Junction 054,White River Junction 050
VA|Virginia|220|246|48|61|Arlington 222,Blacksburg 240,Charlottesville 229,Fairfax 220,Reston 201,
 Alexandria 223,Chantilly 201,Richmond 232,Newport News 236,Herndon 201,Roanoke 240,
 Virginia Beach 234,Vienna 221
WA|Washington|980|994|22|23|Seattle 981,Bothell 980,Redmond 980,Spokane 992,Bellevue 980,
 Richland 993,Pullman 991
WV|West Virginia|247|268|6|4|Morgantown 265,Charleston 253,Fairmont 265
WI|Wisconsin|530|549|15|11|Madison 537,Milwaukee 532,Middleton 535,Green Bay 543
WY|Wyoming|820|831|5|4|Laramie 820,Cheyenne 820,Casper 826
PR|Puerto Rico|006|009|9|1|San Juan 009,Mayaguez 006,Ponce 007
GU|Guam|969|969|2|0|Hagatna 969,Tamuning 969
VI|Virgin Islands|008|008|1|0|Charlotte Amalie 008
"""
_TOWNS_PER_SHARE = 8

_TYPES = {
    "ST": "Street", "RD": "Road", "AVE": "Avenue", "DR": "Drive", "BLVD": "Boulevard", "LN": "Lane",
    "WAY": "Way", "CT": "Court", "PKWY": "Parkway", "PL": "Place", "CIR": "Circle", "HWY": "Highway",
    "SQ": "Square", "TER": "Terrace", "TRL": "Trail",
}  # fmt: skip
_SIDES = {"N": "North", "S": "South", "E": "East", "W": "West", "NW": "NW", "SE": "SE"}
_UNITS = {"STE": "Suite", "UNIT": "Unit", "BLDG": "Building", "FL": "Floor", "RM": "Room"}
_STREET_CHOICE = Choice(zipf_weights(len(words.STREETS), 0.7, 5))
_TYPE_CHOICE = Choice(zipf_weights(len(_TYPES), 0.9, 1))
FOREIGN_CITIES = {
    "CAN": "TORONTO,VANCOUVER,MONTREAL,OTTAWA", "GBR": "LONDON,MANCHESTER,CAMBRIDGE,BRISTOL",
    "DEU": "MUNCHEN,BERLIN,STUTTGART", "JPN": "TOKYO,YOKOHAMA", "KOR": "SEOUL,PYEONGTAEK",
    "ITA": "VICENZA,NAPOLI", "FRA": "PARIS,LYON", "MEX": "MEXICO,TIJUANA", "IND": "NEW DELHI,BANGALORE",
    "AUS": "SYDNEY,CANBERRA", "KEN": "NAIROBI", "COL": "BOGOTA", "AFG": "KABUL", "UKR": "KYIV",
    "ZAF": "PRETORIA", "PHL": "MANILA", "ISR": "TEL AVIV", "NLD": "DELFT", "BEL": "BRUXELLES",
    "PAK": "ISLAMABAD",
}  # fmt: skip


class Gazetteer:
    """All American places there are in this made-up world, each with a number.

    Parameters
    ----------
    draws
        The draws of the seed.

    Attributes
    ----------
    names : list of str
        What each place is called, upper case.
    state_codes, state_names : pyarrow.StringArray, shape (states,)
        Two-letter codes and full names.
    """

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        rows = [line.split("|") for line in _STATES.replace(",\n ", ",").split("\n") if line]
        self.state_codes = pa.array([row[0] for row in rows])
        self.state_names = pa.array([row[1] for row in rows])
        self.names: list[str] = []
        states, prefixes, zips, shares = [], [], [], []
        self._in_state: list[tuple[int, int]] = []
        for state, (_, _, low, high, recipients, _, cities) in enumerate(rows):
            start = len(self.names)
            towns = _town_names(draws, state, int(recipients) * _TOWNS_PER_SHARE)
            for rank, city in enumerate(cities.split(",")):
                name, prefix = city.rsplit(" ", 1)
                self.names.append(name.upper())
                prefixes.append(int(prefix))
                zips.append(max(2, 24 // (rank + 1)))
            span = int(high) - int(low) + 1
            prefixes += (
                int(low) + draws.below("town zip", np.arange(len(towns)) + state * 10_000, span)
            ).tolist()
            zips += [1 + number % 2 for number in range(len(towns))]
            self.names += towns
            count = len(self.names) - start
            states += [state] * count
            shares.append(zipf_weights(count, 1.0, 1.5))
            self._in_state.append((start, len(self.names)))
        self._state = np.array(states)
        self._prefix = np.array(prefixes)
        self._zips = np.array(zips)
        self._local = [Choice(weights, resolution=14) for weights in shares]
        self._everywhere = {side: Choice([float(row[4 + side]) for row in rows]) for side in (0, 1)}

    def draw(self, purpose: str, keys: Integers, *, is_tech: bool) -> Integers:
        """Draw a place for each key, by each state's share of recipients or (`is_tech`) of SBIR awards."""
        states = self._draws.choose(f"{purpose}: state", keys, self._everywhere[int(is_tech)])
        return self.draw_within(purpose, keys, states)

    def draw_within(self, purpose: str, keys: Integers, states: Integers) -> Integers:
        """Draw a place in a given state for each key; the larger cities come more often."""
        bits = self._draws.bits(f"{purpose}: city", keys)
        places = np.zeros(len(keys), dtype=np.int64)
        for state, (start, _) in enumerate(self._in_state):
            mine = states == state
            if mine.any():
                places[mine] = start + self._local[state].take(bits[mine])
        return places

    def state_of(self, places: Integers) -> Integers:
        """Say in which state (a row of `state_codes`) each place lies."""
        return self._state[places]

    def cities(self, places: Integers) -> pa.StringArray:
        """Name the places, upper case."""
        return pa.array(self.names).take(pa.array(places))

    def zip5(self, places: Integers, addresses: Integers) -> pa.StringArray:
        """Give each address one of the ZIP codes of its place."""
        first = self._draws.below("zip", places, 100)
        which = (self._draws.uniform("zip of address", addresses) ** 2 * self._zips[places]).astype(np.int64)
        number = self._prefix[places] * 100 + (first + which) % 100
        return write_numbers(number, 5)


def write_streets(addresses: Integers, draws: Draws, *, is_long: Flags) -> pa.StringArray:
    """Write street addresses.

    Parameters
    ----------
    addresses : array of int64, shape (n,)
        Numbers of addresses: one number is one house.
    draws
        The draws of the seed.
    is_long : array of bool, shape (n,)
        Where to write words out (`North`, `Street`, `Suite`, mixed case); else abbreviated, in capitals.

    Returns
    -------
    pyarrow.StringArray
        One line per address.
    """
    number = (10 ** (1 + 3 * draws.uniform("house number", addresses))).astype(np.int64)
    side = draws.below("street side", addresses, len(_SIDES) * 3)
    unit = draws.below("unit", addresses, len(_UNITS))
    unit_number = (10 ** (1 + 2 * draws.uniform("unit number", addresses))).astype(np.int64)
    street = draws.choose("street", addresses, _STREET_CHOICE)
    kind = draws.choose("street type", addresses, _TYPE_CHOICE)
    has_unit = draws.chance("has unit", addresses, 0.34)
    is_box = draws.chance("is box", addresses, 0.05)

    def write(*, is_long: bool) -> pa.StringArray:
        streets = [name.replace("_", " ") for name in words.STREETS]
        if is_long:
            streets = [" ".join(word.capitalize() for word in name.split()) for name in streets]
        sides = _words(_SIDES, is_long=is_long).take(pa.array(side % len(_SIDES), mask=side >= len(_SIDES)))
        units = pc.binary_join_element_wise(
            _words(_UNITS, is_long=is_long).take(pa.array(unit)), write_numbers(unit_number), " "
        )
        road = pc.binary_join_element_wise(
            write_numbers(number),
            sides,
            pa.array(streets).take(pa.array(street)),
            _words(_TYPES, is_long=is_long).take(pa.array(kind)),
            " ",
            null_handling="skip",
        )
        line = pc.binary_join_element_wise(
            road, keep(has_unit, units), ", " if is_long else " ", null_handling="skip"
        )
        boxes = join("P.O. Box " if is_long else "PO BOX ", write_numbers(number))
        return pc.if_else(pa.array(is_box), boxes, line)

    return pc.if_else(pa.array(is_long), write(is_long=True), write(is_long=False))


def _words(table: dict[str, str], *, is_long: bool) -> pa.StringArray:
    return pa.array(list(table.values() if is_long else table))


def _town_names(draws: Draws, state: int, count: int) -> list[str]:
    keys = np.arange(count) + state * 10_000
    stems = draws.below("town stem", keys, len(words.TOWN_STEMS))
    endings = draws.below("town ending", keys, len(words.TOWN_ENDINGS))
    names = [
        words.TOWN_STEMS[s] + words.TOWN_ENDINGS[e].replace("_", " ")
        for s, e in zip(stems, endings, strict=True)
    ]
    return list(dict.fromkeys(names))
