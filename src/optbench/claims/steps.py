"""Claims about single steps, which arithmetic decides: bias corrections, averages, decay, memory, worked examples."""

import math
from functools import partial

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import Claim, Finding, first_below, gradient_steps, path, verdict
from optbench.optimizers import (
    LBFGS,
    NAG,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Momentum,
    Newton,
    Objective,
    RMSprop,
)
from optbench.surfaces.descent import Factory, descend


def first_step(rule: Factory) -> float:
    """Return how far a rule moves down on a first gradient of 1."""
    return -float(gradient_steps(rule, torch.ones(1, dtype=torch.float64)))


def bias_correction() -> Finding:
    """Measure Adam's first step with and without the corrections."""
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


def denominators() -> Finding:
    """Find from which step on the denominators of NAdam's derivation differ by less than a hundredth."""
    t = torch.arange(1, 200, dtype=torch.float64)
    gap = (0.9 ** (t - 1) - 0.9**t) / (1 - 0.9**t)
    ten, last = float(gap[9]), int((gap > 0.01).nonzero().max()) + 2
    measured = f"with beta1 = 0.9 they differ by {ten:.1%} at step 10, by less than 1 % from step {last} on"
    return Finding("holds only if", measured, f"t is {last} or more, rather than 10")


def adamax_needs_none() -> Finding:
    """Measure Adamax's first step, which corrects the first moment only."""
    step = first_step(partial(Adamax, lr=1.0, eps=1e-12))
    return Finding(verdict(abs(step - 1) < 1e-9), f"first step in units of lr: {step:.4f}")


def momentum_without_beta() -> Finding:
    """Compare momentum without memory with gradient descent."""
    ours = path("wavy_bowl", partial(Momentum, lr=0.1, beta=0.0), (2.0, 1.0))
    plain = path("wavy_bowl", partial(SGD, lr=0.1), (2.0, 1.0))
    gap = float((ours - plain).abs().max())
    return Finding(verdict(gap < 1e-12), f"largest difference of the paths on wavy_bowl: {gap:g}")


def shrunk(decay: float, t: int, eta0: float) -> float:
    """Return a rate that falls by a factor at every step."""
    return eta0 * decay**t


def two_forms() -> Finding:
    """Compare momentum's two forms where the rate is constant, and where it changes."""
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


def velocity_is_an_average() -> Finding:
    """Measure what both forms make of a gradient that is always 1."""
    ones = torch.ones(200, dtype=torch.float64)
    last = {form: -float(gradient_steps(partial(Momentum, lr=1.0, form=form), ones)[-1]) for form in ("sum", "ema")}
    measured = (
        f"a gradient of 1 becomes a velocity of {last['sum']:.1f} in the sum form, {last['ema']:.1f} in the other"
    )
    return Finding("holds only if", measured, "v = beta v + (1 - beta) g; the sum is an average times 1 / (1 - beta)")


def rmsprop_half_life() -> Finding:
    """Compute after how many steps a gradient's weight in RMSprop's average is half."""
    half = math.log(0.5) / math.log(0.9)
    return Finding(verdict(abs(half - 1 / 0.9) < 0.5), f"at gamma = 0.9 it is {half:.1f} steps, and 1 / gamma is 1.1")


def adagrad_decays() -> Finding:
    """Measure Adagrad's steps on a gradient that stays the same."""
    step = -gradient_steps(partial(Adagrad, lr=1.0), torch.ones(10_000, dtype=torch.float64))
    ratio = float(step[9999] * 100)
    return Finding(verdict(abs(ratio - 1) < 1e-6), f"step 10,000 is {float(step[9999]):.4f} lr, and t^(-1/2) is 0.01")


def adagrad_stops() -> Finding:
    """See whether Adagrad comes to rest before the minimum of the shallow bowl."""
    reached = {}
    for lr in (0.01, 0.1, 1.0):
        points = path("shallow_bowl", partial(Adagrad, lr=lr), (5.0, 5.0), 20_000)
        reached[lr] = first_below(points.norm(dim=1), 1e-3)
    told = ", ".join(f"lr {lr:g}: {'not in 20,000' if n is None else n} steps" for lr, n in reached.items())
    measured = f"to within 0.001 of the minimum of shallow_bowl from (5, 5): {told}"
    return Finding("holds only if", measured, "the rate is small beside the way; the sum of t^(-1/2) has no bound")


def rmsprop_keeps_its_step() -> Finding:
    """Measure RMSprop's steps on a gradient that stays the same."""
    step = -gradient_steps(partial(RMSprop, lr=1.0, alpha=0.9), torch.ones(10_000, dtype=torch.float64))
    return Finding(verdict(abs(float(step[-1]) - 1) < 1e-6), f"step 10,000 is {float(step[-1]):.4f} lr")


def bowl(p: Tensor) -> Tensor:
    """Return a round bowl's loss."""
    return (p**2).sum()


