"""A try of a run's parts before it begins, on a few samples: whatever does not keep its promises shows here."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from optbench.checks import UNMADE, UserError, blaming, said
from optbench.configs import build_model, construct, dataset, foreign, key, values
from optbench.optimizers.build import build_optimizer, is_ours
from optbench.optimizers.objective import Objective
from optbench.optimizers.promises import check_rule
from optbench.training.module import in_full

SAMPLES = 16

REHEARSED: set[str] = set()
"""What was tried together already: data, model, precision and optimizer, but for its numbers."""


def rehearsed(config: Mapping[str, Any], trainer: Any, steps: int | None) -> Any:
    """Return the optimizer of a run, whose parts have taken a step together, in this run or one like it.

    Args:
        config: The composed config.
        trainer: Lightning's Trainer, to look at.
        steps: Of the run; None where it has no limit.

    Raises:
        UserError: A part does not keep its promises, or they do not fit.
    """
    data = dataset(config["data"])
    make = partial(build_model, config["model"], data.features, data.outputs)
    with blaming("model", UNMADE):
        model = make()
        check_trainable(model, config["model"]["_target_"])
    with blaming("optimizer", UNMADE):
        optimizer = build_optimizer(config["optimizer"], model, steps)(model.parameters())
    rule = {name: value for name, value in config["optimizer"].items() if type(value) not in (int, float)}
    shared = trainer.world_size > 1
    parts = (config["trainer"].get("precision"), shared, key(config["data"]), dict(config["model"]), rule)
    if str(parts) not in REHEARSED:
        if foreign(values(config["model"])):
            check_seeded(make, config["model"]["_target_"])
        if foreign(values(config["data"])):
            other = construct("data", config["data"])()
            other.setup()
            check_repeats(data, other)
        plain = OmegaConf.create({**config["optimizer"], **({"compile": False} if rule.get("compile") else {})})
        rehearse(model, data, build_optimizer(plain, model, steps), trainer.precision_plugin, shared)
        REHEARSED.add(str(parts))
    return optimizer


def check_trainable(model: Any, target: str) -> None:
    """Raise a `UserError` where there is nothing to train: no model, or no parameters, or none yet."""
    if not isinstance(model, nn.Module):
        raise UserError(f"model: {target} makes {type(model).__name__}; it has to make a torch.nn.Module")
    if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
        raise UserError(f"model: {target} has lazy layers, whose sizes come later; give them its features")
    if not any(p.requires_grad for p in model.parameters()):
        raise UserError(f"model: {target} has no parameters to train; make its layers in __init__, as attributes")


def check_seeded(make: Callable[[], Any], target: str) -> None:
    """Raise a `UserError` where a model seeds torch by itself: runs of all seeds would begin alike."""
    states = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            make()
            states.append(torch.get_rng_state())
    if torch.equal(*states):
        raise UserError(f"model: {target} seeds torch by itself, so that all seeds begin alike; leave that to seed=")


def check_repeats(data: Any, other: Any) -> None:
    """Raise a `UserError` where data that are loaded again are others: no two runs would have the same."""
    for name in data.splits:
        if not all(map(torch.equal, data.split(name), other.split(name))):
            raise UserError(
                f"data: {type(data).__name__} gives other samples each time; draw them from a generator that is seeded "
                "by self.data_seed"
            )


def rehearse(
    model: nn.Module, data: Any, make_optimizer: Callable[[Any], Any], precision: Any, shared: bool = False
) -> None:
    """Evaluate a model on a few training samples and take a step.

    Args:
        model: The network; it is moved.
        data: The data module, set up.
        make_optimizer: What makes the optimizer from parameters.
        precision: Lightning's plugin for the trainer's precision.
        shared: Whether several processes are to share each mini-batch.

    Raises:
        UserError: Model and data do not fit, the optimizer cannot take a step of this model, or either needs the whole
            of a mini-batch where it is shared.
    """
    model = precision.convert_module(model)
    samples = precision.convert_input(tuple(part[:SAMPLES].cpu() for part in data.split("train")))

    def loss(size: int = SAMPLES) -> Tensor:
        x, y = (part[:size] for part in samples)
        with precision.forward_context():
            output = model(x)
        check_shape(data, type(model).__name__, output, y)
        value: Tensor = data.loss(*in_full(output, y))
        if value.dim():
            shape = tuple(value.shape)
            raise UserError(f"data: loss of {type(data).__name__} returns shape {shape}; return a mean, of shape ()")
        return value

    before = samples[0].clone()
    for size in sorted({min(smallest(data), len(before)), len(before)}):
        given = f"x of shape {(size, *before.shape[1:])}, whose {data.features} features give {data.outputs} outputs"
        with blaming(f"model: {type(model).__name__} fails on {given}"):
            loss(size)
    if not torch.equal(samples[0], before):
        raise UserError(f"model: {type(model).__name__} changes its inputs in place; compute out of place")
    if shared:
        with torch.no_grad(), precision.forward_context():
            check_separable(model, samples[0])
    optimizer = make_optimizer(model.parameters())
    if shared and not getattr(optimizer, "shares", True):
        raise UserError(
            f"optimizer: {type(optimizer).__name__} needs each example of a mini-batch, which several devices share; "
            "give trainer.devices=1"
        )
    check_step(optimizer, Objective(loss, model.parameters()))


def smallest(data: Any) -> int:
    """Return the samples of the smallest mini-batch, which is an epoch's last one."""
    loader = data.train_dataloader()
    return int(len(loader.x) % loader.batch_size or loader.batch_size)


