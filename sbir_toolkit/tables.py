"""The contract of every table: its columns, their types and units, their meaning, what makes a row unique.

A stage hands its result to the next one as a table in a file. What is in that file is promised here and
nowhere else: the readers write it, the pipeline checks it after each stage, the notebooks rely on it, and the
README's data dictionary is drawn from it. A `Table` gives its Arrow schema (how it is stored) and checks a
frame or a file against its promise with a pandera schema made from the same columns.

Money is in US dollars as filed (`award_usd`), times are seconds (`_s`), sizes are bytes (`_bytes`), shares
and probabilities lie in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sbir_toolkit.errors import ContractError, explain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DType = Literal["string", "int64", "float64", "bool", "date"]

TIERS = ("uei", "duns", "name_exact", "name_fuzzy")
DECISIONS = ("accept", "review", "reject")
VERDICTS = ("pass", "warn", "fail", "unknown")


@dataclass(frozen=True)
class Column:
    """One column's promise.

    Parameters
    ----------
    name
        Its name, with the unit as a suffix where it has one.
    dtype
        How it is stored.
    meaning
        What a value says, in words.
    required
        Whether a null breaks the contract.
    low, high
        The smallest and largest value allowed, for numbers.
    values
        The only values allowed, for codes.
    """

    name: str
    dtype: DType
    meaning: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table's promise.

    Parameters
    ----------
    name
        The table's name, which is also its file's: `<name>.parquet`.
    meaning
        What one row is.
    columns
        In the order in which they are stored.
    key
        The columns that together make a row unique; empty when nothing has to.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = field(default=())

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The schema that the table is stored with."""
        import pyarrow as pa

        kinds = {
            "string": pa.string(),
            "int64": pa.int64(),
            "float64": pa.float64(),
            "bool": pa.bool_(),
            "date": pa.date32(),
        }
        return pa.schema([pa.field(column.name, kinds[column.dtype]) for column in self.columns])

    @cached_property
    def pandera_schema(self) -> Any:
        """The checks on a frame's values, as a `pandera.DataFrameSchema`."""
        import pandera.pandas as pandera

        def checks(column: Column) -> list[Any]:
            found = []
            if column.low is not None:
                found.append(pandera.Check.ge(column.low))
            if column.high is not None:
                found.append(pandera.Check.le(column.high))
            if column.values is not None:
                found.append(pandera.Check.isin(column.values))
            return found

        return pandera.DataFrameSchema(
            {
                column.name: pandera.Column(checks=checks(column), nullable=not column.required)
                for column in self.columns
            },
        )

    def arrow(self, frame: pd.DataFrame) -> pa.Table:
        """Turn a frame into an Arrow table of this contract, refusing one that has other columns.

        Parameters
        ----------
        frame : pandas.DataFrame
            With exactly the contract's columns, in any order.

        Returns
        -------
        pyarrow.Table
            Columns in the contract's order, in the contract's types.

        Raises
        ------
        ContractError
            When columns are missing, unexpected or of a type that can't be stored as promised.
        """
        import pyarrow as pa

        if set(frame.columns) != set(self.names):
            raise ContractError(
                explain(
                    f"the table '{self.name}' has the wrong columns",
                    where=self.name,
                    expected=", ".join(self.names),
                    got=", ".join(map(str, frame.columns)),
                    todo="write exactly the columns of sbir_toolkit.tables",
                )
            )
        arrays = []
        for column in self.arrow_schema:
            values = frame[column.name]
            try:
                # pandas guesses a type for a column without values; the contract knows better.
                is_empty = values.isna().all()
                arrays.append(
                    pa.nulls(len(frame), column.type)
                    if is_empty
                    else pa.array(values, column.type, from_pandas=True)
                )
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as wrong:
                raise ContractError(
                    explain(
                        f"the table '{self.name}' has a column of the wrong type",
                        where=f"{self.name}, column {column.name}",
                        expected=column.type,
                        got=wrong,
                    )
                ) from wrong
        return pa.table(arrays, schema=self.arrow_schema)

    def check(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Check a frame against the contract (columns, values, key) and give it back.

        Raises
        ------
        ContractError
            With the failing rows attached as `rows`.
        """
        self.arrow(frame)
        self._check_values(frame, [column.name for column in self.columns if _is_checked(column)])
        if self.key:
            self._check_key(frame[list(self.key)])
        return frame

    def check_file(self, path: Path) -> int:
        """Check a stored table against the contract, one row group at a time, and count its rows.

        Uniqueness of the key is checked over the whole file.

        Returns
        -------
        int
            The number of rows.
        """
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as wrong:
            raise ContractError(
                explain(f"the table '{self.name}' can't be read", where=path, got=wrong)
            ) from wrong
        with file:
            if file.schema_arrow.remove_metadata() != self.arrow_schema:
                raise ContractError(
                    explain(
                        f"the stored table '{self.name}' has the wrong schema",
                        where=path,
                        expected=self.arrow_schema.to_string(),
                        got=file.schema_arrow.to_string(),
                        todo="run the stage that writes it again",
                    )
                )
            checked = [column.name for column in self.columns if _is_checked(column)]
            wanted = list(dict.fromkeys([*checked, *self.key]))
            keys = []
            for group in range(file.num_row_groups if wanted else 0):
                frame = file.read_row_group(group, columns=wanted).to_pandas()
                self._check_values(frame, checked)
                keys.append(frame[list(self.key)])
            if self.key and keys:
                self._check_key(pd.concat(keys, ignore_index=True))
            return int(file.metadata.num_rows)

    def _check_values(self, frame: pd.DataFrame, checked: list[str]) -> None:
        import pandera.errors

        if not checked:
            return
        try:
            self.pandera_schema.select_columns(checked).validate(frame[checked], lazy=True)
        except pandera.errors.SchemaErrors as wrong:
            cases = wrong.failure_cases
            raise ContractError(
                explain(
                    f"{len(cases)} value(s) of the table '{self.name}' break its contract",
                    where=", ".join(sorted({str(name) for name in cases["column"]})),
                    expected=", ".join(sorted({str(name) for name in cases["check"]})),
                    got=", ".join(str(value) for value in cases["failure_case"].head(5)),
                ),
                rows=cases,
            ) from wrong

    def _check_key(self, keys: pd.DataFrame) -> None:
        repeated = keys[keys.duplicated(keep=False)]
        if len(repeated):
            raise ContractError(
                explain(
                    f"the key of the table '{self.name}' isn't unique",
                    where=", ".join(self.key),
                    expected="each key once",
                    got=f"{len(repeated)} rows that share theirs, such as {repeated.iloc[0].tolist()}",
                ),
                rows=repeated,
            )


def _is_checked(column: Column) -> bool:
    return column.required or column.low is not None or column.high is not None or column.values is not None


def _text(
    name: str, meaning: str, *, required: bool = False, values: tuple[str, ...] | None = None
) -> Column:
    return Column(name, "string", meaning, required=required, values=values)


AWARDS = Table(
    "awards",
    "One award as filed, its values read into types; personal columns are left out.",
    (
        _text(
            "award_id",
            "Stable id: digest of what identifies the award, numbered where it repeats",
            required=True,
        ),
        Column("source_row", "int64", "Ordinal of the record in the file, from 1", required=True, low=1),
        Column(
            "source_line", "int64", "Physical line on which the record starts, from 1", required=True, low=1
        ),
        _text("company", "Company name as filed, HTML entities decoded, blanks trimmed", required=True),
        _text("title", "Award title"),
        _text("agency", "Agency, full name", required=True),
        _text("branch", "Component of the agency"),
        _text("phase", "Phase I, Phase II or as filed"),
        _text("program", "SBIR or STTR"),
        _text("tracking_number", "Agency tracking number as filed"),
        _text("contract", "Contract or grant number as filed"),
        Column("award_date", "date", "Proposal award date"),
        Column("contract_end_date", "date", "Contract end date"),
        _text("solicitation_number", "Solicitation number as filed"),
        Column("solicitation_year", "int64", "Solicitation year", low=1970, high=2100),
        Column("solicitation_close_date", "date", "Solicitation close date"),
        Column("receipt_date", "date", "Proposal receipt date"),
        Column("notification_date", "date", "Date of notification"),
        _text("topic_code", "Topic code as filed"),
        Column("award_year", "int64", "Award year", required=True, low=1970, high=2100),
        Column("award_usd", "float64", "Award amount, US dollars as filed"),
        _text("uei", "Unique Entity ID, 12 characters, valid; null otherwise"),
        _text("duns", "DUNS, 9 digits; null where absent or junk"),
        Column("is_hubzone", "bool", "HUBZone owned"),
        Column("is_disadvantaged", "bool", "Socially and economically disadvantaged"),
        Column("is_woman_owned", "bool", "Woman owned"),
        Column("employees", "float64", "Number of employees", low=0),
        _text("website", "Company website"),
        _text("address1", "Street address"),
        _text("address2", "Street address, second line"),
        _text("city", "City as filed"),
        _text("state", "State, two-letter code; as filed where it isn't a US state"),
        _text("zip5", "ZIP, first five digits"),
        _text("abstract", "Abstract"),
        _text("research_institution", "Research institution of an STTR"),
        Column("is_duplicate", "bool", "Whether every field repeats an earlier record", required=True),
    ),
    key=("award_id",),
)

RECIPIENTS = Table(
    "recipients",
    "One federal recipient.",
    (
        _text("recipient_id", "The source's own id, or a digest of its identifiers and name", required=True),
        _text("recipient_name", "Legal business name as filed", required=True),
        _text("uei", "Unique Entity ID, 12 characters, valid; null otherwise"),
        _text("duns", "DUNS, 9 digits; null where absent or junk"),
        _text("cage", "CAGE code, 5 characters"),
        _text("parent_uei", "UEI of the ultimate parent"),
        _text("parent_name", "Name of the ultimate parent"),
        _text("address1", "Street address"),
        _text("city", "City as filed"),
        _text("state", "State, two-letter code; as filed where it isn't a US state"),
        _text("zip5", "ZIP, first five digits"),
        _text("country", "Country, three-letter code"),
        _text("alternate_names", "Other names (DBA, former), joined by a bar"),
        _text("source", "Where the row comes from"),
    ),
    key=("recipient_id",),
)

_REJECTS = (
    Column("source_row", "int64", "Ordinal of the record in the file, from 1", required=True, low=1),
    Column("source_line", "int64", "Physical line on which the record starts, from 1", required=True, low=1),
    _text("column", "The column at fault; null when the whole record is"),
    _text("value", "The value at fault, as filed"),
    _text("reason", "Why the record can't be used", required=True),
    _text("raw", "The record as filed, cut at 2,000 characters", required=True),
)
AWARD_REJECTS = Table("award_rejects", "One award record that couldn't be used, and why.", _REJECTS)
RECIPIENT_REJECTS = Table(
    "recipient_rejects", "One recipient record that couldn't be used, and why.", _REJECTS
)

COMPANIES = Table(
    "companies",
    "One distinct company on the award side: a name with its place and identifiers.",
    (
        _text("company_id", "Digest of the company's fields", required=True),
        _text("company", "Company name as filed", required=True),
        _text("address1", "Street address"),
        _text("city", "City"),
        _text("state", "State, two-letter code"),
        _text("zip5", "ZIP, first five digits"),
        _text("uei", "Unique Entity ID"),
        _text("duns", "DUNS"),
        Column("awards", "int64", "How many awards it has", required=True, low=1),
    ),
    key=("company_id",),
)

_MATCH = (
    _text("recipient_id", "The accepted or proposed recipient; null when rejected"),
    _text("recipient_uei", "Its UEI"),
    _text("recipient_name", "Its legal name"),
    _text("tier", "What found it", values=TIERS),
    Column("match_probability", "float64", "Calibrated probability that it is the right one", low=0, high=1),
    Column("margin", "float64", "Probability of the best minus that of the runner-up", low=0, high=1),
    _text("decision", "accept, review or reject", required=True, values=DECISIONS),
    _text("evidence", "Each piece of evidence and its weight in bits, as JSON"),
)
COMPANY_MATCHES = Table(
    "company_matches",
    "One distinct company with the recipient it was matched to, and the runner-up.",
    (
        _text("company_id", "Digest of the company's fields", required=True),
        *_MATCH,
        _text("runner_up_id", "The second-best recipient"),
        _text("runner_up_name", "Its legal name"),
        Column("runner_up_probability", "float64", "Its probability", low=0, high=1),
    ),
    key=("company_id",),
)
MATCHES = Table(
    "matches",
    "One award with its recipient, in the order of the awards.",
    (
        _text("award_id", "The award", required=True),
        _text("company", "Its company, as filed", required=True),
        *_MATCH,
    ),
    key=("award_id",),
)
ENRICHED_AWARDS = Table(
    "enriched_awards",
    "One award with what is known about its accepted recipient, in the order of the awards.",
    (
        *(column for column in AWARDS.columns if column.name != "abstract"),
        _text("decision", "accept, review or reject", required=True, values=DECISIONS),
        _text("tier", "What found the recipient", values=TIERS),
        Column(
            "match_probability", "float64", "Calibrated probability that it is the right one", low=0, high=1
        ),
        _text("recipient_id", "The accepted recipient; null unless accepted"),
        _text("recipient_name", "Its legal name"),
        _text("recipient_uei", "Its UEI"),
        _text("recipient_duns", "Its DUNS"),
        _text("recipient_cage", "Its CAGE code"),
        _text("recipient_parent_uei", "Its parent's UEI"),
        _text("recipient_parent_name", "Its parent's name"),
        _text("recipient_city", "Its city"),
        _text("recipient_state", "Its state"),
        _text("recipient_zip5", "Its ZIP"),
        _text("recipient_country", "Its country"),
    ),
    key=("award_id",),
)
REVIEW_CANDIDATES = Table(
    "review_candidates",
    "One company whose best candidate a person should look at, the largest sums first.",
    (
        _text("company_id", "Digest of the company's fields", required=True),
        _text("company", "Company name as filed", required=True),
        _text("city", "City"),
        _text("state", "State"),
        _text("zip5", "ZIP"),
        Column("awards", "int64", "How many awards it has", required=True, low=1),
        Column("awards_usd", "float64", "Their sum, US dollars"),
        _text("recipient_id", "The best candidate", required=True),
        _text("recipient_name", "Its legal name", required=True),
        Column("match_probability", "float64", "Its probability", low=0, high=1),
        _text("runner_up_name", "The second-best candidate"),
        Column("runner_up_probability", "float64", "Its probability", low=0, high=1),
        _text("evidence", "Each piece of evidence and its weight in bits, as JSON"),
    ),
    key=("company_id",),
)
ACCURACY = Table(
    "accuracy",
    "One estimate of how right the matching is, with its interval.",
    (
        _text("estimate", "What is estimated", required=True),
        _text("slice", "For which companies", required=True),
        Column("value", "float64", "The estimate; null when nothing can be said", low=0, high=1),
        Column("low", "float64", "Lower end of the 95 % interval", low=0, high=1),
        Column("high", "float64", "Upper end of the 95 % interval", low=0, high=1),
        Column("numerator", "int64", "Cases that count for it", required=True, low=0),
        Column("denominator", "int64", "Cases looked at", required=True, low=0),
        _text("method", "How it was estimated", required=True),
    ),
    key=("estimate", "slice"),
)
METRICS = Table(
    "metrics",
    "One measured quality metric, with its interval where it is a proportion.",
    (
        _text("metric", "Its name", required=True),
        _text("slice", "Of what part of the data: 'all', or 'column=value'", required=True),
        Column("value", "float64", "Its value; null when the denominator is zero"),
        Column("low", "float64", "Lower end of the 95 % interval"),
        Column("high", "float64", "Upper end of the 95 % interval"),
        Column("numerator", "float64", "What is counted"),
        Column("denominator", "float64", "Out of what"),
        _text("unit", "share, count or US dollars", required=True),
    ),
    key=("metric", "slice"),
)
GATES = Table(
    "gates",
    "One gate's verdict.",
    (
        _text("gate", "Its name", required=True),
        _text("metric", "What it measures", required=True),
        _text("slice", "The slice concerned (the worst one for a sliced gate)", required=True),
        Column("value", "float64", "What was measured"),
        _text("threshold", "What it is held against, in words", required=True),
        _text("verdict", "pass, warn, fail or unknown", required=True, values=VERDICTS),
        _text("action", "What follows from the verdict", required=True),
        _text("reason", "In one sentence", required=True),
    ),
    key=("gate",),
)
STAGE_FIGURES = Table(
    "stage_figures",
    "One stage or phase of this run with the time and memory it took.",
    (
        _text("stage", "The stage", required=True),
        _text("phase", "The phase inside it; 'all' for the stage itself", required=True),
        Column("started_s", "float64", "Start, seconds after the run's start", required=True),
        Column("elapsed_s", "float64", "Wall time", required=True, low=0),
        Column("cpu_s", "float64", "CPU time, user and system", low=0),
        Column("peak_bytes", "int64", "Peak memory of the process tree (PSS); null where not sampled", low=0),
        Column("rows", "int64", "Rows worked on", low=0),
        Column("rows_per_s", "float64", "Rows per second of wall time", low=0),
    ),
)
RECOMMENDATIONS = Table(
    "recommendations",
    "One change worth making, with what it would save, largest first.",
    (
        Column("rank", "int64", "1 saves most", required=True, low=1),
        _text("change", "What to change", required=True),
        _text("where", "Which stage or phase it concerns", required=True),
        Column("saved_s", "float64", "Seconds it would save per run", required=True, low=0),
        Column("saved_share", "float64", "Share of the run's time", required=True, low=0, high=1),
        _text("evidence", "The measurements it follows from", required=True),
        _text("confidence", "high, medium or low", required=True, values=("high", "medium", "low")),
    ),
    key=("rank",),
)
FUNDING = Table(
    "funding",
    "Awards and dollars by one dimension, matched and unmatched.",
    (
        _text("dimension", "year, agency or state", required=True, values=("year", "agency", "state")),
        _text("value", "The year, agency or state", required=True),
        Column("awards", "int64", "Awards", required=True, low=0),
        Column("matched_awards", "int64", "Awards with an accepted recipient", required=True, low=0),
        Column("awards_usd", "float64", "US dollars as filed", required=True),
        Column("matched_usd", "float64", "US dollars of awards with an accepted recipient", required=True),
    ),
    key=("dimension", "value"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        AWARDS,
        AWARD_REJECTS,
        RECIPIENTS,
        RECIPIENT_REJECTS,
        COMPANIES,
        COMPANY_MATCHES,
        MATCHES,
        ENRICHED_AWARDS,
        REVIEW_CANDIDATES,
        ACCURACY,
        METRICS,
        GATES,
        STAGE_FIGURES,
        RECOMMENDATIONS,
        FUNDING,
    )
}
