"""Companies of real files whose recipient is known, and a register in which to look for them.

Three files are read: awards in SBIR.gov's layout, recipients in any layout the toolkit knows, and pairs of
names that somebody knows to be one firm or two (columns `PAIR_COLUMNS`). Identifiers are used to know the
truth and are then blanked. The register holds

- the recipients, the second name of each pair, and of the award firms with a DUNS one spelling and place;

and looked for are

- the first name of each pair: of one firm with the second, or, without a counterpart, beside a *look-alike*;
- pairs of a former and a present name once more, at a place near the second one's: in its city in 85 % of
  cases, in its state in 12 %, as public awards and recipients of one firm are;
- the other spellings and places of the award firms; a third of these firms are kept out of the register;
- award firms whose DUNS is a recipient's; and recipients by the first of their alternate names.

Names and DUNS that stand for one firm make a *firm*, and each firm is in one half, `tune` or `hold-out`, by
a digest of its name: whoever fits or chooses anything looks at the first and judges by the second. Whom the
register holds under the company's very name though its pair says otherwise can't be judged: such records are
taken out, unless they are somebody's truth or look-alike; then the company is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.matching.lookup import name_keys
from sbir_toolkit.sources import normalise_state, normalise_zip5, read_awards, read_recipients
from sbir_toolkit.tables import COMPANIES, RECIPIENTS, Table

HALVES = ("tune", "hold-out")
GROUPS = ("usual", "variant", "rename", "no counterpart")
PAIR_COLUMNS = (
    *(f"{field}_{side}" for side in "ab" for field in ("name", "city", "state", "zip")),
    "same",
    "source",
    "label_quality",
)
"""What the file of pairs must have; `same` is 1 or 0, the last two say where a pair is from."""

_PLACE = ["address1", "city", "state", "zip5"]
_GROUP_OF = {"rename": "rename", "rename_near": "variant", "curated_incl_subsidiaries": "variant"}
_SAME_CITY, _SAME_STATE, _SAME_ZIP = 0.85, 0.97, 0.6
_SEED = 11
_NAMELESS = "0" * 16


@dataclass(frozen=True)
class Cases:
    """What is looked for, where, and what would be right.

    Parameters
    ----------
    recipients : pandas.DataFrame
        The contract `recipients`, and `firm`.
    companies : pandas.DataFrame
        The contract `companies`, and kind, group (one of `GROUPS`), truth (recipient_id or null), look_alike
        (the same), firm, and half.
    """

    recipients: pd.DataFrame
    companies: pd.DataFrame

    def is_right(self, companies: pd.DataFrame, recipient_ids: pd.Series) -> pd.Series:
        """Tell whether a recipient is the company's: its truth, or another record of that firm."""
        found = recipient_ids.map(self.recipients.set_index("recipient_id")["firm"])
        is_same = (recipient_ids == companies["truth"]) | (found == companies["firm"])
        return is_same & recipient_ids.notna() & companies["truth"].notna()


def read_cases(awards: Path, recipients: Path, pairs: Path) -> Cases:
    """Make the cases of three files; the same ones each time.

    Raises
    ------
    InputError
        When the pairs lack a column.
    """
    register, _ = read_recipients(recipients)
    filed = _award_companies(awards)
    records, companies = [register], []
    for part in (_from_pairs(_read_pairs(pairs)), _from_awards(filed)):
        records.append(part[0])
        companies.append(part[1])
    companies += [_shared_duns(filed, register), _alternates(register)]
    return _settle(pd.concat(records, ignore_index=True), pd.concat(companies, ignore_index=True))


def _read_pairs(path: Path) -> pd.DataFrame:
    pairs = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [column for column in PAIR_COLUMNS if column not in pairs]
    if missing:
        raise InputError(
            explain(
                "this is no file of labelled pairs",
                where=path,
                expected=f"the columns {', '.join(PAIR_COLUMNS)}",
                got=f"none called {', '.join(missing)}",
            )
        )
    for side in "ab":
        pairs[f"zip5_{side}"] = normalise_zip5(_filed(pairs[f"zip_{side}"]))
        pairs[f"state_{side}"] = normalise_state(_filed(pairs[f"state_{side}"]))
        pairs[f"city_{side}"] = _filed(pairs[f"city_{side}"].str.strip(" ,"))
    return pairs


