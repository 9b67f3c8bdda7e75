"""Titles and abstracts: sentences on research that nobody did, as long and as broken into lines as real ones.

An abstract is half of the bytes of an award and none of its meaning to a matcher, but a reader has to get
through it: quotes, commas, tabs and line breaks inside one field. A pool of sentences is written once; an
abstract takes some of them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.sources.synthetic.draws import Choice, Draws, Integers, Picks

_POOL = 1_500
_MOST_SENTENCES = 22
# How many abstracts are nothing but a word for "none", as in the real file.
_BLANKS = {
    "N/A": 0.128,
    "NA": 0.004,
    "None": 0.001,
    "null": 0.0005,
    "Not Available": 0.002,
    "REDACTED": 0.0005,
}
_LINE_BREAK_SHARE = 0.15

_STARTS = (
    "Development of", "Design of", "A Novel", "Advanced", "Low-Cost", "High-Performance", "Compact",
    "Portable", "Robust", "Automated", "Real-Time", "Improved", "Rapid", "Scalable", "An Innovative",
    "Demonstration of", "Miniature", "Efficient",
)  # fmt: skip
_MANNERS = (
    "Optical", "Acoustic", "Distributed", "Wireless", "High-Temperature", "Nanostructured", "Biodegradable",
    "Adaptive", "Multispectral", "Low-Power", "Non-Invasive", "Digital", "Cryogenic", "Hybrid", "Modular",
    "Conformal", "Solid-State", "Computational", "Autonomous", "Bioinspired", "Broadband", "Lightweight",
    "Implantable", "Secure", "Thin-Film",
)  # fmt: skip
_THINGS = (
    "Sensor", "Antenna Array", "Coating", "Battery", "Imaging System", "Catalyst", "Assay",
    "Simulation Tool", "Actuator", "Composite Structure", "Vaccine Platform", "Fuel Cell", "Laser Source",
    "Membrane", "Training System", "Detector", "Power Converter", "Heat Exchanger", "Data Fusion Engine",
    "Radar Processor", "Drug Delivery System", "Spectrometer", "Propulsion System", "Learning Environment",
    "Irrigation Controller", "Water Treatment Process", "Optical Fiber",
)  # fmt: skip
_PURPOSES = (
    "Unmanned Vehicles", "Early Detection of Disease", "Space Applications", "Harsh Environments",
    "Naval Platforms", "Precision Agriculture", "Point-of-Care Testing", "Missile Defense",
    "Rural Classrooms", "Offshore Wind Farms", "Aircraft Maintenance", "Wound Healing",
    "Semiconductor Manufacturing", "Grid Storage", "Environmental Monitoring", "Speech Rehabilitation",
    "Deep-Sea Exploration", "Soldier Systems", "Highway Bridges", "Food Safety",
)  # fmt: skip
_FRAMES = (
    "The proposed effort will develop a {manner} {thing} for {purpose}, building on preliminary results"
    " obtained by the team.",
    "Phase I will establish the feasibility of the approach through modeling, fabrication and "
    "laboratory testing of a {thing}.",
    'Current practice relies on what users call "{manner} {thing}" methods, which are slow, costly and '
    'difficult to field.',
    "We hypothesize that a {manner} architecture can reduce size, weight and power by at least {number}"
    " percent.",
    "In Phase II, a prototype {thing} will be built, characterized, and demonstrated in a relevant "
    "environment.",
    "The specific aims are: 1) to optimize the {thing}; 2) to validate it against {number} samples; and"
    " 3) to prepare a manufacturing plan.",
    "Anticipated benefits include improved safety, lower life-cycle cost, and new markets in {purpose}.",
    "Commercial applications of the {manner} {thing} extend to medical, automotive, and industrial "
    "users.",
    "There is a critical need for {purpose} that existing {thing} products (typically limited to "
    "{number} Hz) do not meet.",
    "The team combines expertise in {manner} design with a record of transition to programs of record.",
    "Key technical risks, such as drift and calibration, are addressed by a {manner} feedback scheme "
    "with {number}-bit control.",
    "BROADER IMPACT: the project will train students, support small manufacturers & strengthen domestic"
    " supply of the {thing}.",
    "Results of {number} preliminary experiments suggest that performance scales linearly; this will be"
    " verified.",
    "PUBLIC HEALTH RELEVANCE: each year, more than {number},000 people could benefit from a better "
    "{thing}.",
    'A letter of support from a prime contractor states: "the {thing} would be a game changer for '
    '{purpose}."',
    "Tasks:\t(a) requirements, (b) trade study, (c) {manner} prototype, (d) test report and final "
    "briefing.",
)  # fmt: skip


class Prose:
    """Writes titles and abstracts.

    Parameters
    ----------
    draws
        The draws of the seed.
    """

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        states = draws.bits("sentence", np.arange(_POOL)).tolist()
        sentences = [_write_sentence(Picks(state)) for state in states]
        self._endings = pa.array([s + " " for s in sentences] + [s + "\n" for s in sentences], pa.string())
        weights = [1 - sum(_BLANKS.values()), *_BLANKS.values()]
        self._kind = Choice(weights)
        self._blanks = pa.array([None, *_BLANKS], pa.string())

    def titles(self, projects: Integers) -> pa.StringArray:
        """Give each project a title; 3 % shout."""
        draws = self._draws

        def part(purpose: str, entries: tuple[str, ...]) -> pa.StringArray:
            return pa.array(entries).take(pa.array(draws.below(purpose, projects, len(entries))))

        subject = pc.binary_join_element_wise(
            part("title start", _STARTS), part("title manner", _MANNERS), part("title thing", _THINGS), " "
        )
        titles = pc.binary_join_element_wise(subject, part("title purpose", _PURPOSES), " for ")
        return pc.if_else(
            pa.array(draws.chance("title shouts", projects, 0.033)), pc.utf8_upper(titles), titles
        )

    def abstracts(self, awards: Integers) -> pa.StringArray:
        """Give each award an abstract of a few hundred to two thousand characters, or a word for none."""
        draws = self._draws
        count = 3 + (draws.uniform("abstract length", awards) * (_MOST_SENTENCES - 2)).astype(np.int64)
        columns = []
        for place in range(_MOST_SENTENCES):
            keys = awards * 32 + place
            breaks = draws.chance("line break", keys, _LINE_BREAK_SHARE)
            sentence = draws.below("sentence of abstract", keys, _POOL) + _POOL * breaks
            columns.append(self._endings.take(pa.array(sentence, mask=place >= count)))
        text = pc.utf8_rtrim(pc.binary_join_element_wise(*columns, "", null_handling="skip"), " \n")
        kind = draws.choose("abstract kind", awards, self._kind)
        return pc.coalesce(self._blanks.take(pa.array(kind)), text)


def _write_sentence(picks: Picks) -> str:
    return picks.choice(_FRAMES).format(
        manner=picks.choice(_MANNERS).lower(),
        thing=picks.choice(_THINGS).lower(),
        purpose=picks.choice(_PURPOSES).lower(),
        number=10 + picks.below(89),
    )
