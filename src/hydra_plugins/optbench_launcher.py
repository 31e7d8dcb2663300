"""The launcher of `optbench train -m` on one machine."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class LocalLauncher(Launcher):
    """Runs side by side, one process a core; those that differ in numbers only may train as one stack.

    Args:
        n_jobs: Processes; -1 for one a core.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        self.processes = len(os.sched_getaffinity(0)) if n_jobs == -1 else n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Get ready while the cells are checked."""
        from optbench.sweep import processes

        self.context, self.task, self.sweep = hydra_context, task_function, config
        if self.processes > 1:
            processes.prepare()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train all cells and return how Hydra's part of each went."""
        from optbench.sweep.compose import Composer
        from optbench.sweep.plan import plan
        from optbench.sweep.processes import side_by_side

        setup_globals()
        compose = Composer(self.context.config_loader, self.sweep)
        configs = [compose(cell, num) for num, cell in enumerate(job_overrides, initial_job_idx)]
        plain = [resolved(config) for config in configs]
        batches, line = plan(plain, self.processes)
        if line:
            print(line)
        work = partial(execute, self.context, self.task, share(plain))
        jobs: dict[int, JobReturn] = {}
        for i, done in side_by_side(work, [[configs[j] for j in batch] for batch in batches], self.processes):
            if isinstance(done, ChildProcessError):
                done = [lose(configs[j], str(done)) for j in batches[i]]
            jobs |= dict(zip(batches[i], done, strict=True))
        return [jobs[j] for j in range(len(configs))]


def resolved(config: DictConfig) -> DictConfig:
    """Return a cell's own config, resolved, without what only its job will know."""
    HydraConfig.instance().set_config(config)
    own = {k: config[k] for k in config if k not in ("hydra", "logger")}
    plain = {k: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v for k, v in own.items()}
    return OmegaConf.create(plain)


def share(configs: Sequence[DictConfig]) -> dict[str, Any]:
    """Return the data of the cells by their key, in memory that all processes see.

    There is none where the cells differ in it, or such memory is short; then each process loads its own.
    """
    from optbench import configs as made

    names = {made.key(config.data) for config in configs}
    if len(names) > 1:
        return {}
    data = made.dataset(configs[0].data)
    try:
        for tensor in chain(*data.splits.values()):
            tensor.share_memory_()
    except RuntimeError:
        return {}
    return {names.pop(): data}


def lose(config: DictConfig, end: str) -> JobReturn:
    """Record and tell that the process of a cell died."""
    from optbench import records

    HydraConfig.instance().set_config(config)
    directory = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
    records.lose(directory, f"its process {end}")
    print(
        f"optbench: {directory}: its process {end}; where memory is short, give hydra.launcher.n_jobs=1",
        file=sys.stderr,
    )
    return JobReturn(status=JobStatus.COMPLETED)


def execute(
    context: HydraContext, task: TaskFunction, data: Mapping[str, Any], configs: Sequence[DictConfig]
) -> list[JobReturn]:
    """Train cells in this process: one by Hydra's task, several as a stack in which each is a job of its own.

    Args:
        context: Hydra's.
        task: What trains a single cell.
        data: What `share` returned.
        configs: The cells.
    """
    from optbench import configs as made
    from optbench.sweep import module
    from optbench.training import run

    setup_globals()
    made.LOADED.update(data)
    cells: list[tuple[DictConfig, Any]] = []

    def begin(config: DictConfig) -> None:
        OmegaConf.resolve(config)
        cells.append((config, run.open_record(config)))

    jobs = []
    for config in configs:
        HydraConfig.instance().set_config(config)
        function = task if len(configs) == 1 else begin
        jobs.append(run_job(function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context))
    if cells:
        module.train(cells)
    return jobs
