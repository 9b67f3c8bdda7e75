"""What the input files call their columns.

The same column has many names: the SBIR.gov bulk file says `Woman Owned`, its older edition `Women Owned`,
the web export `Women-Owned`; one edition has no `UEI`, another no `Abstract`. So columns are found by name,
never by position, each under any of its known names, in any spelling of case, blanks and punctuation.
`find_columns` does that and says what it found, what it left out and why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sbir_toolkit.errors import InputError, ParameterError, explain

NULL_TOKENS = (
    *("", "n/a", "na", "none", "null", "nan", "#n/a", "tbd", "-", "() -", "not available"),
    "\\n",  # the null of a PostgreSQL export
)

_SHOWN_NAMES = 20
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Format:
    """The columns one kind of file can have.

    Parameters
    ----------
    name
        What the file holds, for messages.
    aliases
        For each column of ours the names it goes by, the preferred one first, in plain spelling
        (`plain_name`).
    required
        The columns without which a file can't be used.
    personal
        Beginnings of the names of columns about persons, which are left out on purpose.
    needs_all
        Whether the columns that aren't ours are read too, because they tell records that repeat.
    stated
        Names that the parameters give to columns of ours, in plain spelling; one of them must be there.
    derived
        Columns that only this toolkit makes; nobody misses them in a file.
    unread
        Columns of ours that nobody asks for this time; they are found, but not read.
    """

    name: str
    aliases: dict[str, tuple[str, ...]]
    required: tuple[str, ...]
    personal: tuple[str, ...] = ()
    needs_all: bool = False
    stated: dict[str, tuple[str, ...]] = field(default_factory=dict)
    derived: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def read(self) -> list[str]:
        """The columns of ours that are read where a file has them."""
        return [column for column in self.aliases if column not in self.unread]


@dataclass(frozen=True)
class Layout:
    """Where a file keeps its columns.

    Parameters
    ----------
    header
        The names as the file has them.
    positions
        For each column of ours that the file has and that is read, its position from 0.
    assumptions
        What was left out or found missing, in sentences.
    """

    header: tuple[str, ...]
    positions: dict[str, int]
    assumptions: tuple[str, ...]


AWARD_FORMAT = Format(
    "SBIR awards",
    {
        "company": ("company", "company name", "firm", "firm name"),
        "title": ("award title", "title"),
        "agency": ("agency",),
        "branch": ("branch",),
        "phase": ("phase",),
        "program": ("program",),
        "tracking_number": ("agency tracking number", "tracking number"),
        "contract": ("contract", "contract grant", "contract number"),
        "award_date": ("proposal award date", "award date"),
        "contract_end_date": ("contract end date",),
        "solicitation_number": ("solicitation number",),
        "solicitation_year": ("solicitation year",),
        "solicitation_close_date": ("solicitation close date",),
        "receipt_date": ("proposal receipt date", "proposal submitted date", "receipt date"),
        "notification_date": ("date of notification", "notification date"),
        "topic_code": ("topic code",),
        "award_year": ("award year",),
        "award_usd": ("award amount", "award usd"),
        "uei": ("uei", "unique entity id", "unique entity identifier"),
        "duns": ("duns", "duns number"),
        "is_hubzone": ("hubzone owned", "is hubzone"),
        "is_disadvantaged": (
            "socially and economically disadvantaged",
            "socially economically disadvantaged",
            "is disadvantaged",
        ),
        "is_woman_owned": ("woman owned", "women owned", "is woman owned"),
        "employees": ("number employees", "number of employees", "employees"),
        "website": ("company website", "company url", "website"),
        "address1": ("address1", "address 1"),
        "address2": ("address2", "address 2"),
        "city": ("city",),
        "state": ("state",),
        "zip5": ("zip", "zip code", "zip5"),
        "abstract": ("abstract",),
        "research_institution": ("ri name", "research institution"),
    },
    required=("company", "award_year", "agency"),
    personal=("contact ", "poc ", "pi ", "ri poc "),
    needs_all=True,
)

RECIPIENT_FORMAT = Format(
    "federal recipients",
    {
        "recipient_id": ("recipient hash", "recipient id"),
        "recipient_name": ("legal business name", "recipient name", "name"),
        "uei": ("uei", "recipient uei", "unique entity id"),
        "duns": ("duns", "recipient duns", "recipient unique id", "awardee or recipient uniqu"),
        "cage": ("cage", "cage code"),
        "parent_uei": ("parent uei", "recipient parent uei", "ultimate parent uei"),
        "parent_name": (
            "parent legal business name",
            "parent name",
            "recipient parent name",
            "ultimate parent legal enti",
        ),
        "address1": ("address line 1", "address1", "address 1", "recipient address line 1"),
        "city": ("city", "city name", "recipient city name"),
        "state": ("state", "state code", "recipient state code"),
        "zip5": ("zip5", "zip", "zip code", "recipient zip 4 code"),
        "country": ("country code", "country", "recipient country code"),
        "alternate_names": ("alternate names", "dba name", "recipient doing business as name"),
        "naics": ("naics", "naics code", "naics codes", "primary naics"),
        "business_types": ("business types codes", "business types", "business types code"),
        "actions": ("actions",),
        "sbir_actions": ("sbir actions",),
        "agencies": ("agencies",),
        "obligated_usd": ("obligated usd",),
        "obligated_usd_by_year": ("obligated usd by year",),
        "source": ("source",),
    },
    required=("recipient_name",),
    derived=("actions", "sbir_actions", "agencies", "obligated_usd", "obligated_usd_by_year"),
)

ACTION_FORMAT = Format(
    "USAspending award actions",
    {
        "award_id": ("award id piid", "award id fain", "award id uri"),
        "parent_award_id": ("parent award id piid",),
        "obligated_usd": ("federal action obligation",),
        "action_date": ("action date",),
        "agency": ("awarding agency code", "awarding agency name"),
        "uei": ("recipient uei",),
        "duns": ("recipient duns",),
        "recipient_name": ("recipient name",),
        "filed_name": ("recipient name raw",),
        "trade_name": ("recipient doing business as name",),
        "cage": ("cage code",),
        "parent_uei": ("recipient parent uei",),
        "parent_name": ("recipient parent name",),
        "address1": ("recipient address line 1",),
        "city": ("recipient city name",),
        "state": ("recipient state code",),
        "zip5": ("recipient zip 4 code", "recipient zip code"),
        "country": ("recipient country code",),
        "naics": ("naics code",),
        "research": ("research code", "research"),
    },
    required=("award_id", "obligated_usd", "action_date", "recipient_name"),
    personal=("highly compensated officer", "recipient phone", "recipient fax"),
)


def plain_name(name: str) -> str:
    """Spell a column's name plainly: lower case, words separated by one blank, no punctuation.

    Examples
    --------
    >>> plain_name("Women-Owned"), plain_name("award_title"), plain_name("Contract/Grant #")
    ('women owned', 'award title', 'contract grant')
    """
    return re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()


def state_columns(form: Format, columns: Mapping[str, str | Sequence[str]]) -> Format:
    """Give a format whose columns also go by the names that the parameters give them.

    Parameters
    ----------
    form
        What columns there can be.
    columns
        For columns of ours, by our name or by one that the form is known to use, the name in the file, or
        several.

    Raises
    ------
    ParameterError
        When one is no column of ours.
    """
    ours = {name: column for column, names in form.aliases.items() for name in names}
    ours |= {column: column for column in form.aliases}
    known = {column: ours.get(column) or ours.get(plain_name(column)) for column in columns}
    unknown = [column for column, name in known.items() if name is None]
    if unknown:
        raise ParameterError(
            explain(
                f"{form.name} have no column '{unknown[0]}'",
                where="columns, in the parameters of this input",
                expected=", ".join(form.aliases),
                got=unknown[0],
                todo="name the column of the toolkit first, then the file's: {company: Firm Name}",
            )
        )
    stated = {
        str(known[column]): tuple(plain_name(name) for name in ([names] if isinstance(names, str) else names))
        for column, names in columns.items()
    }
    aliases = {column: (*stated.get(column, ()), *names) for column, names in form.aliases.items()}
    return replace(form, aliases=aliases, stated=stated)


def find_columns(header: Sequence[str], form: Format, where: object) -> Layout:
    """Find each column of ours in a file's header.

    Parameters
    ----------
    header
        The names as the file has them.
    form
        What the file should hold.
    where
        The file, for messages.

    Returns
    -------
    Layout

    Raises
    ------
    InputError
        When a required column is missing (the message guesses why), or a column that is used stands there
        twice.
    """
    plain = [plain_name(name) for name in header]
    positions: dict[str, int] = {}
    for column, names in form.aliases.items():
        name = next((name for name in names if name in plain), None)
        if name is None:
            continue
        if plain.count(name) > 1:
            places = " and ".join(str(at + 1) for at, other in enumerate(plain) if other == name)
            raise InputError(
                explain(
                    f"the column '{header[plain.index(name)]}' stands twice in the header",
                    where=f"{where}, line 1",
                    expected="each column once",
                    got=f"it is column {places}",
                    todo="rename or remove one of them",
                )
            )
        positions[column] = plain.index(name)
    for column, names in form.stated.items():
        if not set(names) & set(plain):
            raise InputError(
                explain(
                    f"the file has no column that the parameters name for {column}",
                    where=f"{where}, line 1",
                    expected=" or ".join(names),
                    got=_cut(", ".join(header)),
                    todo="mend `columns` in the parameters of this input",
                )
            )
    _refuse_missing(header, form, positions, where)
    read = {column: positions[column] for column in form.read if column in positions}
    return Layout(tuple(header), read, tuple(_assume(header, plain, form, positions)))


def _refuse_missing(header: Sequence[str], form: Format, positions: dict[str, int], where: object) -> None:
    missing = [form.aliases[column][0] for column in form.required if column not in positions]
    if not missing:
        return
    wanted = ", ".join(form.aliases[column][0] for column in form.required)
    got = ", ".join(header) if len(header) > 1 else repr("".join(header))
    raise InputError(
        explain(
            f"this is no file of {form.name}: it has no column for {', '.join(missing)}",
            where=f"{where}, line 1",
            expected=f"a header with columns for {wanted}",
            got=_cut(got),
            todo=_guess(header, form, positions),
        )
    )


def _cut(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."


def _guess(header: Sequence[str], form: Format, positions: dict[str, int]) -> str:
    only = header[0] if len(header) == 1 else ""
    for separator, name in _SEPARATORS.items():
        if separator in only:
            return f"its columns are separated by {name}: save it with commas"
    plain = {plain_name(name) for name in header}
    for other in (AWARD_FORMAT, ACTION_FORMAT, RECIPIENT_FORMAT):
        known = sum(any(name in plain for name in names) for names in other.aliases.values())
        if (
            other is not form
            and known >= 3
            and all(set(other.aliases[column]) & plain for column in other.required)
        ):
            return f"it looks like a file of {other.name}: give it as that"
    missing = [column for column in form.required if column not in positions]
    spare = [name for at, name in enumerate(header) if at not in positions.values() and name]
    if not positions or not spare:
        return "check that it is the right file and that its first line holds the column names"
    section = "awards" if form.name == AWARD_FORMAT.name else "recipients"
    columns = ", ".join(f"{column}: NAME" for column in missing)
    return (
        f"if it is the right file, name its columns: -p '{section}.columns={{{columns}}}', "
        f"with {'names' if len(missing) > 1 else 'one'} of {_cut(', '.join(spare))} for NAME"
    )


def _assume(
    header: Sequence[str], plain: Sequence[str], form: Format, positions: dict[str, int]
) -> list[str]:
    expected = [column for column in form.aliases if column not in form.derived]
    absent = [form.aliases[column][0] for column in expected if column not in positions]
    unused = [at for at in range(len(header)) if at not in positions.values()]
    personal = [header[at] for at in unused if plain[at].startswith(form.personal or ("\0",))]
    extra = [header[at] or "(no name)" for at in unused if header[at] not in personal]
    sentences = []
    if absent:
        sentences.append(f"columns the file doesn't have, left empty: {', '.join(absent)}")
    if personal:
        sentences.append(f"columns about persons, left out: {', '.join(personal)}")
    if extra:
        shown, more = extra[:_SHOWN_NAMES], len(extra) - _SHOWN_NAMES
        names = ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
        sentences.append(f"columns not known, ignored: {names}")
    return sentences