def quartic(p: Tensor) -> Tensor:
    """Return a loss whose Hessian is full and changes."""
    return (p**4).sum() + p.sum() ** 2


def nag_gradients() -> Finding:
    """Count the gradients that a step of NAG and of momentum evaluates, and their state."""
    counts, sizes = {}, {}
    for rule in (Momentum, NAG):
        p = torch.nn.Parameter(torch.ones(100))
        optimizer, objective = rule([p], lr=0.01), Objective(partial(bowl, p), [p])
        for _ in range(10):
            optimizer.step(objective)
        counts[rule.__name__] = objective.grad_evals / 10
        sizes[rule.__name__] = sum(x.numel() for x in optimizer.state[p].values() if isinstance(x, Tensor))
    told = f"gradients a step: Momentum {counts['Momentum']:g}, NAG {counts['NAG']:g}"
    state = f"numbers of state for 100 parameters: {sizes['Momentum']} and {sizes['NAG']}"
    return Finding(
        verdict(counts["NAG"] > counts["Momentum"]),
        f"{told}; {state}",
        "the lookahead point is where its one gradient is taken",
    )


def nag_costs_the_same() -> Finding:
    """Say the same of NAG as the document that has it right."""
    found = nag_gradients()
    return Finding(verdict(found.verdict == "fails"), found.measured)


def weight_decay_of_sgd() -> Finding:
    """Compare SGD with L2 in the gradient with a shrinking of the weights apart from it."""
    start, lr, decay = torch.tensor([4.0, 1.0], dtype=torch.float64), 0.1, 0.05
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


def decay_is_uniform() -> Finding:
    """Measure how much a decay shrinks weights whose gradients are noise of different strength."""
    sigmas = (0.1, 1.0, 10.0)
    left = {
        "Adam": shrinking(partial(Adam, lr=1e-3, weight_decay=0.1), sigmas),
        "AdamW": shrinking(partial(AdamW, lr=1e-3, weight_decay=0.1), sigmas),
    }
    told = "; ".join(f"{name} {', '.join(f'{x:.3f}' for x in values)}" for name, values in left.items())
    even = max(left["AdamW"]) - min(left["AdamW"]) < 0.02 < max(left["Adam"]) - min(left["Adam"])
    return Finding(verdict(even), f"what is left of weights of 1 where gradients are noise of 0.1, 1, 10: {told}")


def amsgrad_never_grows() -> Finding:
    """See whether the effective rate of Adam and of AMSGrad ever grows, where large gradients are rare."""
    gradients = torch.ones(300, dtype=torch.float64)
    gradients[::50] = 10.0
    grown = {}
    for rule in (partial(Adam, lr=1.0, beta1=0.0), partial(AMSGrad, lr=1.0, beta1=0.0, form="paper")):
        size = gradient_steps(rule, gradients).abs()[100:] / gradients[100:]
        grown[rule.func.__name__] = int((size.diff() > 1e-12).sum())
    told = ", ".join(f"{name} {count}" for name, count in grown.items())
    return Finding(verdict(grown["AMSGrad"] == 0 < grown["Adam"]), f"steps of 199 at which the rate grows: {told}")


def spikes() -> Finding:
    """Measure how a gradient a hundred times as large disturbs Adam and Adamax, and for how long."""
    gradients = torch.ones(4000, dtype=torch.float64)
    gradients[1000] = 100.0
    told, longest = [], {}
    for rule in (Adam, Adamax):
        size = gradient_steps(partial(rule, lr=1.0), gradients).abs()
        size = size / size[999]
        small = (size[1001:] < 0.5).sum()
        longest[rule.__name__] = int(small)
        told.append(
            f"{rule.__name__}: a step of {float(size.max()):.1f} times the usual, then {int(small)} of under half of it"
        )
    condition = "its maximum forgets as slowly as Adam's average, and from a greater height"
    return Finding(verdict(longest["Adamax"] < longest["Adam"]), "; ".join(told), condition)


def adadelta_units() -> Finding:
    """Measure Adadelta in weights of other units."""
    reached = {}
    for unit in (0.01, 1.0, 100.0):
        start = unit * torch.tensor([2.0, 2.0], dtype=torch.float64)
        walked = descend(lambda w, unit=unit: ((w / unit) ** 2).sum(), Adadelta, start, 5000)
        reached[unit] = first_below((walked / start).norm(dim=1) / math.sqrt(2), 0.1)
    told = ", ".join(f"{unit:g}: {'not in 5,000' if n is None else n}" for unit, n in reached.items())
    measured = f"steps until a bowl's start is a tenth as far, by the weights' unit: {told}"
    return Finding("fails", measured, "eps, which has the units of the weights, sets the size of the first steps")


