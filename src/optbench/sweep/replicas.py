"""Replicas: runs that differ in numbers only, trained as one stacked model, each with the record of a run alone."""

import copy
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import lightning.pytorch as lightning
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F

from optbench import configs
from optbench.data import DataModule
from optbench.data.chunks import Chunks
from optbench.models import ACTIVATIONS
from optbench.optimizers.base import PACK, SLICE, Optimizer, Spent, State, subtract_, to_tensor
from optbench.records import Record
from optbench.training import run
from optbench.training.module import EVALUATION_BATCH, Diverged, Training


class Pack:
    """Some of the parameters of all replicas, in one memory.

    Args:
        models: The parameters of each replica by name; they become views of the pack.
        names: Those to take.

    Attributes:
        flat: The memory, shape (replicas, elements).
        leaves: The parameters in it, shape (replicas, ...), to differentiate with respect to.
    """

    def __init__(self, models: Sequence[Mapping[str, nn.Parameter]], names: Sequence[str]) -> None:
        self.names, self.shapes = names, [models[0][name].shape for name in names]
        self.flat = torch.stack([torch.cat([params[name].detach().flatten() for name in names]) for params in models])
        self.leaves = [leaf.requires_grad_() for leaf in self.unpack(self.flat)]
        for name, leaf in zip(names, self.leaves, strict=True):
            for params, row in zip(models, leaf.detach(), strict=True):
                params[name].data = row

    def unpack(self, flat: Tensor) -> list[Tensor]:
        """Return the parameters, or what belongs to them, out of a tensor (..., elements)."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes], dim=-1)
        return [part.view(*flat.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def pack(self, parts: Sequence[Tensor]) -> Tensor:
        """Return tensors (replicas, ...) as one (replicas, elements)."""
        return torch.cat([part.flatten(1) for part in parts], 1) if len(parts) > 1 else parts[0].flatten(1)


class Network:
    """Networks of one architecture as one: every parameter has a leading dimension for the replicas.

    A mini-batch is a matrix of columns, so that the replicas which share one multiply it by a single tall matrix, and
    no gradient has to be transposed: with `torch.func.vmap` a step takes two to three times as long.

    Args:
        models: The networks; their parameters and buffers become views of the stack.
        apart: Whether each parameter has a pack of its own; otherwise the small ones share one.

    Attributes:
        leaves: The parameters by name, shape (replicas, ...).
    """

    def __init__(self, models: Sequence[nn.Module], apart: bool) -> None:
        self.layers = list(models[0].children())
        params = [dict(model.named_parameters()) for model in models]
        small = [name for name, p in params[0].items() if p.numel() <= PACK and not apart]
        names = [[name] for name in params[0] if name not in small] + [small] * bool(small)
        self.packs = [Pack(params, group) for group in names]
        self.leaves = {name: leaf for pack in self.packs for name, leaf in zip(pack.names, pack.leaves, strict=True)}
        self.tensors = dict(self.leaves)
        buffers = [dict(model.named_buffers()) for model in models]
        for name in buffers[0]:
            self.tensors[name] = torch.stack([own[name] for own in buffers])
            for own, row in zip(buffers, self.tensors[name], strict=True):
                own[name].data = row

    @staticmethod
    def takes(model: nn.Module) -> bool:
        """Return whether a network can be stacked: it is a row of known layers, the first one linear."""
        known = (nn.Linear, nn.BatchNorm1d, nn.LayerNorm, *ACTIVATIONS.values())
        layers = [type(layer) for layer in model.children()]
        return isinstance(model, nn.Sequential) and layers[0] is nn.Linear and all(layer in known for layer in layers)

    def __call__(self, x: Tensor, training: bool = True) -> Tensor:
        """Return outputs (replicas, outputs, batch).

        Args:
            x: Inputs (groups, batch, features); each group is for as many replicas, one after another.
            training: Whether batch normalization uses the mini-batch.
        """
        h = x.mT
        for i, layer in enumerate(self.layers):
            own = {k: self.tensors[f"{i}.{k}"] for k in layer.state_dict()}
            match layer:
                case nn.Linear():
                    w, b, groups = own["weight"], own["bias"], len(h)
                    tall = w.reshape(groups, -1, w.shape[2])
                    h = torch.baddbmm(b.reshape(groups, -1, 1), tall, h).view(*b.shape, -1)
                case nn.LayerNorm():
                    normal = F.layer_norm(h.mT, layer.normalized_shape, eps=layer.eps).mT
                    h = normal * own["weight"].unsqueeze(2) + own["bias"].unsqueeze(2)
                case nn.BatchNorm1d():
                    mean, var, w, b = (own[k].reshape(-1) for k in ("running_mean", "running_var", "weight", "bias"))
                    channels = h.reshape(1, -1, h.shape[2])
                    h = F.batch_norm(channels, mean, var, w, b, training, layer.momentum or 0, layer.eps).view(h.shape)
                    own["num_batches_tracked"] += training
                case _:
                    h = layer(h)
        return h


class Block:
    """Replicas of a pack, one after another, that one call of `update` moves: only their learning rates differ.

    Args:
        pack: The pack.
        rows: The replicas.
        optimizer: That of any of them.
    """

    def __init__(self, pack: Pack, rows: slice, optimizer: Optimizer) -> None:
        self.rows, self.rule, self.h = rows, type(optimizer), numbers(optimizer)
        single = rows.stop - rows.start == 1
        self.at = rows.start if single else rows
        self.p = (pack.leaves[0].detach() if self.rule.whole_tensor else pack.flat)[self.at]
        self.batched = self.rule.whole_tensor and not single
        self.state = vmap(self.rule.init)(self.p) if self.batched else self.rule.init(self.p)

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
            change, self.state = self.rule.update(g[self.at], self.p, Spent(self.state), t, {**self.h, "lr": lr})
            subtract_(self.p, 1.0 if self.rule.whole_step else lr, change)

    def _move(self, t: int, g: Tensor, p: Tensor, s: State, lr: Any) -> tuple[Tensor, State]:
        change, s = self.rule.update(g, p, s, t, {**self.h, "lr": lr})
        return to_tensor(change) * (1.0 if self.rule.whole_step else lr), s

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
        optimizers: The optimizer of each, of one class; they serve for their numbers and never step.
        loss: Function of outputs, targets and `reduction`.
    """

    def __init__(
        self, models: Sequence[nn.Module], optimizers: Sequence[Optimizer], loss: Callable[..., Tensor]
    ) -> None:
        self.apart = optimizers[0].whole_tensor
        self.network, self.loss, self.steps = Network(models, self.apart), loss, 0
        self.blocks = [list(self._cut(pack, optimizers)) for pack in self.network.packs]
        self.gradients: dict[str, Tensor] = {}

    def _cut(self, pack: Pack, optimizers: Sequence[Optimizer]) -> Iterator[Block]:
        """Cut a pack where a number changes, and on a CPU where more would not stay in the cache."""
        fit = max(1, SLICE // pack.flat.shape[1]) if pack.flat.device.type == "cpu" else len(optimizers)
        start = 0
        for _, alike in groupby(optimizers, numbers):
            stop = start + len(list(alike))
            for i in range(start, stop, fit):
                yield Block(pack, slice(i, min(i + fit, stop)), optimizers[i])
            start = stop

    def losses(self, x: Tensor, y: Tensor, training: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of each replica, and outputs and targets (replicas, ..., batch).

        Args:
            x: Inputs (groups, batch, features).
            y: Targets (groups, batch, ...).
            training: As for `Network`.
        """
        output = self.network(x, training)
        target = y.movedim(1, -1).unsqueeze(1)
        target = target.expand(-1, len(output) // len(y), *target.shape[2:]).flatten(0, 1)
        return self.loss(output, target, reduction="none").flatten(1).mean(1), output, target

    def rates(self, lrs: Sequence[Sequence[float]]) -> Iterator[list[list[Any]]]:
        """Yield for each step what `step` needs of the learning rates, given by replica and step."""
        by_block = [[block.rates(lrs) for block in blocks] for blocks in self.blocks]
        for i in range(len(lrs[0])):
            yield [[rates[i] for rates in blocks] for blocks in by_block]

    def step(self, x: Tensor, y: Tensor, rates: Sequence[Sequence[Any]]) -> Tensor:
        """Take a step on a mini-batch, as given to `losses`, and return the losses before it."""
        loss, _, _ = self.losses(x, y)
        leaves = self.network.leaves
        gradients = torch.autograd.grad(loss, list(leaves.values()), torch.ones_like(loss))
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
                flat = isinstance(value, Tensor) and not self.apart
                parts = pack.unpack(value) if flat else [value] * len(pack.names)
                for name, part in zip(pack.names, parts, strict=True):
                    state[name][key] = part.clone() if isinstance(part, Tensor) else part
        return state


class Batches(Chunks):
    """Chunks with the mini-batches of several orders side by side: x (mini-batches, orders, batch, features).

    Args:
        loaders: The chunks of each order, of the same data. A full batch has no order: there is one for all.
    """

    def __init__(self, loaders: Sequence[Chunks]) -> None:
        first = loaders[0]
        super().__init__(first.x, first.y, first.batch_size, first.seed)
        self.edges, self.loaders = first.edges, loaders

    def order(self, epoch: int) -> Tensor:
        """Return the orders of an epoch: indices (samples, orders)."""
        return torch.stack([loader.order(epoch) for loader in self.loaders], 1)

    def _gather(self, tensor: Tensor, rows: Tensor | None) -> Tensor:
        if rows is None:
            return tensor[None, None]
        size, orders = min(self.batch_size, len(rows)), len(self.loaders)
        index = rows.view(-1, size, orders).mT.flatten()
        return tensor.index_select(0, index).view(-1, orders, size, *tensor.shape[1:])


class Replica(Training):
    """A run in a stack: it keeps its record as a run alone does, and leaves steps and measurements to the stack."""

    logger: Any = None
    results: Iterator[dict[str, float]]
    """What the stack measured, split by split."""
    ended = False

    def prepare(self) -> None:
        """Make the optimizer, which serves for its numbers, its iterate and its state_dict, and never steps."""
        self.raw = self.configure_optimizers()

    @property
    def optimizer(self) -> Optimizer:
        """The raw optimizer."""
        return self.raw

    def log_row(self, row: Mapping[str, float]) -> None:
        """Log at once, and like Lightning from the first step on; its own way takes as long as the evaluation."""
        if self.logger and row["step"]:
            self.logger.log_metrics({k: v for k, v in row.items() if k != "step"}, int(row["step"]))

    def measure(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Return what the stack measured on the next split."""
        return next(self.results)


class Replicas(lightning.LightningModule):
    """Several runs as one; a Lightning batch is a chunk of mini-batches for all of them.

    A replica that has diverged stays in the stack, where it touches no other, and is no longer recorded.

    Args:
        runs: The runs; those that share their mini-batches follow one another, equally many for each order.
        data: The data of all.
        seeds: The orders of the mini-batches.
    """

    def __init__(self, runs: Sequence[Replica], data: DataModule, seeds: Sequence[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.replicas = nn.ModuleList(runs)
        self.runs, self.data, self.seeds = list(runs), data, seeds
        self.seconds, self.started, self.saved = 0.0, 0.0, 0

    def setup(self, stage: str) -> None:
        """Bring the data to the device."""
        self.data.trainer = self.trainer
        self.data.setup(stage)
        for replica in self.runs:
            replica.trainer = self.trainer

    def configure_optimizers(self) -> None:
        """Stack the networks, which are on the device by now, and their optimizers."""
        for replica in self.runs:
            replica.prepare()
        models, optimizers = zip(*((replica.model, replica.optimizer) for replica in self.runs), strict=True)
        self.stack = Stack(models, optimizers, self.data.loss)

    def train_dataloader(self) -> Batches:
        """Return the mini-batches of all orders."""
        loaders = []
        for seed in self.seeds:
            data = copy.copy(self.data)
            data.seed = seed
            loaders.append(data.train_dataloader())
        return Batches(loaders)

    def training_step(self, chunk: tuple[Tensor, Tensor], index: int) -> None:
        """Take one step for each mini-batch of a chunk: x (n, groups, batch, features), y (n, groups, batch, ...)."""
        lrs = [replica.rates(len(chunk[0])) for replica in self.runs]
        losses = [self.stack.step(x, y, rates) for x, y, rates in zip(*chunk, self.stack.rates(lrs), strict=True)]
        values = torch.stack(losses, 1).tolist()
        self.seconds += time.perf_counter() - self.started
        for i, replica in enumerate(self.runs):
            if not replica.ended:
                self.hand_back(i, moved=True)
                with self.ending(replica):
                    replica.end_chunk(index, lrs[i], values[i])
        self.started = time.perf_counter()

    def on_train_start(self) -> None:
        """Evaluate the untrained models."""
        self.evaluate(0)

    def on_train_epoch_start(self) -> None:
        """Start the training clock; it stands still outside of the chunks."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Evaluate."""
        self.evaluate(self.current_epoch + 1)

    @torch.no_grad()
    def evaluate(self, epoch: int) -> None:
        """Measure all replicas at once, each at its optimizer's own iterate, and let each write its row."""
        for i, replica in enumerate(self.runs):
            for name, gradient in self.stack.gradients.items():
                replica.model.get_parameter(name).grad = gradient[i]
            self.hand_back(i, moved=True)
            replica.optimizer.eval()
        measured = [self.measure(*self.data.split(name)) for name in self.data.splits]
        for replica, *results in zip(self.runs, *measured, strict=True):
            replica.optimizer.train()
            if not replica.ended:
                replica.results, replica.seconds = iter(results), self.seconds / len(self.runs)
                replica.objective.grad_evals = self.stack.steps
                with self.ending(replica):
                    replica.evaluate(epoch)

    def measure(self, x: Tensor, y: Tensor) -> list[dict[str, float]]:
        """Return what `Training.measure` returns, for each replica."""
        loss = torch.zeros(len(self.runs), dtype=torch.float64, device=x.device)
        right = torch.zeros_like(loss)
        size = max(1, EVALUATION_BATCH // len(self.runs))
        classes = self.data.task == "classification"
        for part, goal in zip(torch.split(x, size), torch.split(y, size), strict=True):
            mean, output, target = self.stack.losses(part[None], goal[None], training=False)
            loss += mean * len(part)
            if classes:
                right += (output.argmax(1) == target).sum(1)
        shares = torch.stack([loss, right][: 1 + classes], 1) / len(x)
        return [dict(zip(("loss", "accuracy"), row, strict=False)) for row in shares.tolist()]

    def hand_back(self, i: int, moved: bool = False) -> None:
        """Give the optimizer of a replica the state that the stack holds for it.

        Args:
            i: The replica.
            moved: Only if its iterate is another point than its parameters, and has to be found from the state.
        """
        replica = self.runs[i]
        if not moved or type(replica.optimizer).iterate is not Optimizer.iterate:
            parameter = replica.model.get_parameter
            replica.optimizer.state = defaultdict(dict, {parameter(k): s for k, s in self.stack.state_of(i).items()})

    @contextmanager
    def ending(self, replica: Replica) -> Iterator[None]:
        """End a replica that turns out to have diverged, and the whole stack with the last one."""
        try:
            yield
        except Diverged as error:
            self.end(replica, "diverged", str(error))
            if all(other.ended for other in self.runs):
                raise

    def end(self, replica: Replica, status: str, reason: str = "") -> None:
        """Write what a run leaves at its end."""
        replica.keep_path()
        self.saved = self.runs.index(replica)
        self.hand_back(self.saved)
        for group in replica.optimizer.param_groups if self.stack.steps else ():
            group |= {"lr": replica.lr} if "lr" in group else {}
        replica.save()
        if replica.logger:
            replica.logger.finalize("success")  # whatever became of it, all is to be written
        replica.record.finish(status, reason)
        replica.ended = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make it the checkpoint of one replica, as a run alone would have written it."""
        replica = self.runs[self.saved]
        checkpoint["state_dict"] = replica.state_dict()
        checkpoint["state_dict"].update({k: view.clone() for k, view in checkpoint["state_dict"].items()})
        checkpoint["optimizer_states"] = [replica.optimizer.state_dict()]


def train(cells: Sequence[tuple[DictConfig, Record]]) -> None:
    """Train the cells of a sweep as one stack; how each ended is in its record, and nothing is raised.

    Args:
        cells: Resolved configs as `stacks` groups them, each with its open record.
    """
    first = cells[0][0]
    run.quiet()
    warnings.filterwarnings("ignore", "There is a performance drop")  # vmap lacks a rule, and is still the faster way
    torch.set_num_threads(first.threads)
    runs: list[Replica] = []
    with run.failing(record for i, (_, record) in enumerate(cells) if not (i < len(runs) and runs[i].ended)):
        data = configs.load(first.data)
        for config, record in cells:
            record.status["stacked"] = len(cells)
            runs.append(run.build(Replica, config, data, record))
            runs[-1].logger = run.make_logger(config)
        module = Replicas(runs, data, list(dict.fromkeys(config.data.seed for config, _ in cells)))
        try:
            run.make_trainer(first.trainer).fit(module)
        except Diverged:
            return
        for replica in runs:
            if not replica.ended:
                module.end(replica, "done")
