"""How right links are on real files: by source and kind, for the half to tune on and the one held out.

The files are given by whoever has them (`real_cases` says what they must hold and what is made of them);
the toolkit contains none. Identifiers are blanked, so that everything is found by name and place. Companies
are matched one by one, as what others of their name tell of them belongs to whole award files.

Companies are of four groups: *usual* ones bear their recipient's name or another of its spellings; *variants*
(near renames, subsidiaries, French names, names as somebody typed them) and *renames* don't, and one with
*no counterpart* should get nobody. A link counts when it is accepted; found is also what goes to review.
Intervals are Wilson's, at 95 %. Weights or thresholds may be chosen by the half `tune`; what is said of them
is what `hold-out` shows.

    make bench-real AWARDS=awards.csv RECIPIENTS=recipients.csv PAIRS=pairs.csv
    python -m benchmarks.real_pairs --awards awards.csv --recipients recipients.csv --pairs pairs.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.judge import expected_calibration_error
from benchmarks.measuring import PROJECT, describe_machine
from benchmarks.real_cases import HALVES, Cases, read_cases
from benchmarks.results import shown_share, store
from sbir_toolkit.matching import RecipientIndex, build_index, match_companies
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import COMPANIES, RECIPIENTS


def match_cases(cases: Cases, index: RecipientIndex, params: Matching) -> pd.DataFrame:
    """Match all companies and say of each whether it is linked, found and right.

    Returns
    -------
    pandas.DataFrame
        The companies of the cases, with recipient_id, match_probability, decision, is_right (the recipient
        accepted or proposed is the company's), is_linked (accepted), and is_look_alike (it is who was judged
        to be somebody else).
    """
    companies = cases.companies
    columns = ["recipient_id", "match_probability", "decision"]
    found = match_companies(companies[COMPANIES.names], index, params)[columns]
    matched = companies.join(found)
    matched["is_right"] = cases.is_right(companies, matched["recipient_id"])
    matched["is_linked"] = matched["decision"] == "accept"
    matched["is_look_alike"] = matched["recipient_id"].notna() & (
        matched["recipient_id"] == matched["look_alike"]
    )
    return matched


def found_table(matched: pd.DataFrame) -> pd.DataFrame:
    """Lay out what became of the companies that have a counterpart, by group and kind."""
    known = matched[matched["truth"].notna()]
    rows = []
    for (group, kind), found in known.groupby(["group", "kind"]):
        linked, right = found["is_linked"], found["is_right"]
        row = {"group": group, "kind": kind, "recall": shown_share(linked & right)}
        rows.append(row | {"with review": shown_share(right), "precision": shown_share(right[linked])})
    return pd.DataFrame(rows)


def nobody_table(matched: pd.DataFrame) -> pd.DataFrame:
    """Lay out how many companies without counterpart are linked, by kind: to anybody, to their look-alike."""
    rows = []
    for kind, found in matched[matched["truth"].isna()].groupby("kind"):
        linked, is_look_alike = found["is_linked"], found["is_look_alike"]
        to_look_alike = shown_share(linked & is_look_alike) if found["look_alike"].notna().any() else "-"
        rows.append({"kind": kind, "linked": shown_share(linked), "to the look-alike": to_look_alike})
    return pd.DataFrame(rows)


def summary_table(matched: pd.DataFrame) -> pd.DataFrame:
    """Lay out the figures over all kinds, a column for each half."""
    columns: dict[str, dict[str, str]] = {}
    for half in HALVES:
        found = matched[matched["half"] == half]
        linked, right, group = found["is_linked"], found["is_right"], found["group"]
        has_look_alike = found["look_alike"].notna()
        column = {"precision": shown_share(right[linked])}
        for one in ("usual", "variant", "rename"):
            of_group = group == one
            column[f"recall, {one}"] = shown_share((linked & right)[of_group])
            column[f"recall with review, {one}"] = shown_share(right[of_group])
        column["linked without counterpart"] = shown_share(
            linked[(group == "no counterpart") & ~has_look_alike]
        )
        column["linked beside a look-alike"] = shown_share(linked[has_look_alike])
        column["linked to the look-alike"] = shown_share((linked & found["is_look_alike"])[has_look_alike])
        probability = found["match_probability"].where(found["recipient_id"].notna())
        column["calibration error"] = f"{expected_calibration_error(probability, right):.4f}"
        columns[half] = column
    return pd.DataFrame(columns).rename_axis("figure").reset_index()


def make_index(cases: Cases, folder: Path, params: Matching) -> RecipientIndex:
    """Build the index of the cases' register."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder / "recipients.parquet", RECIPIENTS.arrow(cases.recipients[RECIPIENTS.names]))
    return build_index(folder / "recipients.parquet", folder / "index", params)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of the three files and the folder of the results."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, what in (
        ("awards", "in SBIR.gov's layout"),
        ("recipients", "in any layout that `match` reads"),
        ("pairs", "of names, labelled; see benchmarks/real_cases.py"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=PROJECT / "outputs" / "bench",
        help="where the index and the results go; default: outputs/bench",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and store."""
    options = make_parser(__doc__).parse_args(arguments)
    machine = describe_machine()
    cases = read_cases(options.awards, options.recipients, options.pairs)
    params = Matching()
    matched = match_cases(cases, make_index(cases, options.folder / "real", params), params)
    tables = {"All kinds": summary_table(matched)}
    for half in HALVES:
        of_half = matched[matched["half"] == half]
        tables[f"With a counterpart: {half}"] = found_table(of_half)
        tables[f"Without: {half}"] = nobody_table(of_half)
    notes = [
        f"{len(cases.companies):,} companies are looked for among {len(cases.recipients):,} recipients",
        "variants and renames stand here in quite another proportion than in award files, and look-alikes "
        "are the nearest names there are: the precision over all kinds is no award file's",
    ]
    store("real_pairs", options, machine, {}, tables, notes=notes)


if __name__ == "__main__":
    main()
