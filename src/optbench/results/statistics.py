"""How sure a comparison is: intervals, paired tests, probabilities of improvement, and the seeds that a test needs.

Everything that chance decides here is drawn from generators of a fixed seed: the same records, the same numbers.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from optbench.checks import UserError
from optbench.results.frame import labels, whole
from optbench.results.settings import WORKLOAD

LEVEL = 0.95
"""Of every interval."""
ALPHA = 0.05
"""Of every family of tests, after Holm's correction."""
POWER = 0.8
"""Of a test whose seeds are counted by `seeds_needed`."""
FEWEST = 3
"""Seeds below which no interval is given and nothing is tested."""
RESAMPLES = 2000
MOST_SEEDS = 100_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """What settings are ranked by.

    Attributes:
        name: A column of a frame, such as `final_test_accuracy`.
    """

    name: str

    @property
    def larger(self) -> bool:
        """Whether larger is better: of accuracies."""
        return self.name.endswith("accuracy")

    def of(self, runs: pd.DataFrame) -> "pd.Series[float]":
        """Return the measure of each run; of one that is not done the worst that there is, which is what it counts."""
        return runs[self.name].where(runs["status"] == "done", 0.0 if self.larger else math.inf)

    @property
    def words(self) -> str:
        """What it is called in a sentence, such as `test accuracy`."""
        return self.name.partition("_")[2].replace("_", " ").replace("val ", "validation ")

    @property
    def scale(self) -> float:
        """What its values are multiplied with to be shown: accuracies are in per cent."""
        return 100.0 if self.larger else 1.0

    @property
    def title(self) -> str:
        """What an axis calls it, such as `test accuracy, %`."""
        return f"{self.words}, %" if self.larger else self.words


def measure(frame: pd.DataFrame) -> Measure:
    """Return what ranks the settings of a frame: on the validation split where all runs that are done have one.

    Else on the test split, or the training split where nothing else was measured; the accuracy where there are classes,
    else the loss.
    """
    done = frame[frame["status"] == "done"]
    held_out = len(done) and done["final_val_loss"].notna().all()
    splits = ["val", "test", "train"] if held_out else ["test", "train"]
    names = [f"final_{split}_{what}" for split in splits for what in ("accuracy", "loss")]
    return Measure(next((name for name in names if frame[name].notna().any()), "final_test_loss"))


def interval(values: Values) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of a mean, BCa; percentiles where that is not defined.

    Args:
        values: One of each seed, shape (n,).

    Returns:
        Its ends; not a number where there are fewer than three seeds, or a value is not finite.
    """
    if len(values) < FEWEST or not np.isfinite(values).all():
        return math.nan, math.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    return _bootstrapped(tuple(values.tolist()))


@lru_cache(maxsize=100_000)
def _bootstrapped(values: tuple[float, ...]) -> tuple[float, float]:
    """Return the interval of values that differ; tables, figures and sentences ask for the same ones."""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = stats.bootstrap(
                (np.array(values),),
                np.mean,
                confidence_level=LEVEL,
                n_resamples=RESAMPLES,
                method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            break
    return float(found.low), float(found.high)


def paired(a: "pd.Series[float]", b: "pd.Series[float]") -> Values:
    """Return `a - b` of the seeds that two settings have in common, shape (seeds,).

    Args:
        a: Values by seed.
        b: Values by seed.
    """
    both = pd.concat([a, b], axis=1, join="inner").dropna()
    return np.asarray(both.iloc[:, 0] - both.iloc[:, 1], dtype=float)


def p_value(a: "pd.Series[float]", b: "pd.Series[float]") -> float:
    """Return the p-value of the hypothesis that two settings have the same mean.

    Student's paired t-test over the seeds that both have: the same seed gives the same initial weights and the same
    mini-batches. Welch's test where they share fewer than three seeds and have as many each; else not a number.

    Args:
        a: Values by seed.
        b: Values by seed.
    """
    differences = paired(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal differences
        if len(differences) >= FEWEST:
            if np.ptp(differences) == 0:
                return 1.0 if differences[0] == 0 else 0.0
            return float(stats.ttest_1samp(differences, 0.0).pvalue)
        if min(len(a), len(b)) >= FEWEST:
            return float(stats.ttest_ind(a, b, equal_var=False).pvalue)
    return math.nan


def holm(p_values: "pd.Series[float]") -> "pd.Series[float]":
    """Return p-values after Holm's correction (1979) for a family of tests; those that are not a number stay so."""
    known = p_values.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    adjusted = (known * factors).cummax().clip(upper=1.0)
    return adjusted.reindex(p_values.index)


