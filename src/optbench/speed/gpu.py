"""Stacks on a GPU: as they are written, compiled, and as a captured graph. Not yet measured: no GPU was at hand."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn.functional import cross_entropy

from optbench.models import mlp
from optbench.optimizers import Adam, Optimizer
from optbench.speed.optimizers import repeat
from optbench.speed.race import race
from optbench.speed.table import Row, row
from optbench.sweep.stack import Stack
from optbench.training.whole import Compiled

REPLICAS = (1, 8, 64, 512)
STEPS = 50


def stacks(rounds: int = 7, short: bool = False) -> Iterator[Row]:
    """Yield training steps of stacks of 784-128-10 with Adam, all replicas on one mini-batch of 64."""
    for replicas in REPLICAS[: 2 if short else None]:
        times = race(contenders(replicas), rounds)
        what = f"step of {replicas} replicas on a GPU, hidden 128"
        plain = times["as written"].median / STEPS
        for name in ("compiled", "captured graph"):
            yield row(f"{what}, {name}", times[name].median / STEPS, "as written", plain, 1)


def contenders(replicas: int) -> dict[str, Callable[[], None]]:
    """Return the ways to step a stack, each so many times and until the GPU is done.

    Args:
        replicas: In the stack.
    """
    x = torch.randn(STEPS, 1, 64, 784, device="cuda")
    y = torch.randint(10, (STEPS, 1, 64), device="cuda")
    lrs = [[1e-3] * STEPS] * replicas

    def parts() -> tuple[list[torch.nn.Module], list[Optimizer]]:
        models: list[torch.nn.Module] = [mlp(784, 10).cuda() for _ in range(replicas)]
        return models, [Adam(model.parameters()) for model in models]

    plain = Stack(*parts(), cross_entropy)
    whole = Compiled(*parts(), cross_entropy, 1, (x[0, 0], y[0, 0]))
    return {
        "as written": partial(finish, partial(plain.advance, x, y, lrs)),
        "compiled": partial(finish, partial(whole.advance, x, y, lrs)),
        "captured graph": partial(finish, partial(repeat, captured(whole, x[0, 0], y[0, 0], lrs), STEPS)),
    }


def finish(work: Callable[[], object]) -> None:
    """Do some work and wait until the GPU has done it."""
    work()
    torch.cuda.synchronize()


def captured(stack: Compiled, x: torch.Tensor, y: torch.Tensor, lrs: list[list[float]]) -> Callable[[], None]:
    """Return the replay of a step, captured once with all that it launches.

    Args:
        stack: Whose step.
        x: Inputs (batch, features).
        y: Targets (batch,).
        lrs: Learning rates by replica and step.
    """
    (part,) = stack.parts[0]
    numbers = part.unroll(0, 1, [rates[:1] for rates in lrs])[0]
    step = partial(part.compiled, x, y, numbers, part.params, part.tensors, part.buffers)
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(aside):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
