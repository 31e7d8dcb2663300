"""Which cells of a sweep train together as one stack."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from optbench import run
from optbench.data.chunks import CHUNK
from optbench.replicas import Network

FEWEST, PARAMETERS = 4, 2**20
"""When a stack pays on a CPU: from 4 replicas on, and up to a million parameters.

A step of a replica, in units of a step alone, takes 0.8 to 1.0 with 2 replicas, 0.7 to 0.8 with 3, 0.5 to 0.8 with 4
and 0.25 to 0.7 with 16, measured with Adam and SGD, one thread, hidden 20 to 1024; and 0.9 to 1.0 at 3.7 million
parameters, where both wait for memory. What 3 gain is lost again where so few stacks spread unevenly over processes.
"""

TENSORS = 12
"""Tensors of a network's size that a replica needs at most: weights, gradients, state, temporaries."""


def plan(configs: Sequence[DictConfig], processes: int) -> tuple[list[list[int]], str]:
    """Return which cells train together, the largest stacks first, and a line that tells the user.

    Args:
        configs: The cells; `replicas` of each is auto, off or the largest number in a stack.
        processes: How many stacks or single runs train side by side.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, config in enumerate(configs):
        groups[likeness(config)].append(i)
    stacks: list[list[int]] = []
    alone: dict[int, str] = {}
    for cells in groups.values():
        config = configs[cells[0]]
        auto, reason = config.replicas == "auto", obstacle(config)
        largest = min(-(-len(configs) // processes), room(config, processes)) if auto else config.replicas
        for stack in [cells] if reason else cut(cells, configs, largest):
            if reason or len(stack) < (FEWEST if auto else 2):
                alone |= dict.fromkeys(stack, reason or "too few alike")
            else:
                stacks.append(stack)
    stacks.sort(key=len, reverse=True)
    names = [str(config.optimizer._target_).rpartition(".")[2] for config in configs]
    told = [
        f"{times} x {size} {name}" for (size, name), times in Counter((len(s), names[s[0]]) for s in stacks).items()
    ]
    single = Counter((names[i], reason) for i, reason in alone.items() if reason != OFF)
    others = [f"{times} {name} ({reason})" for (name, reason), times in single.items()]
    lines = [f"{what} {', '.join(parts)}" for what, parts in (("stacked:", told), ("one by one:", others)) if parts]
    return stacks + [[i] for i in sorted(alone)], "; ".join(lines)


OFF = "replicas=off"


def obstacle(config: DictConfig) -> str | None:
    """Return why a cell has to train alone, or None."""
    rule: Any = get_class(config.optimizer._target_)
    if config.replicas in ("off", False):
        return OFF
    if not rule.stackable({**rule.hyper, **config.optimizer}):
        return "cannot be stacked"
    if config.trainer.get("devices", 1) != 1:
        return "on several devices"
    if not Network.takes(instantiate(config.model)(1, 1)):
        return "unknown layers"
    if config.replicas == "auto" and parameters(config) > PARAMETERS and not torch.cuda.is_available():
        return "too large to gain"
    return None


def likeness(config: DictConfig) -> str:
    """Return what two cells need to have in common to train as one stack; numbers of the optimizer may differ."""
    whole: Any = OmegaConf.to_container(config, resolve=True)
    alike = {k: whole[k] for k in ("model", "trainer", "threads", "replicas")}
    alike["data"] = {k: v for k, v in whole["data"].items() if k != "seed"}
    rule = whole["optimizer"]
    alike["optimizer"] = {k: v for k, v in rule.items() if k != "search" and type(v) not in (int, float)}
    return json.dumps(alike, sort_keys=True)


def parameters(config: DictConfig) -> int:
    """Return the size of a cell's network."""
    data = run.dataset(OmegaConf.to_yaml({**config.data, "seed": 0}, resolve=True))
    with torch.device("meta"):
        model = instantiate(config.model)(data.features, data.outputs)
    return sum(p.numel() for p in model.parameters())


def room(config: DictConfig, processes: int) -> int:
    """Return for how many replicas a process has memory: its share of half the GPU, or of a quarter of the machine."""
    if torch.cuda.is_available():
        memory = torch.cuda.mem_get_info()[0] // 2
    else:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    each = 4 * (TENSORS * parameters(config) + 2 * CHUNK)
    return max(1, memory // processes // each)


def cut(cells: Sequence[int], configs: Sequence[DictConfig], largest: int) -> Iterator[list[int]]:
    """Cut cells into as few stacks as may be, each with equally many cells of every order of mini-batches.

    Args:
        cells: Cells that are alike.
        configs: All cells.
        largest: Number in a stack.
    """
    orders: defaultdict[int, list[int]] = defaultdict(list)
    for i in sorted(cells, key=lambda i: numbers(configs[i].optimizer)):
        orders[configs[i].data.seed].append(i)
    for size in sorted({len(order) for order in orders.values()}):
        rows = [order for order in orders.values() if len(order) == size]
        shapes = [(m, min(size, largest // m)) for m in range(1, min(len(rows), largest) + 1)]
        m, k = min(shapes, key=lambda shape: (parts(len(rows), shape[0]) * parts(size, shape[1]), -shape[1]))
        m, k = parts(len(rows), parts(len(rows), m)), parts(size, parts(size, k))
        for a in range(0, len(rows), m):
            for b in range(0, size, k):
                yield [i for row in rows[a : a + m] for i in row[b : b + k]]


def numbers(optimizer: Mapping[str, Any]) -> str:
    """Return a key that brings together cells of which one call of `update` can move several."""
    return json.dumps({k: str(v) for k, v in optimizer.items() if k != "lr"}, sort_keys=True)


def parts(whole: int, size: int) -> int:
    """Return how many parts of a size, or a bit less, make a whole."""
    return -(-whole // size)
