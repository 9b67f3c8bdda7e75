"""In what order: the declared pipeline, its plan, its runs, and what a notebook opens.

`stages` reads the declaration, `keys` and `plan` decide what has to run, `conduct` runs it through `runner`
and `child`, `publish` and `certificate` say what came of it, `workspace` is what a notebook sees of all this.
"""
