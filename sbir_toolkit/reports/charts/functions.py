"""The chart of a profile: which functions of a stage its time goes to."""

from __future__ import annotations

import pandas as pd
from matplotlib.patches import Patch

from sbir_toolkit.reports.charts.base import (
    BLUE,
    GREY,
    LIGHT_BLUE,
    Chart,
    finish,
    grid,
    house_style,
    label_rows,
    legend_above,
    new_figure,
    rows_of,
    say,
    seconds_axis,
    write_beside,
)
from sbir_toolkit.reports.units import format_seconds, format_share

_SHOWN = 12
_PARTS = {
    "python_s": ("Python", BLUE),
    "native_s": ("native code", LIGHT_BLUE),
    "system_s": ("system, waiting", GREY),
}


@house_style
def function_times(functions: pd.DataFrame, *, stage: str, source: str = "scalene") -> Chart:
    """Draw what the dearest functions of a stage cost.

    Parameters
    ----------
    functions : pandas.DataFrame
        One row for each function: function, share, cpu_s, python_s, native_s, system_s; the dearest first.
        When there is none, words say how to make a profile.
    stage
        The stage that was profiled.
    source
        Where the figures come from, for the caption.

    Returns
    -------
    Chart
        One bar a function, split into Python, native code and system.
    """
    if functions.empty:
        return say(f"No profile of {stage} yet", f"Make one: sbir-toolkit profile {stage}", source=source)
    shown = functions.head(_SHOWN)
    figure = new_figure(0.9 + 0.3 * len(shown))
    axes = figure.subplots()
    for row, function in enumerate(rows_of(shown)):
        left = 0.0
        for part, (_, colour) in _PARTS.items():
            axes.barh(row, getattr(function, part), left=left, height=0.62, color=colour)
            left += getattr(function, part)
        write_beside(axes, f"{format_seconds(left)} ({format_share(function.share)})", (left, row))
    label_rows(axes, list(shown["function"]), width=52)
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    axes.set_xlabel("time in the profiled run")
    axes.xaxis.set_major_formatter(seconds_axis())
    grid(axes, "x")
    legend_above(axes, 3, [Patch(color=colour, label=name) for name, colour in _PARTS.values()])
    first = shown.iloc[0]
    return finish(
        figure,
        f"{first['function']} takes {format_share(first['share'])} of {stage.replace('_', ' ')}",
        "The dearest functions; what libraries do counts with the function that calls them",
        alt="; ".join(f"{one.function} {format_seconds(one.cpu_s)}" for one in rows_of(shown)),
        n=f"{len(functions)} functions",
        source=source,
    )
