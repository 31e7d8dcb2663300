"""Cells of a sweep trained as one stack, which goes on as a stack where it was cut off."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from optbench import configs
from optbench.data import DataModule
from optbench.records import Record, write
from optbench.records.files import bytes_of
from optbench.sweep.module import STATE, Replica, Replicas
from optbench.training import fit, path, run, trainer
from optbench.training.checkpoint import Every, Keeper
from optbench.training.ending import Ending
from optbench.training.length import measure
from optbench.training.module import Diverged

MEMBERS = "stack.json"
"""Beside the state of a stack: the keys of all its runs."""


def members(directory: Path) -> list[str]:
    """Return the keys of the runs of a stack whose state lies in a run's directory; none where there is none."""
    try:
        keys = json.loads(bytes_of(directory / MEMBERS))
    except (OSError, ValueError, RecursionError):
        return []
    whole = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    return keys if whole and (directory / STATE).is_file() else []


def train(cells: Sequence[tuple[DictConfig, Record]], loaded: Mapping[str, Any], ending: Ending) -> None:
    """Train the cells of a sweep as one stack; how each ended is in its record, and nothing is raised.

    Args:
        cells: Resolved configs as `stacks` groups them, each with its open record.
        loaded: Data modules that this process has already, see `configs.dataset`.
        ending: What asks the runs to end.
    """
    first = cells[0][0]
    trainer.quiet()
    warnings.filterwarnings("ignore", "There is a performance drop")  # vmap lacks a rule, and is still the faster way
    torch.set_num_threads(first.threads)
    records = [record for _, record in cells]
    ending.records = [record for record in records if not record.over]
    runs: list[Replica] = []
    with run.failing(unfinished(records, runs)):
        data = configs.load(first.data, loaded)
        for config, record in cells:
            record.status["stacked"] = len(cells)
            runs.append(replica(config, data, record))
        module = Replicas(runs, data, list(dict.fromkeys(config.data.seed for config, _ in cells)))
        module.keeper = Keeper(Every.of(first.checkpoint.every), ending, module.save)
        start = begin(records)
        parameters = sum(p.numel() for p in runs[0].model.parameters())
        steps = measure(first.trainer, data.batches_per_epoch).steps
        module.path, module.reason = path.choose(first, parameters, steps, len(runs))
        lightning = trainer.make_trainer(first.trainer)
        for record in records:
            record.status["device"] = lightning.strategy.root_device.type
        with suppress(Diverged):  # of the last run that went on: each has said so in its record
            lightning.fit(module, ckpt_path=start, weights_only=True)
        for going in module.going():
            module.end(going, "done")
        forget(records[0].directory)


def unfinished(records: Sequence[Record], runs: Sequence[Replica]) -> Iterator[Record]:
    """Yield the records of the runs that have not ended.

    Args:
        records: Those of the whole stack.
        runs: The replicas that were built so far.
    """
    for i, record in enumerate(records):
        ended = i < len(runs) and runs[i].ended
        if not record.over and not ended:
            yield record


def replica(config: DictConfig, data: DataModule, record: Record) -> Replica:
    """Return a run of a stack; one that is over comes along as a passenger, and logs nothing."""
    built = fit.build(Replica, config, data, record)
    built.ended = record.over
    built.logger = None if record.over else fit.make_logger(config)
    return built


def begin(records: Sequence[Record]) -> Path | None:
    """Return the state that a stack goes on from; where it begins, write down what it is made of, and return None."""
    home = records[0].directory
    if all(record.over or record.resumed for record in records):
        return home / STATE
    forget(home)
    write(home / MEMBERS, json.dumps([record.status["key"] for record in records]))
    return None


def forget(directory: Path) -> None:
    """Remove the state of a stack."""
    for name in (MEMBERS, STATE):
        (directory / name).unlink(missing_ok=True)
