"""From run records to tables: records -> one tidy frame -> statistics -> tables. Pure functions on frames."""

from optbench.results.answer import answer
from optbench.results.comparison import compare
from optbench.results.frame import Results, evaluations, labels, load, read, steps
from optbench.results.profile import (
    performance_profile,
    profile_interval,
    profile_score,
    score_interval,
    time_to_target,
)
from optbench.results.sensitivity import at_best, best_values, sensitivity, swept
from optbench.results.statistics import holm, interval, p_value, paired, probability_of_improvement, seeds_needed
from optbench.results.table import caption, latex, markdown, readable, terminal
from optbench.results.workloads import workload_scores, workload_times

__all__ = [
    "Results",
    "answer",
    "at_best",
    "best_values",
    "caption",
    "compare",
    "evaluations",
    "holm",
    "interval",
    "labels",
    "latex",
    "load",
    "markdown",
    "p_value",
    "paired",
    "performance_profile",
    "probability_of_improvement",
    "profile_interval",
    "profile_score",
    "read",
    "readable",
    "score_interval",
    "seeds_needed",
    "sensitivity",
    "steps",
    "swept",
    "terminal",
    "time_to_target",
    "workload_scores",
    "workload_times",
]