def probability_of_improvement(a: "pd.Series[float]", b: "pd.Series[float]") -> float:
    """Return the probability that a run of one setting has a larger value than one of another; ties count half.

    Over all pairs of seeds (Agarwal et al., Deep RL at the Edge of the Statistical Precipice, 2021,
    https://arxiv.org/abs/2108.13264). A run that failed takes part with the worst value that there is.

    Args:
        a: Values of the one.
        b: Values of the other.
    """
    x, y = (values[~np.isnan(values)] for values in (np.asarray(a, dtype=float), np.asarray(b, dtype=float)))
    if not (x.size and y.size):
        return math.nan
    return float(np.mean((x[:, None] > y) + 0.5 * (x[:, None] == y)))


def seeds_needed(frame: pd.DataFrame, difference: float) -> int:
    """Return how many seeds would tell two settings apart whose means differ by so much, at the spread that is seen.

    By the paired t-test at 5 %, with a power of 80 %. The spread is that of the differences over common seeds to the
    best setting (in each workload): of several others, the largest.

    Args:
        frame: Runs, as `load` returns them, of two settings or more.
        difference: In units of what ranks them (`measure`): 0.01 is one per cent of accuracy.

    Raises:
        UserError: The difference is not positive, no two settings share two seeds, or workloads differ in what ranks.
    """
    if not difference > 0:
        raise UserError(f"seeds_needed: difference={difference!r} is outside (0, inf)")
    frame = whole(frame)
    parts = [own for _, own in frame.groupby(WORKLOAD)] if WORKLOAD in frame else [frame]
    if len({measure(part).name for part in parts}) > 1:
        raise UserError(
            "seeds_needed: the workloads are ranked by an accuracy and by a loss; give the runs of one kind"
        )
    spreads = [spread for part in parts for spread in _spreads(part)]
    if not spreads:
        raise UserError("seeds_needed: no two settings have two seeds in common; train with more seeds")
    return seeds_for(max(spreads), difference)


def _spreads(frame: pd.DataFrame) -> Iterator[float]:
    """Yield the standard deviation of each setting's differences to the best, of those that share two seeds with it."""
    ranked = measure(frame)
    sign = 1 if ranked.larger else -1
    scored = by_setting(frame, ranked)
    best = max(scored, default=(), key=lambda setting: (len(scored[setting]), sign * scored[setting].mean()))
    for setting, values in scored.items():
        gap = paired(values, scored[best])
        if setting != best and len(gap) > 1:
            yield float(gap.std(ddof=1))


def seeds_for(spread: float, difference: float, alpha: float = ALPHA) -> int:
    """Return the seeds at which a paired t-test finds a difference with `POWER`, at least `FEWEST`.

    Args:
        spread: Standard deviation of the paired differences.
        difference: Of the means, in the same units.
        alpha: Of the test.
    """
    effect = abs(difference) / spread if spread else math.inf
    if not math.isfinite(effect):
        return FEWEST
    low = FEWEST
    high = FEWEST
    while _power(high, effect, alpha) < POWER and high < MOST_SEEDS:
        low = high
        high = 2 * high
    while low < high:
        middle = (low + high) // 2
        if _power(middle, effect, alpha) < POWER:
            low = middle + 1
        else:
            high = middle
    return high


def _power(seeds: int, effect: float, alpha: float) -> float:
    """Return the power of the two-sided paired t-test; `effect` is in standard deviations of the differences."""
    freedom = seeds - 1
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    return float(stats.nct.sf(critical, freedom, effect * math.sqrt(seeds)))


def by_setting(
    frame: pd.DataFrame, ranked: Measure, worst: bool = False
) -> Mapping[tuple[object, ...], "pd.Series[float]"]:
    """Return the values of each setting by seed, in the order of the frame.

    Args:
        frame: Runs.
        ranked: Which value.
        worst: Whether runs that are not done take part, with the worst value there is; else they are left out.
    """
    values = ranked.of(frame)
    chosen = frame if worst else frame[frame["status"] == "done"]
    groups = chosen.groupby(labels(frame), sort=False, dropna=False)
    return {
        setting if isinstance(setting, tuple) else (setting,): values[runs.index].set_axis(runs["seed"])
        for setting, runs in groups
    }
