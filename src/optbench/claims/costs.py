"""Claims about what a step costs: gradients, products, numbers kept, memory, time."""

import time
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from optbench.claims.claim import Finding, claim, listed, verdict
from optbench.optimizers import (
    LBFGS,
    NAG,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ConjugateGradient,
    Momentum,
    Newton,
    Objective,
    RMSprop,
)
from optbench.optimizers.wrapper import Factory

SIZE = 100
"""Parameters of the loss on which steps are counted."""


def quartic(p: Tensor) -> Tensor:
    """Return a loss whose Hessian is full and changes."""
    return (p**4).sum() + p.sum() ** 2


def counted(rule: Factory, steps: int = 2) -> tuple[float, float, float]:
    """Return gradients and Hessian-vector products of a step, and numbers kept between steps, by parameter."""
    p = nn.Parameter(torch.linspace(-1, 1, SIZE, dtype=torch.float64))
    optimizer = rule([p])
    objective = Objective(partial(quartic, p), [p])
    for _ in range(steps):
        optimizer.step(objective)
    kept = sum(x.numel() for x in optimizer.state[p].values() if isinstance(x, Tensor))
    return objective.grad_evals / steps, objective.hvp_evals / steps, kept / SIZE


def kept_by(rules: dict[str, Factory]) -> tuple[dict[str, float], str]:
    """Return the numbers that rules keep between steps, a parameter, and the same in words."""
    kept = {name: counted(rule, 12)[2] for name, rule in rules.items()}
    return kept, f"numbers kept between steps, a parameter: {listed(kept, 'g')}"


MEMORY = partial(LBFGS, history_size=10)


@claim("000")
def nag_extra_gradient() -> Finding:
    """NAG needs an extra gradient."""
    momentum = counted(partial(Momentum, lr=0.01))
    nag = counted(partial(NAG, lr=0.01))
    measured = (
        f"gradients a step: Momentum {momentum[0]:g}, NAG {nag[0]:g}; "
        f"numbers kept, a parameter: {momentum[2]:g} and {nag[2]:g}"
    )
    return Finding(verdict(nag[0] > momentum[0]), measured, "the lookahead point is where its one gradient is taken")


@claim("001")
def nag_same_cost() -> Finding:
    """NAG costs what momentum costs, in time and memory."""
    found = nag_extra_gradient.measure()
    return Finding(verdict(found.verdict == "fails"), found.measured)


@claim("001, 002, 003")
def state_memory() -> Finding:
    """Momentum and RMSprop keep one number more for each weight than descent, and Adam two."""
    rules: dict[str, Factory] = {
        **{"SGD": SGD, "Momentum": Momentum, "Adagrad": Adagrad},
        **{"RMSprop": RMSprop, "Adam": Adam, "AdamW": AdamW},
    }
    kept, told = kept_by(rules)
    return Finding(verdict((kept["SGD"], kept["Momentum"], kept["RMSprop"], kept["Adam"]) == (0, 1, 1, 2)), told)


@claim("000, 002")
def adam_memory() -> Finding:
    """Adam needs little memory."""
    kept, told = kept_by({"SGD": SGD, "Momentum": Momentum, "Adam": Adam, "L-BFGS": MEMORY})
    condition = "beside quasi-Newton methods; with it weights take three times the room that they take alone"
    return Finding("holds only if" if kept["SGD"] < kept["Adam"] < kept["L-BFGS"] else "fails", told, condition)


@claim("004")
def lbfgs_memory() -> Finding:
    """L-BFGS needs much memory."""
    kept, told = kept_by({"Adam": Adam, "L-BFGS": MEMORY})
    return Finding(verdict(kept["L-BFGS"] > 5 * kept["Adam"]), told)


@claim("000, 002")
def newton_memory() -> Finding:
    """Newton's method needs memory for a Hessian."""
    _, told = kept_by({"SGD": SGD, "Adam": Adam, "L-BFGS": MEMORY, "Newton": Newton})
    measured = f"{told}; of {SIZE} parameters Newton's Hessian has {SIZE} more each, and goes after the step"
    return Finding("holds", measured, "as peak memory of a step, not as state")


@claim("000, 002")
def newton_cost() -> Finding:
    """A step of Newton's method costs far more than a gradient."""
    plain = counted(SGD)
    newton = counted(Newton)
    measured = (
        f"of {SIZE} parameters a step of gradient descent takes {plain[0]:g} gradient, one of Newton's method "
        f"{newton[0]:g} and {newton[1]:g} Hessian-vector products"
    )
    return Finding(verdict(newton[1] >= SIZE), measured)


@claim("003")
def lbfgs_hessian() -> Finding:
    """L-BFGS and conjugate gradients compute second derivatives."""
    products = {"L-BFGS": counted(MEMORY)[1], "conjugate gradients": counted(ConjugateGradient)[1]}
    measured = f"Hessian-vector products a step: {listed(products, 'g')}"
    return Finding(verdict(all(products.values())), measured, "they infer curvature from how gradients change")


def network(batch: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return 784-128-10, and a batch for it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return model, torch.randn(batch, 784), torch.randint(10, (batch,))


def kept_for_backward(batch: int) -> int:
    """Return how many numbers, beside the weights, the forward pass keeps for the gradient."""
    model, x, y = network(batch)
    weights = {p.data_ptr() for p in model.parameters()}
    found = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal found
        found += tensor.numel() if tensor.data_ptr() not in weights else 0
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        nn.functional.cross_entropy(model(x), y)
    return found


@claim("001, 003")
def batch_memory() -> Finding:
    """Full batches need more memory than small ones."""
    found = {batch: kept_for_backward(batch) for batch in (1, 64, 1000)}
    measured = f"numbers that 784-128-10 keeps for the gradient, beside its weights, by batch: {listed(found, ',')}"
    return Finding(verdict(found[1000] > 100 * found[1]), measured)


def seconds_a_sample(batch: int, repeats: int = 30) -> float:
    """Return the shortest time that a gradient took, by sample."""
    model, x, y = network(batch)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        best = min(best, time.perf_counter() - start)
    return best / batch


@claim("001, 002")
def batch_time() -> Finding:
    """A sample costs less time in a mini-batch than alone."""
    ratio = seconds_a_sample(1) / seconds_a_sample(256)
    measured = f"in a batch of 256 a sample takes {'less' if ratio > 5 else 'more'} than a fifth of its time alone"
    return Finding(verdict(ratio > 5), measured)
