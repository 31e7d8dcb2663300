"""What to try next: a scrambled Sobol sequence, or Optuna's TPE."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from scipy.stats import qmc

from optbench.checks import UserError
from optbench.tuning.space import Range, Space

Proposal = dict[str, Any]
"""Hyperparameters by dotted name."""

Tried = Sequence[tuple[Proposal, float | None]]
"""Points with what they came to: smaller is better, None failed."""

ROUNDS = 4
"""In so many batches Optuna proposes what one after another would be: the trials of a batch train side by side."""


def sobol(space: Space, trials: int, tried: Tried) -> list[Proposal]:
    """Return the next points of a scrambled Sobol sequence: all that are left, since none depends on another's end.

    Args:
        space: Where to look.
        trials: How many points there are to be in the end.
        tried: Those that were tried.
    """
    sequence = qmc.Sobol(len(space), rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers that are no power of two are less even, and asked for
        shares = sequence.random(trials)[len(tried) :]
    return [{name: axis.at(share) for (name, axis), share in zip(space.items(), row, strict=True)} for row in shares]


def optuna(space: Space, trials: int, tried: Tried) -> list[Proposal]:
    """Return the next points by Optuna's tree-structured Parzen estimator, a batch of them.

    Args:
        space: Where to look.
        trials: How many points there are to be in the end.
        tried: Those that were tried, in their order.

    Raises:
        UserError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError("search=optuna needs Optuna; pip install 'optbench[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
        if isinstance(axis, Range)
        else optuna.distributions.CategoricalDistribution(axis.values)
        for name, axis in space.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the constant liar is marked as experimental
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    size = -(-trials // ROUNDS)
    for start in range(0, len(tried), size):
        batch = tried[start : start + size]
        asked = [study.ask(distributions) for _ in batch]
        for trial, (_, value) in zip(asked, batch, strict=True):
            study.tell(trial, value) if value is not None else study.tell(trial, state=optuna.trial.TrialState.FAIL)
    asked = [study.ask(distributions) for _ in range(min(size, trials - len(tried)))]
    return [{name: _rounded(value) for name, value in trial.params.items()} for trial in asked]


METHODS: dict[str, Callable[[Space, int, Tried], list[Proposal]]] = {"sobol": sobol, "optuna": optuna}


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
