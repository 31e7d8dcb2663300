"""A sweep over learning rates and seeds: in stacks, compiled or not, run by run, and as a user of JAX writes it."""

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optbench.records import find
from optbench.speed import beside
from optbench.speed.beside import JAX
from optbench.speed.shell import optbench
from optbench.speed.table import Row, row

RATES = [1e-4 * 2**i for i in range(8)]
MODES = {
    "stacked, compiled": ["replicas=auto", "compile=step", "hydra.launcher.n_jobs=2"],
    "stacked": ["replicas=auto", "compile=off", "hydra.launcher.n_jobs=2"],
    "two side by side": ["replicas=off", "compile=off", "hydra.launcher.n_jobs=2"],
    "one by one": ["replicas=off", "compile=off", "hydra.launcher.n_jobs=1"],
}


@dataclass(frozen=True)
class Resources:
    """The seconds of a sweep.

    Attributes:
        whole: The command, from the shell.
        span: Training and evaluation, from the start of the first run to the end of the last.
        compiling: What compiling took, of the runs that took longest.
    """

    whole: float
    span: float
    compiling: float


def sweep(rounds: int = 3, short: bool = False) -> Iterator[Row]:
    """Yield what 8 learning rates of Adam by some seeds take on the embedded digits, all contenders in turns.

    The first, uncounted round begins with nothing compiled, and tells the cold price.
    """
    rates, seeds, epochs, hiddens = (RATES[:4], 1, 1, [20]) if short else (RATES, 8, 2, [128, 20])
    for hidden in hiddens:
        with tempfile.TemporaryDirectory() as cache:
            cold, times = turns(contenders(rates, seeds, epochs, hidden, cache), 0 if short else min(rounds, 3))
        yield from rows(f"{len(rates) * seeds} runs of Adam, hidden {hidden}", hidden, cold, times)


def contenders(
    rates: Sequence[float], seeds: int, epochs: int, hidden: int, cache: str
) -> dict[str, Callable[[], Resources]]:
    """Return what trains the sweep, by name; JAX only where it is installed.

    Args:
        rates: Learning rates; JAX takes the first ones of `RATES`.
        seeds: How many.
        epochs: How many.
        hidden: Width of the hidden layer.
        cache: Directory for what torch compiles.
    """
    made: dict[str, Callable[[], Resources]] = {
        mode: partial(train, how, rates, seeds, epochs, hidden, cache) for mode, how in MODES.items()
    }
    if beside.installed():
        made[JAX] = partial(in_jax, len(rates), seeds, epochs, hidden)
    return made


def turns(
    runs: Mapping[str, Callable[[], Resources]], rounds: int
) -> tuple[dict[str, Resources], dict[str, Resources]]:
    """Let every contender run once a round; return the first round's seconds, and the medians of the others if any."""
    spent: defaultdict[str, list[Resources]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name, run in runs.items():
            spent[name].append(run())
    first = {name: each[0] for name, each in spent.items()}
    return first, {name: median(each[1:] or each) for name, each in spent.items()}


def median(times: Sequence[Resources]) -> Resources:
    """Return the medians of some sweeps' seconds."""
    return Resources(
        statistics.median(each.whole for each in times),
        statistics.median(each.span for each in times),
        statistics.median(each.compiling for each in times),
    )


def rows(what: str, hidden: int, cold: Mapping[str, Resources], times: Mapping[str, Resources]) -> Iterator[Row]:
    """Yield the rows of a sweep.

    Args:
        what: The sweep.
        hidden: Width of the hidden layer.
        cold: Seconds of the first round, by contender.
        times: Medians of the others.
    """
    target = 0.6 if hidden > 64 else 0.35
    two, one, stacked, compiled = (times[k] for k in ("two side by side", "one by one", "stacked", "stacked, compiled"))
    yield row(f"{what}, stacked", stacked.span, "two side by side", two.span, target)
    yield row(f"{what}, stacked", stacked.span, "one by one", one.span, target / 2)
    yield row(f"{what}, stacked and compiled", compiled.span, "stacked", stacked.span, 1)
    if JAX in times:
        theirs = times[JAX]
        yield row(f"{what}, compiled, first start to last end", compiled.span, f"{JAX}, the same", theirs.span, 0.9)
        yield row(f"{what}, compiled, whole command", compiled.whole, f"{JAX}, whole process", theirs.whole, 1)
    price = cold["stacked, compiled"].compiling
    yield row(f"{what}, compiling, kept on disk", compiled.compiling, "with nothing on disk", price, 1)


def train(how: Sequence[str], rates: Sequence[float], seeds: int, epochs: int, hidden: int, cache: str) -> Resources:
    """Train the sweep in one of the modes and return its seconds."""
    grid = [f"optimizer.lr={','.join(map(str, rates))}", f"seed={','.join(map(str, range(seeds)))}"]
    size = [f"trainer.max_epochs={epochs}", f"model.hidden=[{hidden}]", "figures=[]", "logger=none"]
    with tempfile.TemporaryDirectory() as folder:
        where = f"hydra.sweep.dir={folder}/sweep"
        kept = {"TORCHINDUCTOR_CACHE_DIR": cache}
        whole = optbench("train", "-m", "optimizer=adam", *grid, *size, *how, where, environment=kept)
        starts, ends = (
            [path.stat().st_mtime for path in Path(folder, "sweep").glob(f"*/{name}")]
            for name in ("config.yaml", "status.json")
        )
        compiling = max(run.status.get("compile_seconds", 0.0) for run in find(Path(folder, "sweep")))
        return Resources(whole, max(ends) - min(starts), compiling)


def in_jax(rates: int, seeds: int, epochs: int, hidden: int) -> Resources:
    """Train the sweep in JAX and return its seconds."""
    told, whole = beside.run(hidden, rates, seeds, epochs)
    return Resources(whole, told["total"], told["compile"])
