"""What the toolkit is measured with: at full size, beside its peers, and as its inputs grow.

`match_full_size` measures it beside the floor, `compare_peers` beside other tools (`peers/`), `scaling` on
growing files. All run as modules from the project's folder (`make bench`, `make bench-peers`,
`make bench-scaling`), make their synthetic files once, and are judged by the same code against the truth that
is written beside them (`judge`). Results are stored as JSON and Markdown in `outputs/bench`.
"""
