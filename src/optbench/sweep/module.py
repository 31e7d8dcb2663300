"""Runs that differ in numbers only, trained as one stack, each with the record of a run alone."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from optbench.checks import one_line
from optbench.data import DataModule
from optbench.data.chunks import Batches
from optbench.optimizers.base import Optimizer
from optbench.optimizers.halves import Unsplit
from optbench.sweep.stack import Stack
from optbench.training import checkpoint, path
from optbench.training.checkpoint import Keeper
from optbench.training.chunk import first_batch, spans, within
from optbench.training.ending import Cut
from optbench.training.module import EVALUATION_BATCH, Diverged, Training
from optbench.training.network import losses
from optbench.training.states import set_state
from optbench.training.whole import Compiled

STATE = "stack.ckpt"
"""The state of a stack, in the directory of its first run."""


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
        self.runs = list(runs)
        self.data = data
        self.seeds = seeds
        self.seconds = 0.0
        self.started = 0.0
        self.saved: int | None = None
        self.keeper: Keeper | None = None
        self.restored: Mapping[str, Any] | None = None
        self.path: path.Way = "off"
        self.reason = ""

    def setup(self, stage: str) -> None:
        """Bring the data to the device."""
        self.data.trainer = self.trainer
        self.data.setup(stage)
        for replica in self.runs:
            replica.trainer = self.trainer

    def configure_optimizers(self) -> None:
        """Stack the networks, which are on the device by now, and their optimizers."""
        for i, replica in enumerate(self.runs):
            replica.prepare()
            if self.restored is not None:
                set_state(replica.model, replica.optimizer, self.restored["states"][i])
        models, optimizers = zip(*((replica.model, replica.optimizer) for replica in self.runs), strict=True)
        self.stack = self.make_stack(models, optimizers)

    def make_stack(self, models: Sequence[nn.Module], optimizers: Sequence[Optimizer]) -> Stack | Compiled:
        """Return the stack, compiled if that is its path and can be; the records tell."""
        reason = self.reason
        if self.path == "step":
            try:
                example = self.trainer.precision_plugin.convert_input(first_batch(self.data.train_dataloader()))
                stack = Compiled(models, optimizers, self.data.loss, len(self.seeds), example, self.runs[0].clip)
            except Unsplit as error:
                reason = str(error)
            else:
                for replica in self.runs:
                    path.tell(replica.record.status, "step", seconds=stack.seconds)
                return stack
        for replica in self.runs:
            path.tell(replica.record.status, "off", reason)
        return Stack(models, optimizers, self.data.loss, self.runs[0].clip)

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
        chunk = within(self.trainer, self.stack.steps, chunk)
        lrs = [self.rates(replica, len(chunk[0])) for replica in self.runs]
        keeps = [any(run.keeping.at_step(run.steps + i + 1) for run in self.runs) for i in range(len(chunk[0]))]
        values: list[list[float]] = [[] for _ in self.runs]
        for span in spans(keeps):
            found = self.stack.advance(chunk[0][span], chunk[1][span], [rates[span] for rates in lrs])
            for own, new in zip(values, found.mT.tolist(), strict=True):
                own += new
            self.keep(span.stop)
        self.seconds += time.perf_counter() - self.started
        for i, replica in enumerate(self.runs):
            if not replica.ended:
                self.hand_back(i, moved=True)
                with self.ending(replica):
                    replica.end_chunk(index, lrs[i], values[i])
        self.started = time.perf_counter()

    def rates(self, replica: Replica, steps: int) -> list[float]:
        """Return the learning rates of a replica's next steps; one that has ended keeps still."""
        if not replica.ended:
            with self.ending(replica):
                return replica.rates(steps)
        return [0.0] * steps

    def keep(self, taken: int) -> None:
        """Let the replicas that ask for it keep their weights after so many steps of a chunk."""
        asking = [r for r in self.runs if not r.ended and r.keeping.at_step(r.steps + taken)]
        if asking:
            self.seconds += time.perf_counter() - self.started
            for replica in asking:
                self.hand_back(self.runs.index(replica), moved=True)
                replica.keep(replica.steps + taken, replica.snapshot())
            self.started = time.perf_counter()

    def on_train_start(self) -> None:
        """Evaluate the untrained models, unless they go on from a state."""
        self.started = time.perf_counter()
        if self.restored is None:
            self.evaluate()
        else:
            checkpoint.set_generators(self.restored["generators"])

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save the state of the stack between two chunks of an epoch, where it is time to."""
        if batch_idx + 1 < self.trainer.num_training_batches and self.keeper and self.keeper.due(None):
            self.seconds += time.perf_counter() - self.started
            self.keeper.keep()
            self.started = time.perf_counter()

    def on_train_epoch_start(self) -> None:
        """Start the training clock; it stands still outside of the chunks."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Evaluate."""
        self.evaluate()
        if self.keeper and self.keeper.due(self.current_epoch + 1):
            self.keeper.keep()

    @torch.no_grad()
    def evaluate(self) -> None:
        """Measure all replicas at once, each at its optimizer's own iterate, and let each write its row."""
        for i, replica in enumerate(self.runs):
            for name, gradient in self.stack.gradient_of(i).items():
                replica.model.get_parameter(name).grad = gradient
            self.hand_back(i, moved=True)
            replica.optimizer.eval()
        network: Callable[[Tensor, bool], Tensor] = self.stack.network
        which: Sequence[int] = range(len(self.runs))
        if not self.stack.steps:  # runs of one seed begin alike
            network, which = self.stack.network.distinct()
        measured = [self.measure(network, *self.data.split(name)) for name in self.data.splits]
        for replica, place in zip(self.runs, which, strict=True):
            results = [split[place] for split in measured]
            replica.optimizer.train()
            if not replica.ended:
                replica.results = iter(results)
                replica.seconds = self.seconds / len(self.runs)
                replica.objective.grad_evals = self.stack.steps
                with self.ending(replica):
                    replica.evaluate()

    def measure(self, network: Callable[[Tensor, bool], Tensor], x: Tensor, y: Tensor) -> list[dict[str, float]]:
        """Return what `Training.measure` returns, for each replica of a network."""
        loss: Any = 0.0
        right: Any = 0.0
        size = max(1, 4 * EVALUATION_BATCH // len(self.runs))  # a small network's outputs are as large as its layers
        classes = self.data.task == "classification"
        x, y = self.trainer.precision_plugin.convert_input((x, y))
        for part, goal in zip(torch.split(x, size), torch.split(y, size), strict=True):
            mean, output, target = losses(network, self.data.loss, part[None], goal[None], training=False)
            loss = loss + mean.double() * len(part)
            if classes:
                right = right + (output.argmax(1) == target).sum(1)
        shares = torch.stack([loss, right] if classes else [loss], 1) / len(x)
        return [dict(zip(("loss", "accuracy"), row, strict=False)) for row in shares.tolist()]

    def hand_back(self, i: int, moved: bool = False) -> None:
        """Give the optimizer of a replica the state that the stack holds for it.

        Args:
            i: The replica.
            moved: Only if its iterate is another point than its parameters, and has to be found from the state.
        """
        replica = self.runs[i]
        if not moved or type(replica.optimizer).iterate is not Optimizer.iterate:
            set_state(replica.model, replica.optimizer, self.stack.state_of(i))

    @contextmanager
    def ending(self, replica: Replica) -> Iterator[None]:
        """End a replica that turns out to have diverged, and the whole stack with the last one."""
        try:
            yield
        except Diverged as error:
            self.end(replica, "diverged", str(error))
            if all(other.ended for other in self.runs):
                raise
        except Cut:
            raise
        except Exception as error:  # of this replica's making: its stack goes on without it
            replica.record.finish("failed", f"{type(error).__name__}: {one_line(error)}")
            replica.ended = True
            if all(other.ended for other in self.runs):
                raise

    def end(self, replica: Replica, status: str, reason: str = "") -> None:
        """Write what a run leaves at its end."""
        replica.keep_path()
        replica.objective.grad_evals = self.stack.steps
        self.saved = self.runs.index(replica)
        self.hand_back(self.saved)
        for group in replica.optimizer.param_groups if self.stack.steps else ():
            group |= {"lr": replica.lr} if "lr" in group else {}
        replica.save()
        if replica.logger:
            replica.end_session(status)
            replica.logger.finalize("success")  # whatever became of it, all is to be written
        if self.keeper:
            self.keeper.tell(replica.record.status, len(self.runs))
        replica.record.finish(status, reason)
        replica.ended = True

    def save(self) -> None:
        """Write the state of the whole stack, from which it goes on as a stack."""
        self.saved = None
        checkpoint.write(self.trainer, self.runs[0].record.directory / STATE)

    def going(self) -> list[Replica]:
        """Return the replicas that have not ended."""
        return [replica for replica in self.runs if not replica.ended]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights of all replicas, or of the one whose checkpoint is written, which takes far less."""
        if self.saved is not None:
            return self.runs[self.saved].state_dict()
        return super().state_dict(*args, **kwargs)

    def on_save_checkpoint(self, saved: dict[str, Any]) -> None:
        """Make it the state of the stack, or the checkpoint of one replica as a run alone would have written it."""
        if self.saved is None:
            saved["stack"] = {
                "states": [self.stack.state_of(i) for i in range(len(self.runs))],
                "seconds": self.seconds,
                "generators": checkpoint.generators(),
                "runs": [replica.state() for replica in self.runs],
                "ended": [replica.ended for replica in self.runs],
            }
            return
        replica = self.runs[self.saved]
        saved["state_dict"].update({k: view.clone() for k, view in saved["state_dict"].items()})
        saved["optimizer_states"] = [replica.optimizer.state_dict()]
        saved["run"] = replica.state()

    def on_load_checkpoint(self, saved: dict[str, Any]) -> None:
        """Take up the state of the stack; replicas that had ended stay as passengers."""
        self.restored = saved["stack"]
        self.seconds = saved["stack"]["seconds"]
        for replica, state, ended in zip(self.runs, saved["stack"]["runs"], saved["stack"]["ended"], strict=True):
            replica.ended = replica.ended or ended
            if not replica.ended:
                replica.restore(state)
