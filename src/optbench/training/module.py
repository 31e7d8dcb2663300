"""The LightningModule: chunks of mini-batches through the raw optimizer, and one row of metrics an epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import Objective
from optbench.records import Record
from optbench.training.ending import Ending
from optbench.training.private import set_global_step

HPARAM_METRICS = ("train_loss", "test_loss", "test_accuracy")
EVALUATION_BATCH = 10_000  # examples that an evaluation sends through the model at once


class Diverged(Exception):
    """The loss is no longer finite, or above the bound."""


class Training(lightning.LightningModule):
    """One model, one optimizer, one record.

    A Lightning batch is a chunk of many mini-batches and the optimizer steps inside it: Lightning's own work for a
    batch costs more than a step of a small network.

    Args:
        model: The network, from (batch, features) to (batch, outputs).
        data: The data module; gives the chunks, the splits and the loss.
        optimizer: What makes the optimizer from the parameters.
        schedule: Learning rate as a function of the time `t`, from 0, and the initial rate.
        unit: What `t` counts: `step` or `epoch`.
        record: Where the losses and metrics go.
        divergence: Loss above which a run has diverged.
        trajectory: Whether to keep the weights of every evaluation, and of every chunk of the first epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[int, float], float],
        unit: str,
        record: Record,
        divergence: float = math.inf,
        trajectory: bool = True,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.data, self.make_optimizer = model, data, optimizer
        self.schedule, self.unit = schedule, unit
        self.record, self.divergence, self.keep_trajectory = record, divergence, trajectory
        self.steps, self.seconds, self.lr = 0, 0.0, math.nan
        self.snapshots: list[tuple[int, Tensor]] = []
        self.started = 0.0
        self.previous: Tensor | None = None
        self.ending = Ending()

    def configure_optimizers(self) -> Optimizer:
        """Make the optimizer; the closure of each step is made here too, once."""
        self.objective = Objective(self.batch_loss, self.model.parameters())
        return self.make_optimizer(self.model.parameters())

    @property
    def optimizer(self) -> Optimizer:
        """The raw optimizer; Lightning's wrapper costs 100 us a step."""
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def batch_loss(self) -> Tensor:
        """Return the loss of the current mini-batch."""
        x, y = self.batch
        return self.data.loss(self.model(x), y)  # type: ignore[no-any-return]

    def rates(self, steps: int) -> list[float]:
        """Return the learning rates of the next steps; not a number where the rule has none."""
        group = self.optimizer.param_groups[0]
        eta0 = group.setdefault("initial_lr", group["lr"]) if "lr" in group else math.nan
        times = range(self.steps, self.steps + steps) if self.unit == "step" else [self.current_epoch] * steps
        return [self.schedule(t, eta0) for t in times]

    def training_step(self, chunk: tuple[Tensor, Tensor], index: int) -> None:
        """Take one step for each mini-batch of a chunk: x (n, batch, features) and y (n, batch, ...)."""
        optimizer, losses, lrs = self.optimizer, [], self.rates(len(chunk[0]))
        for self.batch, lr in zip(zip(*chunk, strict=True), lrs, strict=True):
            for group in optimizer.param_groups:
                if "lr" in group:
                    group["lr"] = lr
            losses.append(optimizer.step(self.objective).detach())
        self.end_chunk(index, lrs, torch.stack(losses).tolist())

    def end_chunk(self, index: int, lrs: list[float], losses: list[float]) -> None:
        """Record the steps of a chunk, and keep the weights after it if it lies within the first epoch.

        Raises:
            Diverged: One of the losses is too large, or none.
        """
        first = self.steps + 1
        self.steps, self.lr = self.steps + len(losses), lrs[-1]
        set_global_step(self.trainer, self.steps)
        self.record.steps(first, self.current_epoch + 1, lrs, losses)
        for i, loss in enumerate(losses):
            if not loss <= self.divergence:
                raise Diverged(f"the loss is {loss:.4g} at step {first + i}")
        self.ending.heed()
        if self.current_epoch == 0 and index + 1 < self.trainer.num_training_batches:
            self.seconds += time.perf_counter() - self.started
            self.snapshot()
            self.started = time.perf_counter()

    def save(self) -> None:
        """Write the checkpoint, with the weights at the optimizer's own iterate; `on_train_start` takes them back."""
        self.optimizer.eval()
        self.trainer.save_checkpoint(self.record.directory / "checkpoint.ckpt")
        self.optimizer.train()

    def on_train_start(self) -> None:
        """Evaluate the untrained model; one from a checkpoint returns to where its next gradient belongs."""
        self.optimizer.train()
        if self.current_epoch == 0:
            self.evaluate(0)

    def on_train_epoch_start(self) -> None:
        """Start the training clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Stop the training clock and evaluate."""
        self.seconds += time.perf_counter() - self.started
        self.evaluate(self.current_epoch + 1)

    @torch.no_grad()
    def evaluate(self, epoch: int) -> None:
        """Measure all splits at the optimizer's own iterate, and write the row."""
        gradients = [p.grad.norm() for p in self.model.parameters() if p.grad is not None]
        weights = self.snapshot()
        self.optimizer.eval()
        self.model.eval()
        row: dict[str, float] = {}
        for split in self.data.splits:
            for name, value in self.measure(*self.data.split(split)).items():
                row[f"{split}_{name}"] = value
        self.model.train()
        self.optimizer.train()
        previous = weights if self.previous is None else self.previous
        row |= {
            "grad_norm": float(torch.stack(gradients).norm()) if gradients else math.nan,
            "weight_norm": float(weights.norm()),
            "update_norm": float((weights - previous).norm()),
            "lr": self.lr,
            "train_seconds": self.seconds,
        }
        self.previous = weights
        counts = {name: getattr(self.objective, name) for name in ("grad_evals", "loss_evals", "hvp_evals")}
        self.record.evaluation({"epoch": epoch, "step": self.steps, **counts, **row})
        self.log_row({**row, "step": float(self.steps)})
        if epoch == 0 and isinstance(self.logger, TensorBoardLogger):
            # The HPARAMS page compares runs only if all name the same metrics; their values follow as scalars.
            self.logger.log_hyperparams(dict(self.logger.hparams), {k: row.get(k, math.nan) for k in HPARAM_METRICS})
        if not math.isfinite(row["train_loss"]):
            raise Diverged(f"the training loss is {row['train_loss']} after epoch {epoch}")

    def log_row(self, row: dict[str, float]) -> None:
        """Hand a row to Lightning, and so to the logger."""
        self.log_dict(row)

    def measure(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Return the mean loss over a split and, for classes, the accuracy."""
        loss, right = 0.0, 0
        for part, target in zip(torch.split(x, EVALUATION_BATCH), torch.split(y, EVALUATION_BATCH), strict=True):
            output = self.model(part)
            loss += float(self.data.loss(output, target)) * len(part)
            if self.data.task == "classification":
                right += int((output.argmax(1) == target).sum())
        accuracy = {"accuracy": right / len(x)} if self.data.task == "classification" else {}
        return {"loss": loss / len(x), **accuracy}

    @torch.no_grad()
    def snapshot(self) -> Tensor:
        """Return the flat weights at the optimizer's own iterate, and keep them for the trajectory."""
        self.optimizer.eval()
        weights = torch.cat([p.reshape(-1) for p in self.model.parameters()])
        self.optimizer.train()
        if self.keep_trajectory:
            self.snapshots.append((self.steps, weights.float().cpu()))
        return weights

    def keep_path(self) -> None:
        """Write the trajectory, if there is one."""
        if self.snapshots:
            steps, weights = zip(*self.snapshots, strict=True)
            self.record.trajectory(steps, torch.stack(weights).numpy())
