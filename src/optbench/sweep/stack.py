"""Networks and their optimizers as one stack, whose replicas are the runs that they would be alone."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from optbench.optimizers.arithmetic import Spent, subtract_, to_tensor
from optbench.optimizers.base import SLICE, Optimizer, State
from optbench.training.network import Network, Pack, losses
from optbench.training.states import state_by_name, steps_taken


class Block:
    """Replicas of a pack, one after another, that one call of `update` moves: only their learning rates differ.

    Args:
        pack: The pack.
        rows: The replicas.
        optimizer: That of any of them.
        states: Of each replica by parameter; empty before the first step.
    """

    def __init__(self, pack: Pack, rows: slice, optimizer: Optimizer, states: Sequence[Mapping[str, State]]) -> None:
        self.rows = rows
        self.rule = type(optimizer)
        self.h = numbers(optimizer)
        single = rows.stop - rows.start == 1
        self.at = rows.start if single else rows
        self.p = (pack.leaves[0].detach() if self.rule.whole_tensor else pack.flat)[self.at]
        self.batched = self.rule.whole_tensor and not single
        if states[0][pack.names[0]]:
            self.state = self._stacked(pack, states)
        else:
            self.state = vmap(self.rule.init)(self.p) if self.batched else self.rule.init(self.p)

    def _stacked(self, pack: Pack, states: Sequence[Mapping[str, State]]) -> State:
        """Return the states of all replicas as one."""
        found: State = {}
        for key in states[0][pack.names[0]]:
            values = [[own[name][key] for own in states] for name in pack.names]
            if isinstance(values[0][0], Tensor):
                parts = [torch.stack(value).to(self.p.device) for value in values]
                whole = parts[0] if self.rule.whole_tensor else pack.pack(parts)
                found[key] = whole if isinstance(self.at, slice) else whole[0]
            elif all(value == values[0][0] for value in values[0]):
                found[key] = values[0][0]
            else:
                found[key] = self.p.new_tensor(values[0]).unsqueeze(1)
        return {key: value for key, value in found.items() if key != "step"}

    def rates(self, lrs: Sequence[Sequence[float]]) -> Sequence[Any]:
        """Return the learning rate of each step: a number, or a tensor (replicas, 1) where they have several.

        Args:
            lrs: Learning rates by replica and step.
        """
        mine = lrs[self.rows]
        if all(other == mine[0] for other in mine):
            return mine[0]
        return torch.tensor(mine, dtype=self.p.dtype, device=self.p.device).mT.unsqueeze(2).unbind()

    def step(self, g: Tensor, t: int, lr: Any) -> None:
        """Move the replicas.

        Args:
            g: Gradient of the whole pack.
            t: Step, from 1.
            lr: What `rates` gave for it.
        """
        if self.batched:
            rate = lr.flatten() if isinstance(lr, Tensor) else lr
            move = vmap(partial(self._move, t), (0, 0, 0, 0 if isinstance(lr, Tensor) else None))
            step, self.state = move(g[self.at], self.p, self.state, rate)
            self.p.sub_(step)
        else:
            h = {**self.h, "lr": lr}
            change, self.state = self.rule.update(g[self.at], self.p, Spent(self.state), t, h)
            subtract_(self.p, self.rule.rate(h), change)

    def _move(self, t: int, g: Tensor, p: Tensor, s: State, lr: Any) -> tuple[Tensor, State]:
        h = {**self.h, "lr": lr}
        change, s = self.rule.update(g, p, s, t, h)
        return to_tensor(change) * self.rule.rate(h), s

    def state_of(self, replica: int) -> State:
        """Return the state of one of its replicas."""
        pick = isinstance(self.at, slice)
        return {k: v[replica - self.rows.start] if pick and isinstance(v, Tensor) else v for k, v in self.state.items()}


def numbers(optimizer: Optimizer) -> dict[str, Any]:
    """Return the hyperparameters of an optimizer but for the learning rate."""
    return {k: v for k, v in optimizer.param_groups[0].items() if k not in ("params", "lr", "initial_lr")}


class Stack:
    """Networks and their optimizers as one.

    Args:
        models: The networks, of one architecture.
        optimizers: The optimizer of each, of one class; they serve for their numbers and their state, and never step.
        loss: Function of outputs, targets and `reduction`.
        clip: Function from gradients (replicas, ...) to clipped ones, if they are to be.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        loss: Callable[..., Tensor],
        clip: Callable[[Sequence[Tensor]], Sequence[Tensor]] | None = None,
    ) -> None:
        self.clip = clip
        self.apart = optimizers[0].whole_tensor
        self.network = Network(models, self.apart)
        self.loss = loss
        self.steps = steps_taken(optimizers[0])
        states = [state_by_name(*pair) for pair in zip(models, optimizers, strict=True)]
        self.blocks = [list(self._cut(pack, optimizers, states)) for pack in self.network.packs]
        self.gradients: dict[str, Tensor] = {}

    def _cut(
        self, pack: Pack, optimizers: Sequence[Optimizer], states: Sequence[Mapping[str, State]]
    ) -> Iterator[Block]:
        """Cut a pack where a number changes, and on a CPU where more would not stay in the cache."""
        fit = max(1, SLICE // pack.flat.shape[1]) if pack.flat.device.type == "cpu" else len(optimizers)
        start = 0
        for _, alike in groupby(optimizers, numbers):
            stop = start + len(list(alike))
            for i in range(start, stop, fit):
                rows = slice(i, min(i + fit, stop))
                yield Block(pack, rows, optimizers[i], states[rows])
            start = stop

    def rates(self, lrs: Sequence[Sequence[float]]) -> Iterator[list[list[Any]]]:
        """Yield for each step what `step` needs of the learning rates, given by replica and step."""
        by_block = [[block.rates(lrs) for block in blocks] for blocks in self.blocks]
        for i in range(len(lrs[0])):
            yield [[rates[i] for rates in blocks] for blocks in by_block]

    def advance(self, x: Tensor, y: Tensor, lrs: Sequence[Sequence[float]]) -> Tensor:
        """Take a step for each mini-batch and return the losses before it, shape (steps, replicas).

        Args:
            x: Inputs (steps, groups, batch, features).
            y: Targets (steps, groups, batch, ...).
            lrs: Learning rates by replica and step.
        """
        steps = zip(x, y, self.rates(lrs), strict=True)
        return torch.stack([self.step(inputs, targets, rates) for inputs, targets, rates in steps])

    def gradient_of(self, i: int) -> dict[str, Tensor]:
        """Return the last gradients of a replica by parameter; none before the first step."""
        return {name: gradient[i] for name, gradient in self.gradients.items()}

    def step(self, x: Tensor, y: Tensor, rates: Sequence[Sequence[Any]]) -> Tensor:
        """Take a step on a mini-batch, as given to `losses`, and return the losses before it."""
        loss, _, _ = losses(self.network, self.loss, x, y)
        leaves = self.network.leaves
        gradients: Sequence[Tensor] = torch.autograd.grad(loss, list(leaves.values()), torch.ones_like(loss))
        if self.clip:
            gradients = self.clip(gradients)
        self.gradients = dict(zip(leaves, gradients, strict=True))
        self.steps += 1
        with torch.no_grad():
            for pack, blocks, lrs in zip(self.network.packs, self.blocks, rates, strict=True):
                parts = [self.gradients[name] for name in pack.names]
                g = parts[0] if self.apart else pack.pack(parts)
                for block, lr in zip(blocks, lrs, strict=True):
                    block.step(g, self.steps, lr)
        return loss.detach()

    def state_of(self, i: int) -> dict[str, State]:
        """Return the state of a replica by parameter, copied; none before the first step."""
        state: defaultdict[str, State] = defaultdict(dict)
        for pack, blocks in zip(self.network.packs, self.blocks, strict=True) if self.steps else ():
            own = next(block for block in blocks if i < block.rows.stop).state_of(i)
            for key, value in {"step": self.steps, **own}.items():
                if isinstance(value, Tensor) and not self.apart and value.shape[-1] != pack.flat.shape[1]:
                    value = value.item()  # a number, which is a tensor where replicas differ in their rates
                flat = isinstance(value, Tensor) and not self.apart
                parts = pack.unpack(value) if flat else [value] * len(pack.names)
                for name, part in zip(pack.names, parts, strict=True):
                    state[name][key] = part.clone() if isinstance(part, Tensor) else part
        return dict(state)
