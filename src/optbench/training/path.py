"""How a run steps: as it is written, with its update compiled, or with the whole step compiled."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from hydra.utils import get_class

from optbench.optimizers.base import Optimizer
from optbench.training.trainer import processes

Way = Literal["off", "update", "step"]
Asked = Literal["auto", "off", "update", "step", False]

NAMES: dict[Way, str] = {"off": "plain step", "update": "compiled update", "step": "compiled step"}
"""What status.json says of a run."""

COLD = 6.0
"""Seconds that a step takes to compile where torch has nothing on disk; from there it takes 1 to 2."""

FOREIGN = "a class of another package"

SAVED = {
    "no state": {"stacked": (3.4e-5, 0.8e-9), "alone": (7.7e-5, 1.0e-9)},
    "elementwise": {"stacked": (3.3e-5, 1.9e-9), "alone": (1.3e-4, 1.6e-9)},
    "whole tensors": {"stacked": (1.0e-4, 4.7e-9), "alone": (2.0e-4, 1.8e-9)},
}
"""Seconds that a compiled step saves of a plain one, for each replica: in all, and for each parameter; by kind of rule.

On one core of a busy machine, with mini-batches of 64, at 16,000 and 102,000 parameters, in stacks of 8 and alone: SGD
79 us become 32 and 254 become 138, alone 175 become 82 and 389 become 212; Adam 96, 33, 382, 152, alone 243, 89, 517,
222; LAMB 219, 38, 773, 185, alone 336, 101, 686, 296. Each other rule is taken for as dear as the one of its kind.
"""


def choose(config: Mapping[str, Any], parameters: int, steps: int | None, replicas: int = 1) -> tuple[Way, str]:
    """Return how runs are to step, and why that is not what was asked for, if it is not.

    It is the same for the same runs, whatever is on disk or how busy the machine is.

    Args:
        config: Of one of the runs.
        parameters: Of its network.
        steps: That each run takes; None where only time ends it.
        replicas: How many train as one stack, or 1.
    """
    asked: Asked = config.get("compile") or "off"
    if config["optimizer"].get("compile"):
        return "update", ""
    rule: Any = get_class(config["optimizer"]["_target_"])
    if asked == "auto":
        pays = obstacle(config) is None and gain(rule, parameters, steps or 0, replicas) > COLD
        return ("step" if pays else "off"), ""
    if asked == "update" and not hasattr(rule, "stackable"):
        return "off", FOREIGN
    if asked == "step" and (reason := obstacle(config)):
        return "off", reason
    return asked or "off", ""


def gain(rule: type[Optimizer], parameters: int, steps: int, replicas: int = 1) -> float:
    """Return the seconds that compiled steps save, but for compiling; see `choose`."""
    kind = "elementwise" if rule.init(torch.zeros(1)) else "no state"
    fixed, each = SAVED["whole tensors" if rule.whole_tensor else kind]["stacked" if replicas > 1 else "alone"]
    return replicas * steps * (fixed + each * parameters)


def obstacle(config: Mapping[str, Any]) -> str | None:
    """Return why the whole step of a run cannot be compiled, or None; what its network is made of shows only later."""
    rule: Any = get_class(config["optimizer"]["_target_"])
    if not hasattr(rule, "stackable"):
        return FOREIGN
    if not rule.stackable({**rule.hyper, **config["optimizer"]}):
        return "more than one gradient and its update"
    if processes(config["trainer"]) > 1:
        return "several devices"
    if str(config["trainer"].get("precision")).startswith(("bf16", "16")):
        return "half precision"
    return None


def tell(status: dict[str, Any], path: Way, reason: str = "", seconds: float | None = None) -> None:
    """Write into the status of a run how it steps, and say so where that is not what was asked for.

    Args:
        status: The status, as it will stand in status.json.
        path: How.
        reason: Why it is not what was asked for.
        seconds: What compiling took.
    """
    status["path"] = NAMES[path]
    if reason:
        status["path_reason"] = reason
    if seconds is not None:
        status["compile_seconds"] = round(seconds, 2)
