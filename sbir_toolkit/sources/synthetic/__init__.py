"""Made-up award and recipient files in the official layouts, with the right answers beside them.

What a matcher does to real files can't be checked row by row, because nobody knows the right answers. Here
they are known: a population of companies is invented, each wins awards over the years, moves, is spelled in
several ways, is renamed; four in five stand in the register of recipients, among many others whose names
resemble theirs. How often each of these happens was measured on public data, and
`tests/sources/test_synthetic.py` holds the files to the measurements.

`write_synthetic` does it all. Inside: `draws` (chance that can be looked up), `words` and `names` (what
firms are called), `places` and `identifiers`, `population` (who there is), `noise` (how names differ),
`register` (who is called what), `recipients`, `awards`, `paperwork` and `prose` (the rows), `writer` (the
files), `editions` (awards as JSON and as the older file), `dumps`, `extracts` and `archives` (recipients as
USAspending and SAM.gov give them), `lines` (CSV).
"""

from sbir_toolkit.sources.synthetic.archives import write_archive
from sbir_toolkit.sources.synthetic.dumps import write_dump
from sbir_toolkit.sources.synthetic.extracts import write_extract
from sbir_toolkit.sources.synthetic.writer import SyntheticFiles, write_synthetic

__all__ = ["SyntheticFiles", "write_archive", "write_dump", "write_extract", "write_synthetic"]
