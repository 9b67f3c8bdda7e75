"""Parameters of the work itself: inputs, limits, matching, the pipeline."""

from __future__ import annotations

from pydantic import Field, model_validator

from sbir_toolkit.params.section import Section, Share

FILE_PARAMETERS = {
    "awards": "awards.path",
    "recipients": "recipients.path",
    "overrides": "matching.overrides",
    "labels": "accuracy.labels",
}
"""The parameter that names each input's file; results depend on the file's content, not on its name."""
OPTIONAL_FILES = ("overrides", "labels")
"""Inputs that needn't be there: what people said."""


class Source(Section):
    """Where one input comes from."""

    path: str | tuple[str, ...] | None = Field(
        None,
        description="File (relative to the project), URL, or a list: first ones count more. Null: synthetic.",
    )
    columns: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="What CSV, JSON or Parquet calls columns, such as {company: Firm Name}; or lists.",
    )
    table: str | None = Field(
        None, description="Table of a PostgreSQL dump; null: recipient_lookup, or else duns."
    )
    header: tuple[str, ...] = Field(
        (), description="Column names in order, for COPY text without the dump's toc.dat beside it."
    )


class Fetch(Section):
    """Where the official files are, and how they are fetched."""

    awards: str = Field(
        "https://data.www.sbir.gov/mod_awarddatapublic/award_data.csv",
        pattern=r"^https?://",
        description="SBIR.gov's bulk file of awards.",
    )
    recipients: str = Field(
        "https://api.usaspending.gov/api/v2/bulk_download/list_database_download_files",
        pattern=r"^https?://",
        description="A file of recipients, or USAspending's list of dumps: the newest subset in it.",
    )
    attempts: int = Field(5, ge=1, description="Attempts before giving up.")
    wait_s: float = Field(2.0, ge=0, description="Wait after the first attempt; doubled after each.")
    timeout_s: float = Field(30.0, gt=0, description="A server that says nothing for so long is given up.")


class Synthetic(Section):
    """The made-up input that stands in where no file is named."""

    awards: int = Field(10_000, ge=1, description="Award records to make.")
    recipients: int = Field(100_000, ge=1, description="Recipients to make.")
    seed: int = Field(20_261_123, ge=0, description="Seed of the generator; same seed, same bytes.")


class Limits(Section):
    """What the machine may be asked for."""

    memory_mb: int = Field(
        2_000, ge=256, description="Memory of the whole process tree, in MB; sizes the chunks."
    )
    read_rows: int = Field(50_000, ge=1, description="Records read and written at once.")


class Compute(Section):
    """How chunks are computed."""

    scheduler: str = Field(
        "threads",
        pattern=r"^(threads|processes|distributed|(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5})$",
        description="threads, processes, distributed (a cluster of this machine), or a cluster's address.",
    )
    workers: int = Field(0, ge=0, description="Workers at once; 0: one for each core.")
    chunk_companies: int = Field(
        0, ge=0, description="Distinct companies in a chunk; 0: from limits.memory_mb."
    )


class Matching(Section):
    """Who is who."""

    accept_probability: Share = Field(0.83, ge=0, le=1, description="Accept at or above this probability.")
    review_probability: Share = Field(0.01, ge=0, le=1, description="Show to a person at or above this one.")
    min_margin: Share = Field(
        0.20, ge=0, le=1, description="Accept only if this much ahead of the runner-up."
    )
    max_unplaced_probability: Share = Field(
        0.98, ge=0, le=1, description="A match by name alone, with a place unknown, is never surer than this."
    )
    max_renamed_probability: Share = Field(
        0.85,
        ge=0,
        le=1,
        description="A match under another name, by address alone or with a place unknown, is never surer.",
    )
    max_candidates: int = Field(20, ge=1, description="Candidates scored for each company.")
    min_word_overlap: Share = Field(
        0.30, ge=0, le=1, description="Share of words in common that makes a candidate."
    )
    max_word_postings: int = Field(
        2_000, ge=1, description="A word in more names than this finds no candidates."
    )
    overrides: str | None = Field(
        None, description="Review list, filled in: CSV or .xlsx, relative to the project. Null: none."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Matching:
        if self.review_probability > self.accept_probability:
            raise ValueError("matching.review_probability must not exceed matching.accept_probability")
        return self


class Accuracy(Section):
    """How the matching is checked against companies whose identifier is hidden."""

    sample_companies: int = Field(4_000, ge=1, description="Companies whose identifiers are hidden.")
    decoys: int = Field(
        1_000,
        ge=1,
        description="Companies in each smaller trial: invented, moved, recipients for themselves.",
    )
    label_sample: int = Field(300, ge=0, description="Pairs drawn for a person to label, blind.")
    labels: str | None = Field(
        None, description="The label sample filled in, CSV or XLSX; relative to the project. Null: none."
    )
    seed: int = Field(7, ge=0, description="Seed of all samples.")


class Pipeline(Section):
    """How the stages are run."""

    parallel_stages: int = Field(2, ge=1, description="Stages that may run side by side.")
    stage_timeout_s: float = Field(7_200.0, gt=0, description="A stage is stopped after this long.")
    kernel: str = Field("python3", description="Jupyter kernel the notebooks run in.")
    publish_to: str | None = Field(
        None, description="s3:// or gs:// folder that a finished run is copied to, whole. Null: nowhere."
    )
