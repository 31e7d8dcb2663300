"""Which cells of a sweep train together as one stack."""

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from hydra.utils import get_class

from optbench.configs import build_model, dataset
from optbench.data.chunks import CHUNK
from optbench.optimizers.build import is_ours
from optbench.training import path
from optbench.training.network import Network
from optbench.training.trainer import alone

FEWEST = {2**15: 4, 2**20: 8}
"""When a stack pays on a CPU: from how many replicas on, for networks of up to so many parameters.

A step of a replica, in units of a step alone, with Adam on one thread: at 16,000 parameters 0.9 to 1.0 with 2 replicas,
0.6 with 4, 0.45 with 8 and 0.3 with 32; at 102,000 it is 1.0 with 4, 0.85 with 8 and 0.8 from 16 on; at 407,000 0.8 to
0.9 throughout; at 3.7 million 0.9 to 1.0, where both wait for memory. A gain below a tenth is lost where so few stacks
spread unevenly over the processes.
"""

INPUTS = 2**20
"""Of a network that is only looked at, without memory: more than any data here have."""

TENSORS = 12
"""Tensors of a network's size that a replica needs at most: weights, gradients, state, temporaries."""


def plan(configs: Sequence[Mapping[str, Any]], processes: int) -> tuple[list[list[int]], str]:
    """Return which cells train together, the largest stacks first, and a line that tells the user.

    Args:
        configs: The cells' own, as plain values; `replicas` of each is auto, off or the largest number in a stack.
        processes: How many stacks or single runs train side by side.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, config in enumerate(configs):
        groups[likeness(config)].append(i)
    stacks: list[list[int]] = []
    alone: dict[int, str] = {}
    for cells in groups.values():
        reason = obstacle(configs[cells[0]])
        if reason:
            alone |= dict.fromkeys(cells, reason)
            continue
        least, largest = sizes(configs[cells[0]], len(configs), processes)
        for stack in cut(cells, configs, largest):
            if len(stack) < least:
                alone |= dict.fromkeys(stack, FEW)
            else:
                stacks.append(stack)
    stacks.sort(key=len, reverse=True)
    return stacks + [[i] for i in sorted(alone)], told(configs, stacks, alone)


def sizes(config: Mapping[str, Any], cells: int, processes: int) -> tuple[float, int]:
    """Return of how many replicas a stack is at least, and at most.

    Args:
        config: One of the cells.
        cells: Of the whole sweep.
        processes: That train side by side.
    """
    if config["replicas"] != "auto":
        return 2, config["replicas"]
    share = math.ceil(cells / processes)
    return fewest(config), min(share, room(config, processes))


def told(configs: Sequence[Mapping[str, Any]], stacks: Sequence[Sequence[int]], alone: Mapping[int, str]) -> str:
    """Return a line that tells the user what trains together, what alone, and what is not compiled, and why.

    Args:
        configs: The cells.
        stacks: Which train together.
        alone: Which do not, and why.
    """
    names = [str(config["optimizer"]["_target_"]).rpartition(".")[2] for config in configs]
    expected = (OFF,) if stacks else (OFF, FEW)
    shapes = Counter((len(stack), names[stack[0]]) for stack in stacks)
    single = Counter((names[i], reason) for i, reason in alone.items() if reason not in expected)
    refusals = [(name, uncompiled(config)) for name, config in zip(names, configs, strict=True)]
    refused = Counter((name, reason) for name, reason in refusals if reason)
    lines = {
        "stacked:": [f"{times} x {size} {name}" for (size, name), times in shapes.items()],
        "one by one:": [f"{times} {name} ({reason})" for (name, reason), times in single.items()],
        "not compiled:": [f"{times} {name} ({reason})" for (name, reason), times in refused.items()],
    }
    return "; ".join(f"{what} {', '.join(parts)}" for what, parts in lines.items() if parts)


OFF = "replicas=off"
FEW = "too few alike"
FOREIGN = "a class of others"


def uncompiled(config: Mapping[str, Any]) -> str | None:
    """Return why the step of a cell cannot be compiled whole although it was asked for, or None."""
    return path.obstacle(config) if config.get("compile") == "step" else None


def obstacle(config: Mapping[str, Any]) -> str | None:
    """Return why a cell has to train alone, or None."""
    rule: Any = get_class(config["optimizer"]["_target_"])
    if config["replicas"] in ("off", False):
        return OFF
    if not is_ours(rule):
        return FOREIGN
    if not rule.stackable({**rule.hyper, **config["optimizer"]}):
        return "cannot be stacked"
    if config["optimizer"].get("compile") or config.get("compile") == "update":
        return "compiled"
    if reason := alone(config["trainer"]):
        return reason
    try:
        with torch.device("meta"):  # layers are the same for all data, but two factors want more inputs than rows
            known = Network.takes(build_model(config["model"], INPUTS, 1))
    except Exception:  # a constructor of the user's; it will fail in a process of its own, and say why
        known = False
    if not known:
        return "unknown layers"
    if config["replicas"] == "auto" and fewest(config) == math.inf:
        return "too large to gain"
    return None


def fewest(config: Mapping[str, Any]) -> float:
    """Return from how many replicas on a stack pays; infinity if it never does."""
    if torch.cuda.is_available():
        return 2
    return next((least for most, least in FEWEST.items() if parameters(config) <= most), math.inf)


def likeness(config: Mapping[str, Any]) -> str:
    """Return what two cells need to have in common to train as one stack; numbers of the optimizer may differ."""
    alike = {k: config.get(k) for k in ("model", "trainer", "threads", "replicas", "compile")}
    alike["data"] = {k: v for k, v in config["data"].items() if k != "seed"}
    rule = config["optimizer"]
    alike["optimizer"] = {k: v for k, v in rule.items() if k != "search" and type(v) not in (int, float)}
    return json.dumps(alike, sort_keys=True)


def parameters(config: Mapping[str, Any]) -> int:
    """Return the size of a cell's network."""
    data = dataset(config["data"])
    with torch.device("meta"):
        model = build_model(config["model"], data.features, data.outputs)
    return sum(p.numel() for p in model.parameters())