def _filed(texts: pd.Series) -> pd.Series:
    return texts.where(texts != "").astype("str")


def _from_pairs(pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay pairs out: the second names as recipients, the first ones as companies, the renamed ones twice."""
    pairs = pairs.assign(pair=[f"pair-{at}" for at in range(len(pairs))], is_same=pairs["same"] == "1")
    fields = ("city", "state", "zip5")
    records = pairs.rename(columns={f"{field}_b": field for field in fields})
    records = records.rename(columns={"pair": "recipient_id", "name_b": "recipient_name"})
    companies = pairs.rename(columns={f"{field}_a": field for field in fields})
    companies = companies.assign(
        company=pairs["name_a"],
        truth=pairs["pair"].where(pairs["is_same"]),
        look_alike=pairs["pair"].where(~pairs["is_same"]),
        kind=pairs["source"] + ": " + pairs["label_quality"],
        group=pairs["label_quality"].map(_GROUP_OF),
    )
    is_renamed = pairs["label_quality"].str.startswith("rename") & pairs["zip5_b"].notna()
    placed = _place_near(companies[is_renamed], records)
    columns = ["company", "truth", "look_alike", "kind", "group", *fields]
    kept = [companies[columns], placed[columns].assign(kind=placed["kind"] + ", placed")]
    return records[["recipient_id", "recipient_name", *fields]], pd.concat(kept)


def _place_near(companies: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Put companies where public awards are: in their recipient's city, else its state, else anywhere."""
    chance = np.random.default_rng(_SEED)
    fields = ["city", "state", "zip5"]
    known = records[fields].dropna().drop_duplicates(ignore_index=True)
    by_state = {state: places.to_numpy() for state, places in known.groupby("state")}
    anywhere, places = known.to_numpy(), []
    for place in records.loc[companies.index, fields].to_numpy():
        drawn = chance.random()
        near = by_state.get(place[1], anywhere) if drawn < _SAME_STATE else anywhere
        places.append(place if drawn < _SAME_CITY else near[chance.integers(len(near))])
    placed = companies.copy()
    placed[fields] = np.array(places, object)
    # One in the city is not always in the ZIP.
    keeps_zip = chance.random(len(placed)) < _SAME_ZIP
    placed["zip5"] = placed["zip5"].where(keeps_zip)
    return placed


def _award_companies(path: Path) -> pd.DataFrame:
    awards, _ = read_awards(path)
    filed = awards[["company", *_PLACE, "duns"]].drop_duplicates()
    return filed.sort_values(["duns", "company", *_PLACE], ignore_index=True)


def _from_awards(filed: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take one spelling and place of each award firm as its recipient; two thirds of the firms have one."""
    known = filed[filed["duns"].notna()].reset_index(drop=True)
    number = _digest(known["duns"])
    nth = known.groupby("duns").cumcount().to_numpy()
    size = known.groupby("duns")["company"].transform("size").to_numpy()
    is_absent = number % 3 == 0
    is_record = ~is_absent & (nth == number // 3 % size)
    records = known[is_record].rename(columns={"company": "recipient_name", "duns": "duns_known"})
    records = records.assign(recipient_id="duns-" + records["duns_known"])
    # Many recipients have no street.
    records["address1"] = records["address1"].where(number[is_record] % 5 > 0)
    absent = known[is_absent & (nth < 2)].assign(kind="award firm without counterpart")
    others = known[~is_absent & ~is_record]
    others = others.assign(truth="duns-" + others["duns"], kind="award firm under one DUNS")
    companies = pd.concat([absent, others]).rename(columns={"duns": "duns_known"})
    return records, companies


def _shared_duns(filed: pd.DataFrame, register: pd.DataFrame) -> pd.DataFrame:
    ids = register.dropna(subset="duns").drop_duplicates("duns").set_index("duns")["recipient_id"]
    shared = filed[filed["duns"].isin(ids.index)]
    shared = shared.assign(truth=ids.reindex(shared["duns"]).to_numpy(), kind="award and recipient, one DUNS")
    return shared.drop(columns="duns")


def _alternates(register: pd.DataFrame) -> pd.DataFrame:
    known = register[register["alternate_names"].notna()]
    first = known["alternate_names"].str.split("|").str[0]
    companies = known[_PLACE].assign(company=first, truth=known["recipient_id"], kind="alternate name")
    return companies[_keys(first) != _keys(known["recipient_name"])]


def _settle(register: pd.DataFrame, companies: pd.DataFrame) -> Cases:
    """Join names and DUNS to firms, halve these, and leave out what can't be judged."""
    register["key"] = _keys(register["recipient_name"])
    companies["key"] = _keys(companies["company"])
    companies = companies[companies["key"] != _NAMELESS].reset_index(drop=True)
    true_key = companies["truth"].map(register.set_index("recipient_id")["key"])
    has_truth = companies["truth"].notna()
    firms = _join_firms(zip(companies["key"][has_truth], true_key[has_truth], strict=True))
    for table in (register, companies):
        table["firm"] = table["key"].map(lambda key: firms.get(key, key))
    companies["half"] = [HALVES[int(firm[:8], 16) % len(HALVES)] for firm in companies["firm"]]
    companies["group"] = companies["group"].fillna("usual").where(has_truth, "no counterpart")
    borne = _names_borne(register)
    is_renamed = has_truth & (companies["key"] != true_key) & (companies["kind"] != "alternate name")
    strangers = companies[~has_truth | is_renamed]
    named = borne[borne["key"].isin(strangers["key"])]
    kept = set(companies["truth"].dropna()) | set(companies["look_alike"].dropna())
    taken_out = set(named["recipient_id"]) - kept
    register = register[~register["recipient_id"].isin(taken_out)]
    firm_of = register.set_index("recipient_id")["firm"]
    named = named[~named["recipient_id"].isin(taken_out)]
    bearers = named.assign(firm=named["recipient_id"].map(firm_of)).groupby("key")["firm"].agg(set)
    is_judged = np.ones(len(companies), bool)
    for at, key, firm, truth in strangers[["key", "firm", "truth"]].itertuples():
        is_judged[at] = not bearers.get(key, set()) - ({firm} if isinstance(truth, str) else set())
    return Cases(_as(RECIPIENTS, register, ["firm"]), _as_companies(companies[is_judged]))


def _names_borne(register: pd.DataFrame) -> pd.DataFrame:
    alternates = register.dropna(subset="alternate_names").set_index("recipient_id")["alternate_names"]
    other = alternates.str.split("|").explode().reset_index()
    borne = pd.DataFrame({"recipient_id": other["recipient_id"], "key": _keys(other["alternate_names"])})
    return pd.concat([register[["recipient_id", "key"]], borne], ignore_index=True)


def _join_firms(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give each name the first of the names that pairs join it to, however far around."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for one, other in pairs:
        low, high = sorted((top(one), top(other)))
        above[high] = low
    return {name: top(name) for name in list(above)}


def _as_companies(companies: pd.DataFrame) -> pd.DataFrame:
    told = ["kind", "group", "truth", "look_alike", "firm", "half"]
    ids = [f"company-{at}" for at in range(len(companies))]
    return _as(COMPANIES, companies.assign(company_id=ids, awards=1), told).reset_index(drop=True)


def _as(contract: Table, rows: pd.DataFrame, beside: list[str]) -> pd.DataFrame:
    """Lay rows out as a contract says, without identifiers, and with some columns beside it."""
    blanked = ("uei", "duns", "cage", "parent_uei", "contracts")
    columns = {
        column.name: rows[column.name] if column.name in rows and column.name not in blanked else None
        for column in contract.columns
    }
    texts = {column.name: "str" for column in contract.columns if column.dtype == "string"}
    return pd.DataFrame(columns, index=rows.index).astype(texts).join(rows[beside])


def _keys(names: pd.Series) -> pd.Series:
    """Give a text for each name, the same for spellings of one name."""
    texts = pa.array(names.astype(object).where(names.notna(), None), pa.string())
    return pd.Series([f"{key:016x}" for key in name_keys(texts).tolist()], names.index, dtype="str")


def _digest(texts: pd.Series) -> np.ndarray:
    return (pd.util.hash_pandas_object(texts, index=False).to_numpy() >> np.uint64(20)).astype(np.int64)
