"""The contract of every table: its columns, their types and units, their meaning, what makes a row unique.

A stage hands its result to the next one as a table in a file. What is in that file is promised here and
nowhere else: the readers write it, the pipeline checks it after each stage, the notebooks rely on it.
`contract` says what a promise is, `inputs` and `results` make them.

Money is in US dollars as filed (`award_usd`), times are seconds (`_s`), sizes are bytes (`_bytes`), shares
and probabilities lie in 0..1.
"""

from sbir_toolkit.tables.contract import Column, Table
from sbir_toolkit.tables.inputs import (
    AWARD_REJECTS,
    AWARDS,
    RECIPIENT_CONTRACTS,
    RECIPIENT_REJECTS,
    RECIPIENTS,
)
from sbir_toolkit.tables.results import (
    ACCURACY,
    ACCURACY_ROUTES,
    ACCURACY_THRESHOLDS,
    COMPANIES,
    COMPANY_MATCHES,
    COMPANY_REJECTS,
    DECISIONS,
    ENRICHED_AWARDS,
    FUNDING,
    GATES,
    LABEL_SAMPLE,
    MATCHES,
    METRIC_HISTORY,
    METRICS,
    OVERRIDES,
    QUARANTINED_AWARDS,
    RECOMMENDATIONS,
    RELEASED_AWARDS,
    REVIEW_CANDIDATES,
    STAGE_FIGURES,
    TIERS,
    VERDICTS,
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        AWARDS,
        AWARD_REJECTS,
        RECIPIENTS,
        RECIPIENT_REJECTS,
        RECIPIENT_CONTRACTS,
        COMPANIES,
        COMPANY_MATCHES,
        COMPANY_REJECTS,
        MATCHES,
        ENRICHED_AWARDS,
        REVIEW_CANDIDATES,
        OVERRIDES,
        ACCURACY,
        ACCURACY_THRESHOLDS,
        ACCURACY_ROUTES,
        LABEL_SAMPLE,
        METRICS,
        METRIC_HISTORY,
        GATES,
        RELEASED_AWARDS,
        QUARANTINED_AWARDS,
        STAGE_FIGURES,
        RECOMMENDATIONS,
        FUNDING,
    )
}

__all__ = [
    "ACCURACY",
    "ACCURACY_ROUTES",
    "ACCURACY_THRESHOLDS",
    "AWARDS",
    "AWARD_REJECTS",
    "COMPANIES",
    "COMPANY_MATCHES",
    "COMPANY_REJECTS",
    "DECISIONS",
    "ENRICHED_AWARDS",
    "FUNDING",
    "GATES",
    "LABEL_SAMPLE",
    "MATCHES",
    "METRICS",
    "METRIC_HISTORY",
    "OVERRIDES",
    "QUARANTINED_AWARDS",
    "RECIPIENTS",
    "RECIPIENT_CONTRACTS",
    "RECIPIENT_REJECTS",
    "RECOMMENDATIONS",
    "RELEASED_AWARDS",
    "REVIEW_CANDIDATES",
    "STAGE_FIGURES",
    "TABLES",
    "TIERS",
    "VERDICTS",
    "Column",
    "Table",
]
