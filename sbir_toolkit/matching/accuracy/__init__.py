"""How right the matching is, measured without labels and, where a person gave some, with them.

Each question is answered by a trial whose right answer is known:

- *Hidden identifier* (`sample`, `trials`). Companies whose UEI or DUNS names a recipient are matched again
  with their identifiers blanked, and what is found by name and place alone is held against what the
  identifier said. Several recipients of one firm are one. Companies that need this are older than those
  that can be tried, so precision and recall are also given reweighted to their years (`years`).
- *Removed truth.* The same companies, with the right recipient kept from them: every link is a false one.
  This is what happens to companies that have no counterpart.
- *Decoys* (`decoys`). Invented companies, whom nobody should be linked to; known companies at a shuffled
  place, in another state; and recipients searched for themselves, of whom all should be found.

From these trials follow how often a probability comes true (`reliability`), what each threshold would mean
(`thresholds`), and what each route to candidates finds (`routes`). What the probabilities themselves imply
stands beside what was measured (`implied`). The last word is a person's: `label_sample` draws a blind,
stratified list of pairs, `labels` reads the answers and reweights them to all companies.

Every estimate has its number of cases and an interval; what can't be said is null.
"""

from sbir_toolkit.matching.accuracy.label_sample import draw_label_sample
from sbir_toolkit.matching.accuracy.labels import read_labels
from sbir_toolkit.matching.accuracy.measure import measure_accuracy
from sbir_toolkit.matching.accuracy.report import AccuracyReport

__all__ = ["AccuracyReport", "draw_label_sample", "measure_accuracy", "read_labels"]
