"""What a table's contract is, and how a frame or a file is held against it.

A `Table` gives the Arrow schema that a table is stored with, and checks values against its promise with a
pandera schema made from the same columns. Stored tables are checked one row group at a time, so that a
large one needs no large memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sbir_toolkit.errors import ContractError, explain

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

DType = Literal["string", "int64", "float64", "bool", "date"]


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

        Uniqueness of the key is checked over the whole file; of each key eight bytes are held.

        Returns
        -------
        int
            The number of rows.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from sbir_toolkit.tables.uniqueness import are_distinct, mix_texts

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
            checked = [column for column in self.columns if _is_checked(column)]
            wanted = list(dict.fromkeys([*(column.name for column in checked), *self.key]))
            mixes = []
            for group in range(file.num_row_groups if wanted else 0):
                rows = file.read_row_group(group, columns=wanted)
                # Nulls are counted at no cost; only values need a closer look.
                suspects = [
                    column.name
                    for column in checked
                    if _has_checked_values(column) or rows[column.name].null_count
                ]
                self._check_values(rows.select(suspects).to_pandas(), suspects)
                mixes.append(mix_texts(rows[self.key[0]]) if len(self.key) == 1 else None)
            if self.key and not are_distinct(mixes):
                self._check_stored_key(file)
            return int(file.metadata.num_rows)

    def _check_stored_key(self, file: pq.ParquetFile) -> None:
        import numpy as np
        import pandas as pd

        digests = np.zeros(file.metadata.num_rows, np.uint64)
        first = 0
        for keys in self._stored_keys(file):
            digests[first : first + len(keys)] = _digest(keys)
            first += len(keys)
        digests.sort()
        repeated = digests[1:][digests[1:] == digests[:-1]]
        if len(repeated):
            # Different keys may share a digest: these few are compared themselves.
            suspects = [keys[np.isin(_digest(keys), repeated)] for keys in self._stored_keys(file)]
            self._check_key(pd.concat(suspects, ignore_index=True))

    def _stored_keys(self, file: pq.ParquetFile) -> Iterator[pd.DataFrame]:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(self.key)).to_pandas()

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


def _digest(keys: pd.DataFrame) -> npt.NDArray[np.uint64]:
    import numpy as np
    import pandas as pd

    return np.asarray(pd.util.hash_pandas_object(keys, index=False, categorize=False), np.uint64)


def _is_checked(column: Column) -> bool:
    return column.required or _has_checked_values(column)


def _has_checked_values(column: Column) -> bool:
    return column.low is not None or column.high is not None or column.values is not None


def text(name: str, meaning: str, *, required: bool = False, values: tuple[str, ...] | None = None) -> Column:
    """Make a column of text."""
    return Column(name, "string", meaning, required=required, values=values)
