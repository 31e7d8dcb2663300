"""What the rules share that keep a square matrix of statistics for each side of a matrix."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optbench.checks import UserError


def sides(p: Tensor, limit: int) -> tuple[bool, bool]:
    """Return whether the rows and the columns of a matrix are few enough for a statistic of their own.

    Args:
        p: Parameter of two dimensions or more, of which all but the first are one.
        limit: Largest side.
    """
    m, n = p.flatten(1).shape
    return m <= limit, n <= limit


def refuse_too_large(name: str, group: Mapping[str, Any], copies: int) -> None:
    """Raise where the statistics of a group would not fit into a device's memory, before any of it is taken.

    Args:
        name: Of the optimizer, for the message.
        group: Parameter group, with `max_precondition_dim`.
        copies: How many square matrices the rule keeps for each side.

    Raises:
        UserError: They would not.
    """
    params = group["params"]
    named = group.get("param_names") or [f"parameter {i}" for i in range(len(params))]
    left: dict[torch.device, int] = {}
    for label, p in zip(named, params, strict=True):
        if p.dim() < 2:
            continue
        few = sides(p, group["max_precondition_dim"])
        kept = [side for side, is_few in zip(p.flatten(1).shape, few, strict=True) if is_few]
        asked = copies * p.element_size() * sum(side**2 for side in kept)
        left.setdefault(p.device, memory(p.device))
        if asked > left[p.device]:
            raise UserError(
                f"{name}: {label} of shape {list(p.shape)} asks for {asked / 1e9:.1f} GB of statistics where "
                f"{left[p.device] / 1e9:.1f} GB are left; give max_precondition_dim={max(kept) - 1} or less"
            )
        left[p.device] -= asked


def memory(device: torch.device) -> int:
    """Return the bytes that a CUDA device has free, that the machine of a CPU has, or more than any other has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2**63
