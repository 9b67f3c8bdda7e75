"""The floor: what DuckDB needs to read both files, join on UEI and DUNS, and write one row per award.

No names are compared, nothing is checked or rejected: the least that any matcher has to do.

    python benchmarks/peers/floor.py AWARDS.csv RECIPIENTS.csv OUT.parquet
"""

from __future__ import annotations

import sys

from companies import open_files, write_identified


def main() -> None:
    """Join the files of the command line."""
    awards, recipients, out = sys.argv[1:]
    write_identified(open_files(awards, recipients, "VIEW"), out)


if __name__ == "__main__":
    main()