def check_shape(data: Any, model: str, output: Any, y: Tensor) -> None:
    """Raise a `UserError` where outputs do not have the shape that targets need: broadcast, they give another loss."""
    needed = (len(y), data.outputs) if data.task == "classification" else tuple(y.shape)
    if not isinstance(output, Tensor):
        raise UserError(f"model: {model} returns {type(output).__name__}; return the outputs alone, of shape {needed}")
    if output.shape != needed:
        raise UserError(
            f"model: {model} returns shape {tuple(output.shape)} where targets of shape {tuple(y.shape)} need "
            f"{needed}; the model, or y of {type(data).__name__}, has to be of another shape"
        )


def check_separable(model: nn.Module, x: Tensor) -> None:
    """Raise a `UserError` where the outputs for a mini-batch are others than those for its halves."""
    whole = model(x)
    halves = torch.cat([model(half) for half in x.chunk(2)])
    if not torch.allclose(whole.float(), halves.float(), rtol=1e-2, atol=1e-2 * float(whole.abs().mean())):
        raise UserError(
            f"model: {type(model).__name__} gives other outputs for a half of a mini-batch, as batch normalization and "
            "dropout do, and several devices share each; give trainer.devices=1, or another model"
        )


def check_step(optimizer: Any, objective: Objective) -> None:
    """Take a step, and raise a `UserError` where that cannot be, or gives no loss."""
    name = type(optimizer).__name__
    try:
        optimizer.train()
        check_promises(optimizer)
        loss = optimizer.step(objective)
    except UserError:
        raise
    except Exception as error:  # an optimizer of the user's may be wrong in any way
        blind = not objective.grad_evals and not steps_by_update(optimizer)
        hint = "; its step has not called the closure, which sets the gradients" if blind else ""
        raise UserError(f"optimizer: {name} cannot take a step of this model: {said(error)}{hint}") from None
    if not isinstance(loss, Tensor):
        raise UserError(
            f"optimizer: step of {name} returns {loss!r}; call its closure, and return the loss that this gave"
        )


def check_promises(optimizer: Any) -> None:
    """Raise a `UserError` where the rule of a user's class breaks its promises, on any number of dimensions."""
    cls = type(optimizer)
    group = optimizer.param_groups[0]
    if steps_by_update(optimizer) and not cls.__module__.startswith("optbench."):
        for p in {p.dim(): p for p in group["params"]}.values():
            check_rule(cls, group, p)


def steps_by_update(optimizer: Any) -> bool:
    """Return whether an optimizer's step is ours, which its rule fills in."""
    return is_ours(type(optimizer)) and bool(type(optimizer).by_update())
