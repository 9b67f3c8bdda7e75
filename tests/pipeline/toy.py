"""A toy project: small notebooks that stand for stages, in a pipeline of their own."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import yaml

from sbir_toolkit.pipeline.project import Project

PARAMETERS = 'run_id = ""\nparams_file = "params/toy.yml"'
FUNDING = """
import pandas as pd
import sbir_toolkit as sbir

stage = sbir.open_stage("{name}", run_id, params_file)
frame = pd.DataFrame({{"dimension": ["year"], "value": ["2000"], "awards": [{awards}], "matched_awards": [1],
                      "awards_usd": [1.0], "matched_usd": [1.0]}})
stage.write(funding=frame)
stage.finish()
"""
RECOMMENDS = """
import pandas as pd
import sbir_toolkit as sbir

stage = sbir.open_stage("{name}", run_id, params_file)
awards = int(stage.read("funding")["awards"].sum())
frame = pd.DataFrame({{"rank": [1], "change": [f"awards {{awards}}"], "where": ["x"], "saved_s": [1.0],
                      "saved_share": [0.5], "evidence": ["e"], "confidence": ["low"]}})
stage.write(recommendations=frame)
stage.finish()
"""


def write_notebook(path: Path, *cells: str, parameters: str = PARAMETERS) -> None:
    """Write a notebook with a parameters cell and these code cells."""
    sources = [(parameters, ["parameters"]), *((textwrap.dedent(cell).strip(), []) for cell in cells)]
    notebook = {
        "cells": [
            {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {path.stem}"},
            *(
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "id": f"cell-{number}",
                    "metadata": {"tags": tags},
                    "outputs": [],
                    "source": source,
                }
                for number, (source, tags) in enumerate(sources)
            ),
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))


def make_project(folder: Path, stages: dict[str, dict[str, object]], **params: object) -> Project:
    """Write a pipeline's declaration and parameters; stages without a notebook get an empty one."""
    for name, stage in stages.items():
        stage.setdefault("notebook", f"{name}.ipynb")
        notebook = folder / "notebooks" / str(stage["notebook"])
        if not notebook.exists():
            write_notebook(notebook, "pass")
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    (folder / "notebooks" / "pipeline.yml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (folder / "params").mkdir(exist_ok=True)
    (folder / "params" / "toy.yml").write_text(yaml.safe_dump({"name": "toy", **params}))
    return Project(folder, folder / "outputs")
