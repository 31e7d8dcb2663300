"""Claims about single steps, which arithmetic decides: bias corrections, averages, decay of weights."""

import math
from functools import partial

import torch

from optbench.claims.claim import Finding, at, claim, gradient_steps, path, verdict
from optbench.optimizers import (
    NAG,
    SGD,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Momentum,
)
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.descent import descend


def first_step(rule: Factory) -> float:
    """Return how far a rule moves down on a first gradient of 1."""
    return -float(gradient_steps(rule, torch.ones(1, dtype=torch.float64)))


@claim("001")
def bias_correction() -> Finding:
    """Without bias correction Adam's first steps are artificially small."""
    plain = first_step(partial(AMSGrad, lr=1.0, form="paper", eps=1e-12))  # at the first step the maximum is v itself
    corrected = first_step(partial(Adam, lr=1.0, eps=1e-12))
    half = 1 / math.sqrt(1 - 0.999)
    measured = (
        f"first step in units of lr: {corrected:.2f} with both corrections, {plain:.2f} with none, {half:.1f} with "
        "the first moment's alone, as the document's AMSGrad is coded"
    )
    return Finding(
        verdict(plain < corrected), measured, "sqrt(v) is further from its mean than m is, so it divides too little"
    )


@claim("001")
def nadam_denominators() -> Finding:
    """From step 10 on it makes no difference whether NAdam divides by 1 - beta1^t or by 1 - beta1^(t-1)."""
    t = torch.arange(1, 200, dtype=torch.float64)
    gap = (0.9 ** (t - 1) - 0.9**t) / (1 - 0.9**t)
    ten = float(gap[9])
    last = int((gap > 0.01).nonzero().max()) + 2
    measured = f"with beta1 = 0.9 they differ by {ten:.1%} at step 10, by less than 1 % from step {last} on"
    return Finding("holds only if", measured, f"t is {last} or more, rather than 10")


@claim("001")
def adamax_correction() -> Finding:
    """Adamax needs no bias correction of its maximum."""
    step = first_step(partial(Adamax, lr=1.0, eps=1e-12))
    return Finding(verdict(abs(step - 1) < 1e-9), f"first step in units of lr: {step:.4f}")


@claim("000, 002")
def momentum_without_beta() -> Finding:
    """With beta = 0 momentum is gradient descent."""
    ours = path("wavy_bowl", partial(Momentum, lr=0.1, beta=0.0), (2.0, 1.0))
    plain = path("wavy_bowl", partial(SGD, lr=0.1), (2.0, 1.0))
    gap = float((ours - plain).abs().max())
    return Finding(verdict(gap < 1e-12), f"largest difference of the paths on wavy_bowl: {gap:g}")


def shrunk(decay: float, t: int, eta0: float) -> float:
    """Return a rate that falls by a factor at every step."""
    return eta0 * decay**t


@claim("001")
def momentum_forms() -> Finding:
    """Momentum as a sum and as an average are two ways to write one method."""
    start = (2.0, 1.0)
    gaps = []
    for decay in (1.0, 0.95):
        schedule = partial(shrunk, decay)
        summed = path("mild_bowl", partial(Momentum, lr=0.1, beta=0.9, form="sum"), start, schedule=schedule)
        averaged = path("mild_bowl", partial(Momentum, lr=1.0, beta=0.9, form="ema"), start, schedule=schedule)
        gaps.append(float((summed - averaged).abs().max()))
    measured = f"paths differ by {gaps[0]:.1g} at a constant rate, by {gaps[1]:.2g} where the rate decays"
    condition = "the average's rate is the sum's divided by 1 - beta, and does not change"
    return Finding("holds only if" if gaps[0] < 1e-9 < gaps[1] else "fails", measured, condition)


@claim("001, 002")
def velocity_average() -> Finding:
    """The velocity is an exponential moving average of the gradients."""
    ones = torch.ones(200, dtype=torch.float64)
    last = {form: -float(gradient_steps(partial(Momentum, lr=1.0, form=form), ones)[-1]) for form in ("sum", "ema")}
    measured = (
        f"a gradient of 1 becomes a velocity of {last['sum']:.1f} in the sum form, {last['ema']:.1f} in the other"
    )
    return Finding("holds only if", measured, "v = beta v + (1 - beta) g; the sum is an average times 1 / (1 - beta)")


