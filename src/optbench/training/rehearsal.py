"""One step on a few samples, before a run begins: whatever parts of it do not fit together shows here."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from optbench.checks import UserError, one_line
from optbench.optimizers.build import is_ours
from optbench.optimizers.objective import Objective
from optbench.optimizers.promises import check_rule
from optbench.training.module import in_full

SAMPLES = 16


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
    samples = tuple(part[:SAMPLES].cpu() for part in data.split("train"))
    x, y = precision.convert_input(samples)

    def loss() -> Tensor:
        with precision.forward_context():
            output = model(x)
        fit(data, type(model).__name__, output, y)
        value: Tensor = data.loss(*in_full(output, y))
        return value

    before = x.clone()
    try:
        if (least := smallest(data)) < len(x):
            x, y = precision.convert_input(tuple(part[:least] for part in samples))
            loss()
            x, y = precision.convert_input(samples)
        loss()
        if not torch.equal(x, before):
            raise UserError(f"model: {type(model).__name__} changes its inputs in place; compute out of place")
    except UserError:
        raise
    except Exception as error:  # a model of the user's may be wrong in any way
        given = f"{data.features} features give {data.outputs} outputs"
        raise UserError(
            f"model: {type(model).__name__} fails on x of shape {tuple(x.shape)}, whose {given}: {line(error)}"
        ) from None
    if shared:
        with torch.no_grad(), precision.forward_context():
            separable(model, x)
    optimizer = make_optimizer(model.parameters())
    if shared and not getattr(optimizer, "shares", True):
        raise UserError(
            f"optimizer: {type(optimizer).__name__} needs each example of a mini-batch, which several devices share; "
            "give trainer.devices=1"
        )
    optimizer.train()
    objective = Objective(loss, model.parameters())
    try:
        keep_promises(optimizer)
        told = optimizer.step(objective)
        if not isinstance(told, Tensor):
            raise UserError(
                f"optimizer: step of {type(optimizer).__name__} returns {told!r}; call its closure, and return "
                "the loss that this gave"
            )
    except UserError:
        raise
    except Exception as error:  # and so may an optimizer
        blind = not objective.grad_evals and own_step(optimizer)
        hint = "; its step has not called the closure, which sets the gradients" if blind else ""
        raise UserError(
            f"optimizer: {type(optimizer).__name__} cannot take a step of this model: {line(error)}{hint}"
        ) from None


def own_step(optimizer: Any) -> bool:
    """Return whether an optimizer has a step of its own, rather than ours."""
    return not (is_ours(type(optimizer)) and type(optimizer).by_update())


def smallest(data: Any) -> int:
    """Return the samples of the smallest mini-batch, which is an epoch's last one."""
    loader = data.train_dataloader()
    return int(len(loader.x) % loader.batch_size or loader.batch_size)


def keep_promises(optimizer: Any) -> None:
    """Look at the rule of a class of the user's, on a parameter of each number of dimensions.

    Raises:
        UserError: It does not keep what it promises.
    """
    cls = type(optimizer)
    group = optimizer.param_groups[0]
    if not is_ours(cls) or cls.__module__.startswith("optbench.") or not cls.by_update():
        return
    for p in {p.dim(): p for p in group["params"]}.values():
        check_rule(cls, group, p)


def separable(model: nn.Module, x: Tensor) -> None:
    """Raise where the outputs for a mini-batch are others than those for its halves, as with batch normalization.

    Raises:
        UserError: They are.
    """
    whole = model(x)
    halves = torch.cat([model(half) for half in x.chunk(2)])
    if not torch.allclose(whole.float(), halves.float(), rtol=1e-2, atol=1e-2 * float(whole.abs().mean())):
        raise UserError(
            f"model: {type(model).__name__} gives other outputs for a half of a mini-batch, as batch normalization and "
            "dropout do, and several devices share each; give trainer.devices=1, or another model"
        )


def fit(data: Any, model: str, output: Any, y: Tensor) -> None:
    """Raise where the outputs of a model do not have the shape that the data's targets need.

    Raises:
        UserError: They do not: broadcast, they would give another loss than the one that is meant.
    """
    shape = tuple(getattr(output, "shape", ()))
    needed = (len(y), data.outputs) if data.task == "classification" else tuple(y.shape)
    if shape != needed:
        raise UserError(
            f"model: {model} returns {f'shape {shape}' if shape else type(output).__name__} where targets of shape "
            f"{tuple(y.shape)} need {needed}; the model, or y of {type(data).__name__}, has to be of another shape"
        )


def line(error: Exception) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {one_line(error)[:200]}"
