"""From run records to tables: records -> one tidy frame -> statistics -> tables. Pure functions on frames."""

from optbench.results.answer import answer as answer
from optbench.results.comparison import compare as compare
from optbench.results.frame import (
    Results as Results,
    evaluations as evaluations,
    labels as labels,
    load as load,
    read as read,
    steps as steps,
)
from optbench.results.profile import (
    performance_profile as performance_profile,
    profile_interval as profile_interval,
    profile_score as profile_score,
    score_interval as score_interval,
    time_to_target as time_to_target,
)
from optbench.results.sensitivity import (
    at_best as at_best,
    best_values as best_values,
    sensitivity as sensitivity,
    swept as swept,
)
from optbench.results.statistics import (
    holm as holm,
    interval as interval,
    p_value as p_value,
    paired as paired,
    probability_of_improvement as probability_of_improvement,
    seeds_needed as seeds_needed,
)
from optbench.results.table import (
    caption as caption,
    latex as latex,
    markdown as markdown,
    readable as readable,
    terminal as terminal,
)
from optbench.results.workloads import workload_scores as workload_scores, workload_times as workload_times