@claim("001, 002, 004")
def momentum_directions() -> Finding:
    """Momentum lengthens steps where gradients agree, and shortens them where they alternate."""
    ones = torch.ones(400, dtype=torch.float64)
    signs = torch.where(torch.arange(400) % 2 == 0, 1.0, -1.0) * ones
    same, flipped = (float(gradient_steps(partial(Momentum, lr=1.0), g)[-1].abs()) for g in (ones, signs))
    measured = f"beta = 0.9: gradients of 1 come to steps of {same:.1f} lr, of 1 and -1 in turn to {flipped:.2f} lr"
    return Finding(verdict(same > 1 > flipped), measured)


@claim("002")
def rmsprop_half_life() -> Finding:
    """In RMSprop a past gradient counts for half after 1 / gamma steps."""
    half = math.log(0.5) / math.log(0.9)
    return Finding(verdict(abs(half - 1 / 0.9) < 0.5), f"at gamma = 0.9 it is {half:.1f} steps, and 1 / gamma is 1.1")


@claim("001")
def sgd_weight_decay() -> Finding:
    """In SGD, L2 regularization is true weight decay."""
    start = at(4.0, 1.0)
    lr = 0.1
    decay = 0.05
    inside = descend(lambda w: (w**2).sum(), partial(SGD, lr=lr, weight_decay=decay), start, 50)
    apart = [start]
    for _ in range(50):
        apart.append(apart[-1] * (1 - lr * decay) - lr * 2 * apart[-1])
    gap = float((inside - torch.stack(apart)).abs().max())
    return Finding(verdict(gap < 1e-12), f"largest difference of 50 steps: {gap:.1g}")


def shrinking(rule: Factory, sigmas: tuple[float, ...]) -> list[float]:
    """Return what is left of weights of 1 after 1,000 steps on gradients that are noise alone, by its strength."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1000, len(sigmas), 500, generator=draw, dtype=torch.float64)
    noise *= torch.tensor(sigmas, dtype=torch.float64)[:, None]
    start = torch.ones(len(sigmas), 500, dtype=torch.float64)
    walked = descend(lambda w, t: (noise[t - 1] * w).sum(), rule, start, 1000, online=True)
    return [float(x) for x in walked[-1].mean(1)]


@claim("001")
def decay_uniform() -> Finding:
    """Adam with L2 shrinks weights with noisy gradients less than others; AdamW shrinks all alike."""
    sigmas = (0.1, 1.0, 10.0)
    left = {
        "Adam": shrinking(partial(Adam, lr=1e-3, weight_decay=0.1), sigmas),
        "AdamW": shrinking(partial(AdamW, lr=1e-3, weight_decay=0.1), sigmas),
    }
    told = "; ".join(f"{name} {', '.join(f'{x:.3f}' for x in values)}" for name, values in left.items())
    even = max(left["AdamW"]) - min(left["AdamW"]) < 0.02 < max(left["Adam"]) - min(left["Adam"])
    return Finding(verdict(even), f"what is left of weights of 1 where gradients are noise of 0.1, 1, 10: {told}")


@claim("000")
def nag_figures() -> Finding:
    """The notebook's paths of NAG show the stated rate."""
    walked = path("mild_bowl", partial(NAG, lr=0.1), (6.0, 6.0), 3)
    tripled = path("mild_bowl", partial(NAG, lr=0.3), (6.0, 6.0), 3)
    measured = (
        f"at the stated rate of 0.1 NAG on mild_bowl is at ({walked[3][0]:.2f}, {walked[3][1]:.2f}) after 3 steps from "
        f"(6, 6); at three times it, as the notebook's sum over three leftover points has it, at "
        f"({tripled[3][0]:.2f}, {tripled[3][1]:.2f})"
    )
    return Finding("fails", measured, "its cells loop over points of another problem; our figures use the stated rate")
