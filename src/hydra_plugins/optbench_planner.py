"""The sweeper of `optbench plan`: it checks a sweep, trains a pilot of each kind of job, and extrapolates."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_plugins.optbench_tuner import TunedSweeper

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell
    from optbench.sweep.pilot import JobKind


class Planner(TunedSweeper):
    """Says what a sweep would be and take; nothing is submitted, and nothing is written but in a temporary folder."""

    def sweep(self, arguments: list[str]) -> Any:
        """Compose, check, try and tell.

        Raises:
            UserError: Anything is wrong with the sweep, or a pilot failed.
        """
        from optbench.checks import UserError
        from optbench.processes import count
        from optbench.sweep import ledger, pilot
        from optbench.sweep.work import batches as together
        from optbench.training.trainer import processes

        if not hasattr(self.starter, "processes"):
            raise UserError("a launcher of others has no plan; give hydra/launcher=local, slurm or submitit_local")
        everything = self.everything(arguments)
        cells = [cell for cell in everything if ledger.wanted(cell.directory, self.settings.get("rerun"))]
        where = Path(self.settings.hydra.sweep.dir)
        print(f"{len(everything)} cells" + (f", {len(cells)} of them left in {where}" if where.is_dir() else ""))
        if not cells:
            return
        cluster = getattr(self.starter, "cluster", None)
        apart = 1 if cluster else self.starter.processes
        batches, line = together(cells, everything, apart, self.settings.hydra)
        print(f"{len(batches)} jobs: {', '.join(counted(batches))}")
        if line:
            print(line)
        start = pilot.starting() if cluster else 0.0
        each = max(processes(cell.task["trainer"]) for cell in cells)
        train = pilot.trainer(self.context, self.task, max(1, count(-1) // each))
        with tempfile.TemporaryDirectory(prefix="optbench-plan") as folder:
            found = pilot.measured(batches, train, Path(folder), start)
        self.tell(found, len(batches))
        if cluster == "slurm":
            print(f"\nsbatch would be given this:\n\n{self.starter.script(where.absolute(), len(batches))}")
        print("nothing was submitted, and nothing written into the sweep's directory")

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Get ready, and let the launcher get ready."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task = task_function
        self.starter: Any = self.starter

    def everything(self, arguments: list[str]) -> list["Cell"]:
        """Return all cells of the sweep; of a tuned one the trials too, and finals as of any winner."""
        from optbench.sweep.compose import Composer

        staged = any(argument.lstrip("+").startswith("tuning.stage=") for argument in arguments)
        if "tuning" not in self.settings or staged:
            return self.compose(arguments)
        self.composer = Composer(self.context.config_loader, self.settings)
        self.placed = []
        contenders, seeds = self.contenders(arguments)
        overrides = [each.final({}, seed, "defaults") for each in contenders for seed in seeds]
        for each in contenders:
            while points := each.propose():
                overrides += [each.trial(point, self.settings.trial_seed) for point in points]
                each.tried += [(point, (0.5, 0.5)) for point in points]  # any outcome: only their number counts
            overrides += [each.final(each.winner(), seed, len(each.tried)) for seed in seeds]
        return self.composed(overrides)

    def tell(self, found: Sequence["JobKind"], jobs: int) -> None:
        """Print what the jobs take, by kind and in all."""
        from rich import box
        from rich.table import Table

        from optbench import records
        from optbench.sweep.pilot import CELLS, FEW, span
        from optbench.terminal import wide

        options: dict[str, Any] = getattr(self.starter, "options", {})
        cores: int = options.get("cpus_per_task", 1)
        gpus: int = options.get("gpus_per_node", 0)
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("kind", "jobs", "cells a job", "epochs", "pilot, s", "a job", "core-hours"):
            table.add_column(name, justify="left" if name == "kind" else "right")
        for kind in found:
            hours = kind.jobs * kind.seconds * cores / 3600
            numbers = (kind.jobs, kind.cells, kind.epochs, f"{kind.pilot:.1f}", duration(kind.seconds), f"{hours:.3g}")
            table.add_row(kind.name, *map(str, numbers))
        console = wide(140)
        console.print(table)
        whole = sum(kind.jobs * kind.seconds for kind in found) / 3600
        side_by_side = self.starter.processes
        spent = [f"{whole * cores:.3g} core-hours"] + ([f"{whole * gpus:.3g} GPU-hours"] if gpus else [])
        print(f"in all {' and '.join(spent)}; {duration(span(found, side_by_side))} with {side_by_side} jobs at a time")
        machine = records.provenance()["machine"]
        print(
            f"measured on {machine['name']} ({machine['cpu']}): up to {CELLS} cells of a job of each kind were trained "
            f"for 1 and then up to {FEW} epochs, a job a core; the rest is extrapolated by cells and epochs, and "
            "waiting in a queue is not in it"
        )
        limit: float = options.get("timeout_min", float("inf"))
        late = [kind for kind in found if kind.seconds > 60 * limit]
        for kind in late:
            print(
                f"a job of {kind.name} takes longer than timeout_min={limit}: it is submitted again and goes on, "
                f"{int(kind.seconds // (60 * limit))} times; give hydra.launcher.timeout_min=<more>"
            )


def counted(batches: Sequence[Sequence["Cell"]]) -> list[str]:
    """Return how many jobs are stacks and how many are single cells, in words."""
    stacks = sum(len(batch) > 1 for batch in batches)
    single = sum(len(batch) == 1 for batch in batches)
    words = (f"{stacks} of stacks" if stacks else "", f"{single} of a cell each" if single else "")
    return [word for word in words if word]


def duration(seconds: float) -> str:
    """Return a time in words."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