def newton_memory() -> Finding:
    """Count what Newton's method and others hold, at the most, during a step on n parameters."""
    n = 500
    held = {}
    rules: dict[str, Factory] = {
        "SGD": SGD,
        "Adam": Adam,
        "L-BFGS": partial(LBFGS, history_size=10),
        "Newton": Newton,
    }
    for name, rule in rules.items():
        p = torch.nn.Parameter(torch.linspace(-1, 1, n, dtype=torch.float64))
        optimizer = rule([p])
        objective = Objective(partial(quartic, p), [p])
        for _ in range(2):
            optimizer.step(objective)
        numbers = sum(x.numel() for x in optimizer.state[p].values() if isinstance(x, Tensor))
        held[name] = numbers / n
    told = ", ".join(f"{name} {size:g}" for name, size in held.items() if name != "Newton")
    measured = (
        f"numbers kept between steps, a parameter: {told}, Newton {held['Newton']:g}; its Hessian has {n}, and goes "
        "after the step"
    )
    return Finding("holds", measured, "as peak memory of a step, not as state")


def zero_gradient() -> Finding:
    """Take the worked example that a document leaves where it was, since its gradient were zero."""
    walked = path("linear_regression", partial(SGD, lr=0.01), (1.0, 1.0), 1)
    loss = float(surfaces.get("linear_regression").f(walked[0]))
    b, w = walked[1].tolist()
    measured = f"J = {loss:g}, and a step of 0.01 leads from (1, 1) to ({b:g}, {w:g})"
    return Finding(verdict((b, w) == (1.0, 1.0)), measured, "the gradient is (-2, -8)")


def three_times() -> Finding:
    """Add up the gradient as the notebook of NAG does, over three points of an earlier cell."""
    walked = path("mild_bowl", partial(NAG, lr=0.1), (6.0, 6.0), 3)
    tripled = path("mild_bowl", partial(NAG, lr=0.3), (6.0, 6.0), 3)
    measured = (
        f"at the stated rate of 0.1 NAG on mild_bowl is at ({walked[3][0]:.2f}, {walked[3][1]:.2f}) after 3 steps from "
        f"(6, 6); at three times it, as the notebook's sum over three leftover points has it, at "
        f"({tripled[3][0]:.2f}, {tripled[3][1]:.2f})"
    )
    return Finding("fails", measured, "its cells loop over points of another problem; our figures use the stated rate")


CLAIMS = (
    Claim(
        "bias_correction", "001", "Without bias correction Adam's first steps are artificially small.", bias_correction
    ),
    Claim(
        "nadam_denominators",
        "001",
        "From step 10 on it makes no difference whether NAdam divides by 1 - beta1^t or by 1 - beta1^(t-1).",
        denominators,
    ),
    Claim("adamax_correction", "001", "Adamax needs no bias correction of its maximum.", adamax_needs_none),
    Claim("momentum_without_beta", "000, 002", "With beta = 0 momentum is gradient descent.", momentum_without_beta),
    Claim("momentum_forms", "001", "Momentum as a sum and as an average are two ways to write one method.", two_forms),
    Claim(
        "velocity_average",
        "001, 002",
        "The velocity is an exponential moving average of the gradients.",
        velocity_is_an_average,
    ),
    Claim(
        "rmsprop_half_life",
        "002",
        "In RMSprop a past gradient counts for half after 1 / gamma steps.",
        rmsprop_half_life,
    ),
    Claim("adagrad_decay", "000, 001, 002", "Adagrad's rate falls as t^(-1/2).", adagrad_decays),
    Claim(
        "adagrad_stops",
        "000, 001, 002",
        "Adagrad's steps become so small that it stops before the minimum.",
        adagrad_stops,
    ),
    Claim("rmsprop_rate", "000, 002, 003", "RMSprop's average keeps the rate from falling.", rmsprop_keeps_its_step),
    Claim("nag_extra_gradient", "000", "NAG needs an extra gradient.", nag_gradients),
    Claim("nag_same_cost", "001", "NAG costs what momentum costs, in time and memory.", nag_costs_the_same),
    Claim("sgd_weight_decay", "001", "In SGD, L2 regularization is true weight decay.", weight_decay_of_sgd),
    Claim(
        "decay_uniform",
        "001",
        "Adam with L2 shrinks weights with noisy gradients less than others; AdamW shrinks all alike.",
        decay_is_uniform,
    ),
    Claim("amsgrad_rate", "001", "AMSGrad's effective rate never grows, and Adam's does.", amsgrad_never_grows),
    Claim("adamax_spikes", "001", "Adamax is robust to spikes of the gradient, where Adam overreacts.", spikes),
    Claim("adadelta_rate", "000, 001", "Adadelta needs no learning rate.", adadelta_units),
    Claim("newton_memory", "000, 002", "Newton's method needs memory for a Hessian.", newton_memory),
    Claim(
        "zero_gradient",
        "004",
        "On y = 2x from (1, 1) the first gradient is zero and the parameters stay.",
        zero_gradient,
    ),
    Claim("nag_figures", "000", "The notebook's paths of NAG show the stated rate.", three_times),
)
