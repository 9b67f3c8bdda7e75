"""The contracts of what is made of the inputs: matches, metrics, verdicts, figures, findings."""

from __future__ import annotations

from sbir_toolkit.tables.contract import Column, Table, text
from sbir_toolkit.tables.inputs import AWARDS

TIERS = ("override", "uei", "duns", "contract", "name_exact", "name_fuzzy", "sibling")
DECISIONS = ("accept", "review", "reject")
VERDICTS = ("pass", "warn", "fail", "unknown")

COMPANIES = Table(
    "companies",
    "One distinct company on the award side: a name with its place and identifiers.",
    (
        text("company_id", "Digest of the company's fields", required=True),
        text("company", "Company name as filed", required=True),
        text("address1", "Street address"),
        text("city", "City"),
        text("state", "State, two-letter code"),
        text("zip5", "ZIP, first five digits"),
        text("uei", "Unique Entity ID"),
        text("duns", "DUNS"),
        text("contracts", "Keys of its awards' contracts that name a recipient, joined by a bar"),
        Column("last_award_year", "int64", "Year of its last award; null where that isn't known"),
        Column("awards", "int64", "How many awards it has", required=True, low=1),
    ),
    key=("company_id",),
)

_MATCH = (
    text("recipient_id", "The accepted or proposed recipient; null when rejected"),
    text("recipient_uei", "Its UEI"),
    text("recipient_name", "Its legal name"),
    text("tier", "What found it; sibling: a company of the same name; override: a person", values=TIERS),
    Column(
        "match_probability",
        "float64",
        "Calibrated probability that it is the right one; null where a person chose it: nothing is measured",
        low=0,
        high=1,
    ),
    Column("margin", "float64", "Probability of the best minus that of the runner-up", low=0, high=1),
    text("decision", "accept, review or reject", required=True, values=DECISIONS),
    text(
        "evidence",
        "Each piece of evidence and its weight in bits, who overrode or told it, why it is unmatched: JSON",
    ),
)
COMPANY_MATCHES = Table(
    "company_matches",
    "One distinct company with the recipient it was matched to, and the runner-up.",
    (
        text("company_id", "Digest of the company's fields", required=True),
        *_MATCH,
        text("runner_up_id", "The second-best recipient"),
        text("runner_up_name", "Its legal name"),
        Column("runner_up_probability", "float64", "Its probability", low=0, high=1),
    ),
    key=("company_id",),
)
COMPANY_REJECTS = Table(
    "company_rejects",
    "One company that can't be matched: matching it kills the process or raises an error.",
    (
        text("company_id", "Digest of the company's fields", required=True),
        text("company", "Company name as filed", required=True),
        Column("awards", "int64", "How many awards it has; they go on unmatched", required=True, low=1),
        text("reason", "What happens when it is matched by itself", required=True),
    ),
    key=("company_id",),
)
MATCHES = Table(
    "matches",
    "One award with its recipient, in the order of the awards.",
    (
        text("award_id", "The award", required=True),
        text("company", "Its company, as filed", required=True),
        *_MATCH,
    ),
    key=("award_id",),
)
ENRICHED_AWARDS = Table(
    "enriched_awards",
    "One award with what is known about its accepted recipient, in the order of the awards.",
    (
        *(column for column in AWARDS.columns if column.name != "abstract"),
        text("decision", "accept, review or reject", required=True, values=DECISIONS),
        text("tier", "What found the recipient; override: a person decided", values=TIERS),
        Column(
            "match_probability",
            "float64",
            "Calibrated probability that it is the right one; null where a person chose it",
            low=0,
            high=1,
        ),
        text("recipient_id", "The accepted recipient; null unless accepted"),
        text("recipient_name", "Its legal name"),
        text("recipient_uei", "Its UEI"),
        text("recipient_duns", "Its DUNS"),
        text("recipient_cage", "Its CAGE code"),
        text("recipient_parent_uei", "Its parent's UEI"),
        text("recipient_parent_name", "Its parent's name"),
        text("recipient_city", "Its city"),
        text("recipient_state", "Its state"),
        text("recipient_zip5", "Its ZIP"),
        text("recipient_country", "Its country"),
    ),
    key=("award_id",),
)
RELEASED_AWARDS = Table(
    "released_awards",
    "One enriched award that the quality gates let go on, in the order of the awards.",
    ENRICHED_AWARDS.columns,
    key=("award_id",),
)
QUARANTINED_AWARDS = Table(
    "quarantined_awards",
    "One enriched award that a failed quality gate set aside, in the order of the awards.",
    (text("gate", "The gate it was set aside by", required=True), *ENRICHED_AWARDS.columns),
    key=("award_id",),
)
REVIEW_CANDIDATES = Table(
    "review_candidates",
    "One question for a person, is this firm that recipient; first where most dollars are expected.",
    (
        text("company_id", "The firm's company with the largest sum", required=True),
        text("company", "Its name as filed", required=True),
        text("city", "Its city"),
        text("state", "Its state"),
        text("website", "The firm's website, as filed most often"),
        Column("awards", "int64", "The firm's awards, under all spellings and places", required=True, low=1),
        Column("awards_usd", "float64", "Their sum, US dollars"),
        Column("first_year", "int64", "Year of the first one"),
        Column("last_year", "int64", "Year of the last one"),
        text("recipient_id", "The proposed recipient", required=True),
        text("recipient_name", "Its legal name", required=True),
        text("recipient_city", "Its city"),
        text("recipient_state", "Its state"),
        text("recipient_uei", "Its UEI"),
        text("recipient_duns", "Its DUNS"),
        Column("match_probability", "float64", "Its probability for that company", low=0, high=1),
        text("evidence", "What speaks for and against it, in words"),
        text("runner_up_id", "The second-best recipient"),
        text("runner_up_name", "Its legal name"),
        Column("runner_up_probability", "float64", "Its probability", low=0, high=1),
        text(
            "spellings", "All that was filed, a line for each spelling and place, with its id", required=True
        ),
    ),
    key=("company_id",),
)
OVERRIDES = Table(
    "overrides",
    "One decision of a person about a match, and what became of it.",
    (
        Column(
            "row", "int64", "Its row in the overrides' file, the header being row 1", required=True, low=2
        ),
        text(
            "decision",
            "same, different, or other: another recipient than the proposed one",
            required=True,
            values=("same", "different", "other"),
        ),
        text("company", "The firm it is about", required=True),
        text("recipient", "The recipient it is about", required=True),
        text("who", "Who decided", required=True),
        text("why", "Why", required=True),
        text("status", "used or unused", required=True, values=("used", "unused")),
        text("reason", "Why it isn't used"),
        Column("companies", "int64", "Distinct companies it decided", required=True, low=0),
        Column("awards", "int64", "Their awards", required=True, low=0),
    ),
    key=("row",),
)
ACCURACY = Table(
    "accuracy",
    "One estimate of how right the matching is, with its interval.",
    (
        text("estimate", "What is estimated", required=True),
        text("slice", "For which companies", required=True),
        Column("value", "float64", "The estimate; null when nothing can be said", low=0, high=1),
        Column("low", "float64", "Lower end of the 95 % interval", low=0, high=1),
        Column("high", "float64", "Upper end of the 95 % interval", low=0, high=1),
        Column("numerator", "int64", "Cases that count for it", required=True, low=0),
        Column("denominator", "int64", "Cases looked at", required=True, low=0),
        Column(
            "effective_cases", "float64", "Equal cases that would tell as much; fewer where weighted", low=0
        ),
        text("method", "How it was estimated", required=True),
    ),
    key=("estimate", "slice"),
)