def room(config: Mapping[str, Any], processes: int) -> int:
    """Return for how many replicas a process has memory: its share of half the GPU, or of a quarter of the machine."""
    if torch.cuda.is_available():
        memory = torch.cuda.mem_get_info()[0] // 2
    else:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    each = 4 * (TENSORS * parameters(config) + 2 * CHUNK)
    return max(1, memory // processes // each)


def cut(cells: Sequence[int], configs: Sequence[Mapping[str, Any]], largest: int) -> Iterator[list[int]]:
    """Cut cells into as few stacks as may be, each with equally many cells of every order of mini-batches.

    Args:
        cells: Cells that are alike.
        configs: All cells.
        largest: Number in a stack.
    """
    orders: defaultdict[int, list[int]] = defaultdict(list)
    for i in sorted(cells, key=lambda i: numbers(configs[i]["optimizer"])):
        orders[configs[i]["data"]["seed"]].append(i)
    for size in sorted({len(order) for order in orders.values()}):
        rows = [order for order in orders.values() if len(order) == size]
        shapes = [(m, min(size, largest // m)) for m in range(1, min(len(rows), largest) + 1)]
        m, k = min(shapes, key=lambda shape: (parts(len(rows), shape[0]) * parts(size, shape[1]), -shape[1]))
        m = parts(len(rows), parts(len(rows), m))
        k = parts(size, parts(size, k))
        for a in range(0, len(rows), m):
            for b in range(0, size, k):
                yield [i for row in rows[a : a + m] for i in row[b : b + k]]


def numbers(optimizer: Mapping[str, Any]) -> str:
    """Return a key that brings together cells of which one call of `update` can move several."""
    return json.dumps({k: str(v) for k, v in optimizer.items() if k != "lr"}, sort_keys=True)


def parts(whole: int, size: int) -> int:
    """Return how many parts of a size, or a bit less, make a whole."""
    return -(-whole // size)
