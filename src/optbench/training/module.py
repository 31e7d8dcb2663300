"""The LightningModule: chunks of mini-batches through the raw optimizer, and one row of metrics an epoch."""

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from optbench.checks import Rate, check
from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import Objective, Sum
from optbench.records import Record
from optbench.training import checkpoint, hparams, path
from optbench.training.checkpoint import Keeper
from optbench.training.chunk import first_batch, spans, within
from optbench.training.clip import Clip, Clipped
from optbench.training.private import set_global_step
from optbench.training.trajectory import AUTO, Keeping

if TYPE_CHECKING:
    from optbench.training.whole import Alone

EVALUATION_BATCH = 10_000  # examples that an evaluation sends through the model at once


class Diverged(Exception):
    """The loss is no longer finite, or above the bound."""


def half_to_full(x: Tensor) -> Tensor:
    """Return a tensor of half precision in float32, any other as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def in_full(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs and targets as the loss is to see them: of one type, and not of half precision."""
    output = half_to_full(output)
    return output, y.to(output.dtype) if y.is_floating_point() else y


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
        trajectory: When to keep the weights.
        clip: How gradients are clipped, if they are.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[[int, float], float],
        unit: str,
        record: Record,
        divergence: float = math.inf,
        trajectory: Keeping = AUTO,
        clip: Clip | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.data = data
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.unit = unit
        self.clip = clip
        self.record = record
        self.divergence = divergence
        self.keeping = trajectory
        self.batches_per_epoch = data.batches_per_epoch
        self.steps = 0
        self.seconds = 0.0
        self.lr = math.nan
        self.kept = -1
        self.started = 0.0
        self.previous: Tensor | None = None
        self.keeper: Keeper | None = None
        self.restored: Mapping[str, Any] | None = None
        self.path: path.Way = "off"
        self.compiled: Alone | None = None
        self.total: Sum | None = None

    def configure_optimizers(self) -> Optimizer:
        """Make the optimizer; the closure of each step is made here too, once."""
        params = list(self.model.parameters())
        if self.clip:
            self.objective: Objective = Clipped(self.batch_loss, params, self.clip, self.total)
        else:
            self.objective = Objective(self.batch_loss, params, self.total)
        self.precision = self.trainer.precision_plugin
        compiling = {"compile": True} if self.path == "update" else {}
        return self.make_optimizer(params, **compiling)

    @property
    def optimizer(self) -> Optimizer:
        """The raw optimizer; Lightning's wrapper costs 100 us a step."""
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def batch_loss(self) -> Tensor:
        """Return the loss of the current mini-batch."""
        x, y = self.batch
        return self.data.loss(*in_full(self.outputs(x), y))  # type: ignore[no-any-return]

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs of the model in the trainer's precision."""
        with self.precision.forward_context():
            return self.model(x)  # type: ignore[no-any-return]

    def rates(self, steps: int) -> list[float]:
        """Return the learning rates of the next steps; not a number where the rule has none.

        Raises:
            UserError: The schedule gives something else.
        """
        group = self.optimizer.param_groups[0]
        eta0 = group.setdefault("initial_lr", group["lr"]) if "lr" in group else math.nan
        times = range(self.steps, self.steps + steps) if self.unit == "step" else [self.current_epoch] * steps
        lrs = [self.schedule(t, eta0) for t in times]
        if "lr" in group and not all(type(lr) is float and 0 <= lr < math.inf for lr in lrs):
            for t, lr in zip(times, lrs, strict=True):
                check("schedule", f"its rate at {self.unit} {t}", lr, Rate)
        return lrs

    def training_step(self, chunk: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Take one step for each mini-batch of a chunk: x (n, batch, features) and y (n, batch, ...).

        Returns:
            The loss of the last one, for callbacks.
        """
        chunk = within(self.trainer, self.steps, chunk)
        lrs = self.rates(len(chunk[0]))
        take = self.compiled.advance if self.compiled else self.take
        losses: list[float] = []
        for span in spans([self.keeping.at_step(self.steps + i + 1) for i in range(len(lrs))]):
            losses += take((chunk[0][span], chunk[1][span]), lrs[span])
            if self.keeping.at_step(self.steps + span.stop):
                self.keep_meanwhile(self.steps + span.stop)
        self.end_chunk(index, lrs, losses)
        return torch.tensor(losses[-1])

    def take(self, chunk: tuple[Tensor, Tensor], lrs: list[float]) -> list[float]:
        """Take steps as they are written, at given learning rates, and return the losses before them."""
        optimizer = self.optimizer
        losses: list[Tensor] = []
        for self.batch, lr in zip(zip(*chunk, strict=True), lrs, strict=True):
            for group in optimizer.param_groups:
                if "lr" in group:
                    group["lr"] = lr
            losses.append(optimizer.step(self.objective).detach())
        values: list[float] = torch.stack(losses).tolist()
        return values

    def end_chunk(self, index: int, lrs: list[float], losses: list[float]) -> None:
        """Record the steps of a chunk, and keep the weights after it if it lies within the first epoch.

        Raises:
            Diverged: One of the losses is too large, or none.
        """
        first = self.steps + 1
        self.steps = self.steps + len(losses)
        self.lr = lrs[-1]
        set_global_step(self.trainer, self.steps)
        self.record.steps(first, self.batches_per_epoch, lrs, losses)
        for i, loss in enumerate(losses):
            if not loss <= self.divergence:
                raise Diverged(f"the loss is {loss:.4g} at step {first + i}")
        if self.keeping.at_chunk(self.current_epoch) and index + 1 < self.trainer.num_training_batches:
            self.keep_meanwhile(self.steps)

    def save(self) -> None:
        """Write the checkpoint, with the weights at the optimizer's own iterate; `on_train_start` takes them back."""
        self.optimizer.eval()
        checkpoint.write(self.trainer, self.record.directory / checkpoint.NAME)
        self.optimizer.train()

    def state(self) -> dict[str, Any]:
        """Return what a run has to know to go on, besides its weights and its optimizer's state."""
        return {
            **checkpoint.made_by(self.make_optimizer, self.model),
            "steps": self.steps,
            "seconds": self.seconds,
            "lr": self.lr,
            "counts": self.counts(),
            "previous": self.previous,
            "kept": self.kept,
            "record": self.record.state(),
            "generators": checkpoint.generators(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the state of a checkpoint; the counts and generators follow when training starts.

        Raises:
            UserError: It is that of another optimizer or architecture.
        """
        path = self.record.directory / checkpoint.NAME
        checkpoint.refuse_misfit(state, checkpoint.made_by(self.make_optimizer, self.model), path)
        self.steps = state["steps"]
        self.seconds = state["seconds"]
        self.lr = state["lr"]
        self.previous = state["previous"]
        self.kept = state["kept"]
        self.restored = state
        self.record.restore(state["record"])

    def counts(self) -> dict[str, int]:
        """Return how much was evaluated so far."""
        return {name: getattr(self.objective, name) for name in ("grad_evals", "loss_evals", "hvp_evals")}

    def on_save_checkpoint(self, saved: dict[str, Any]) -> None:
        """Add the state of the run."""
        saved["run"] = self.state()

    def on_load_checkpoint(self, saved: dict[str, Any]) -> None:
        """Take up the state of the run."""
        self.restore(saved["run"])

    def on_train_start(self) -> None:
        """Evaluate the untrained model; one from a checkpoint returns to where its next gradient belongs."""
        self.optimizer.train()
        self.compiled = self.compile_step() if self.path == "step" else None
        self.started = time.perf_counter()
        if self.restored is not None:
            for name, count in self.restored["counts"].items():
                setattr(self.objective, name, count)
            checkpoint.set_generators(self.restored["generators"])
        elif self.current_epoch == 0:
            self.evaluate()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save the state between two chunks of an epoch, where it is time to."""
        if batch_idx + 1 < self.trainer.num_training_batches and self.keeper and self.keeper.due(None):
            self.seconds += time.perf_counter() - self.started
            self.keeper.keep()
            self.started = time.perf_counter()

    def compile_step(self) -> "Alone | None":
        """Return the compiled step, or None where that cannot be, and say so."""
        from optbench.optimizers.halves import Unsplit
        from optbench.training.whole import Alone

        example = self.precision.convert_input(first_batch(self.data.train_dataloader()))
        try:
            step = Alone(self.model, self.optimizer, self.objective, self.data.loss, example, self.clip)
        except Unsplit as error:
            path.tell(self.record.status, "off", str(error))
            return None
        path.tell(self.record.status, "step", seconds=step.stack.seconds)
        return step

    def on_train_epoch_start(self) -> None:
        """Start the training clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Stop the training clock and evaluate."""
        self.seconds += time.perf_counter() - self.started
        self.evaluate()
        if self.keeper and self.keeper.due(self.current_epoch + 1):
            self.keeper.keep()

    @torch.no_grad()
    def evaluate(self) -> None:
        """Measure all splits at the optimizer's own iterate, and write the row."""
        gradients = [half_to_full(p.grad).norm() for p in self.model.parameters() if p.grad is not None]
        weights = self.snapshot()
        if self.keeping.at_evaluation(self.steps):
            self.keep(self.steps, weights)
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
        epoch = self.steps / self.batches_per_epoch
        epoch = int(epoch) if epoch.is_integer() else epoch
        self.record.evaluation({"epoch": epoch, "step": self.steps, **self.counts(), **row})
        self.log_row({**row, "step": float(self.steps)})
        if self.steps == 0 and isinstance(self.logger, TensorBoardLogger):
            chosen = hparams.chosen(self.record.status, dict(self.logger.hparams))
            hparams.begin(self.logger.experiment, chosen, row)
        if not math.isfinite(row["train_loss"]):
            raise Diverged(f"the training loss is {row['train_loss']} after {epoch:g} epochs")

    def on_train_end(self) -> None:
        """Tell the logger that all went well."""
        self.end_session("done")

    def end_session(self, status: str) -> None:
        """Tell the logger how the run ended, as far as it asks."""
        if isinstance(self.logger, TensorBoardLogger):
            hparams.end(self.logger.experiment, status, self.steps)

    def log_row(self, row: dict[str, float]) -> None:
        """Hand a row to Lightning, and so to the logger."""
        self.log_dict(row)

    def measure(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Return the mean loss over a split and, for classes, the accuracy."""
        loss = 0.0
        right = 0
        for part, target in zip(torch.split(x, EVALUATION_BATCH), torch.split(y, EVALUATION_BATCH), strict=True):
            output, target = in_full(self.outputs(self.precision.convert_input(part)), target)
            loss += float(self.data.loss(output, target)) * len(part)
            if self.data.task == "classification":
                right += int((output.argmax(1) == target).sum())
        accuracy = {"accuracy": right / len(x)} if self.data.task == "classification" else {}
        return {"loss": loss / len(x), **accuracy}

    @torch.no_grad()
    def snapshot(self) -> Tensor:
        """Return the flat weights at the optimizer's own iterate."""
        self.optimizer.eval()
        weights = half_to_full(torch.cat([p.reshape(-1) for p in self.model.parameters()]))
        self.optimizer.train()
        return weights

    def keep_meanwhile(self, step: int) -> None:
        """Keep the weights as they are after a step, while the training clock stands still."""
        self.seconds += time.perf_counter() - self.started
        self.keep(step, self.snapshot())
        self.started = time.perf_counter()

    def keep(self, step: int, weights: Tensor) -> None:
        """Append the weights to the trajectory, if they are not there yet."""
        if step != self.kept:
            self.record.trajectory(step, weights.float().cpu().numpy())
            self.kept = step

    def keep_path(self) -> None:
        """Append the last weights to the trajectory, if there is one."""
        if self.keeping.wanted:
            self.keep(self.steps, self.snapshot())