def _share(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        Column(name, "float64", meaning, low=0, high=1),
        Column(f"{name}_low", "float64", "Lower end of its interval", low=0, high=1),
        Column(f"{name}_high", "float64", "Upper end of its interval", low=0, high=1),
    )


ACCURACY_THRESHOLDS = Table(
    "accuracy_thresholds",
    "One threshold of the match probability, with what accepting from there on would mean.",
    (
        Column("threshold", "float64", "Accept from this probability on", required=True, low=0, high=1),
        Column("is_current", "bool", "Whether it is the one that was used", required=True),
        Column("trials", "int64", "Companies whose identifier was hidden", required=True, low=0),
        Column("accepted", "int64", "Of these with an accepted link", required=True, low=0),
        Column("accept_share", "float64", "Their share", low=0, high=1),
        *_share("precision", "Share of these links that is right"),
        *_share("recall", "Share of the trials with an accepted link that is right"),
        Column("removed_trials", "int64", "Companies whose recipient was taken away", required=True, low=0),
        *_share("removed_link_share", "Share of these with an accepted link; all are false"),
        Column("decoys", "int64", "Invented companies", required=True, low=0),
        *_share("decoy_link_share", "Share of these with an accepted link; all are false"),
        Column("companies", "int64", "Companies accepted that no identifier decides", required=True, low=0),
        Column("companies_share", "float64", "Their share", low=0, high=1),
    ),
    key=("threshold",),
)
ACCURACY_ROUTES = Table(
    "accuracy_routes",
    "One set of routes to candidates, with the known companies whose recipient just these routes found.",
    (
        text("routes", "The routes, parted by commas; 'none' where none found it", required=True),
        Column("cases", "int64", "Companies", required=True, low=0),
        Column("share", "float64", "Their share", required=True, low=0, high=1),
        Column("low", "float64", "Lower end of its interval", required=True, low=0, high=1),
        Column("high", "float64", "Upper end of its interval", required=True, low=0, high=1),
    ),
    key=("routes",),
)
LABEL_SAMPLE = Table(
    "label_sample",
    "One company and one recipient for a person to say whether they are the same firm, blind.",
    (
        text("key", "Names the pair; says nothing about it", required=True),
        text("company", "Company name as filed", required=True),
        text("company_address1", "Its street address"),
        text("company_city", "Its city"),
        text("company_state", "Its state"),
        text("company_zip5", "Its ZIP"),
        Column("last_award_year", "int64", "Year of its last award"),
        text("recipient_name", "The candidate's legal name", required=True),
        text("recipient_uei", "Its UEI"),
        text("recipient_city", "Its city"),
        text("recipient_state", "Its state"),
        text("recipient_zip5", "Its ZIP"),
    ),
    key=("key",),
)
METRICS = Table(
    "metrics",
    "One measured quality metric, with its interval where it is a proportion.",
    (
        text("metric", "Its name", required=True),
        text("slice", "Of what part of the data: 'all', or 'column=value'", required=True),
        Column("value", "float64", "Its value; null when the denominator is zero"),
        Column("low", "float64", "Lower end of the 95 % interval"),
        Column("high", "float64", "Upper end of the 95 % interval"),
        Column("numerator", "float64", "What is counted"),
        Column("denominator", "float64", "Out of what"),
        text("unit", "share, count, date (days since 1970) or US dollars", required=True),
    ),
    key=("metric", "slice"),
)
METRIC_HISTORY = Table(
    "metric_history",
    "One metric as an accepted earlier run measured it; what history rules compare with.",
    (
        text("run_id", "The accepted run", required=True),
        Column("created", "float64", "When it was started, seconds since 1970", required=True),
        text("metric", "The metric's name", required=True),
        text("slice", "Of what part of the data", required=True),
        Column("value", "float64", "Its value then"),
        Column("numerator", "float64", "What was counted"),
        Column("denominator", "float64", "Out of what"),
    ),
    key=("run_id", "metric", "slice"),
)
GATES = Table(
    "gates",
    "One gate's verdict.",
    (
        text("gate", "Its name", required=True),
        text("metric", "What it measures", required=True),
        text("slice", "The slice concerned (the worst one for a sliced gate)", required=True),
        Column("value", "float64", "What was measured"),
        text("threshold", "What it is held against, in words", required=True),
        Column("baseline", "float64", "Median of the accepted runs it is compared with"),
        Column("band_low", "float64", "Lower end of what they let pass"),
        Column("band_high", "float64", "Upper end of what they let pass"),
        Column("runs", "int64", "Accepted runs it is compared with", required=True, low=0),
        text("verdict", "pass, warn, fail or unknown (no verdict yet)", required=True, values=VERDICTS),
        text("action", "What follows from the verdict", required=True),
        text("reason", "In one sentence", required=True),
        text("overruled", "Who lets it pass all the same, and why"),
    ),
    key=("gate",),
)
STAGE_FIGURES = Table(
    "stage_figures",
    "One stage or phase of this run with the time and memory it took.",
    (
        text("stage", "The stage", required=True),
        text("phase", "The phase inside it; 'all' for the stage itself", required=True),
        Column("started_s", "float64", "Start, seconds after the run's start", required=True),
        Column("elapsed_s", "float64", "Wall time", required=True, low=0),
        Column("cpu_s", "float64", "CPU time, user and system", low=0),
        Column("peak_bytes", "int64", "Peak memory of the process tree (PSS); null where not sampled", low=0),
        Column("rows", "int64", "Rows worked on", low=0),
        Column("rows_per_s", "float64", "Rows per second of wall time", low=0),
        Column("user_s", "float64", "CPU time of the program itself", low=0),
        Column("system_s", "float64", "CPU time of the system on its behalf", low=0),
        Column("queued_s", "float64", "Time that its threads were ready to run and had no core", low=0),
        Column("minor_faults", "int64", "Pages that had to be mapped", low=0),
        Column("major_faults", "int64", "Pages that had to be read from a disk", low=0),
        Column("read_bytes", "int64", "Bytes read from disks", low=0),
        Column("written_bytes", "int64", "Bytes written to disks", low=0),
        text("inside", "The phase that this one is a part of"),
        Column("own_s", "float64", "Its share of the wall time, without its parts", low=0),
    ),
)
RECOMMENDATIONS = Table(
    "recommendations",
    "One change worth making, with what it would save, largest first.",
    (
        Column("rank", "int64", "1 saves most", required=True, low=1),
        text("change", "What to change", required=True),
        text("where", "Which stage or phase it concerns", required=True),
        Column("saved_s", "float64", "Seconds it would save per run", required=True, low=0),
        Column("saved_share", "float64", "Share of the run's time", required=True, low=0, high=1),
        text("evidence", "The measurements it follows from", required=True),
        text("confidence", "high, medium or low", required=True, values=("high", "medium", "low")),
    ),
    key=("rank",),
)
FUNDING = Table(
    "funding",
    "Awards and dollars by one dimension, matched and unmatched.",
    (
        text("dimension", "year, agency or state", required=True, values=("year", "agency", "state")),
        text("value", "The year, agency or state", required=True),
        Column("awards", "int64", "Awards", required=True, low=0),
        Column("matched_awards", "int64", "Awards with an accepted recipient", required=True, low=0),
        Column("awards_usd", "float64", "US dollars as filed", required=True),
        Column("matched_usd", "float64", "US dollars of awards with an accepted recipient", required=True),
    ),
    key=("dimension", "value"),
)
