"""A sweep over learning rates and seeds: stacked, two processes side by side, and one run after another."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from optbench.speed.shell import optbench
from optbench.speed.training import Row, row

RATES = [1e-4 * 2**i for i in range(8)]
MODES = {
    "stacked": ["replicas=auto", "hydra.launcher.n_jobs=2"],
    "two side by side": ["replicas=off", "hydra.launcher.n_jobs=2"],
    "one by one": ["replicas=off", "hydra.launcher.n_jobs=1"],
}


def sweep(rounds: int = 1, short: bool = False) -> Iterator[Row]:
    """Yield 8 learning rates of Adam by some seeds on the embedded digits, from the start of the first to the last end.

    Args:
        rounds: Not used: each sweep is long, and runs once.
        short: Whether one seed, one epoch and the smaller hidden layer will do.
    """
    seeds, epochs, hiddens = (1, 1, [20]) if short else (8, 2, [128, 20])
    for hidden in hiddens:
        seconds = {mode: train(how, seeds, epochs, hidden) for mode, how in MODES.items()}
        what, target = f"{8 * seeds} runs of Adam, hidden {hidden}, stacked", 0.6 if hidden > 64 else 0.35
        yield row(what, seconds["stacked"], "two side by side", seconds["two side by side"], target)
        yield row(what, seconds["stacked"], "one by one", seconds["one by one"], target / 2)


def train(how: Sequence[str], seeds: int, epochs: int, hidden: int) -> float:
    """Train the sweep in one of the modes and return its seconds."""
    grid = [f"optimizer.lr={','.join(map(str, RATES))}", f"seed={','.join(map(str, range(seeds)))}"]
    size = [f"trainer.max_epochs={epochs}", f"model.hidden=[{hidden}]", "figures=[]", "logger=none"]
    with tempfile.TemporaryDirectory() as folder:
        optbench("train", "-m", "optimizer=adam", *grid, *size, *how, f"hydra.sweep.dir={folder}")
        starts, ends = (
            [path.stat().st_mtime for path in Path(folder).glob(f"*/{name}")] for name in ("config.yaml", "status.json")
        )
        return max(ends) - min(starts)
