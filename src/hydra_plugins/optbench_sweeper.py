"""The grid sweeper of `optbench train -m`."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, read_write

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell, Composer


class CheckedSweeper(Sweeper):
    """Hydra's grid, with all cells checked before the first one starts, one progress bar, and a report at the end.

    Args:
        max_batch_size: Cells that are launched together; all where None. Only launchers of others heed it.
        params: Default values to sweep over, by key, as a study gives them.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        self.size = max_batch_size
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Get ready, and let the launcher get ready."""
        self.context = hydra_context
        self.settings = config
        self.starter = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Check, train and report the whole grid.

        Raises:
            UserError: A cell is wrong, or two are one; nothing was written then.
            SystemExit: A cell failed, which its last lines name.
        """
        self.ready()
        cells = self.compose(arguments)
        if self.claim():
            cells = self.compose(arguments)
        self.finish(cells, self.run(cells))

    def ready(self) -> None:
        """Raise where the launcher has nothing to launch with, or a run's directory is given.

        Raises:
            UserError: It has not.
        """
        from optbench.checks import UserError

        typed: Any = OmegaConf.to_container(self.settings.hydra.overrides.hydra, resolve=False)  # of cells in part
        if any(override.startswith("hydra.run.dir=") for override in typed):
            raise UserError("hydra.run.dir is of one run, and this is a sweep; give hydra.sweep.dir")
        if look := getattr(self.starter, "ready", None):
            look()

    def claim(self) -> bool:
        """Take the sweep's directory, and return whether it is another one: one may have begun in the same second."""
        from optbench.training.run import claim

        root = Path(self.settings.hydra.sweep.dir)
        given = any("hydra.sweep.dir=" in typed for typed in self.settings.hydra.overrides.hydra)
        if self.settings.resume is not None or given:
            return False
        claimed = claim(root)
        with read_write(self.settings.hydra):
            self.settings.hydra.sweep.dir = str(claimed)
        return claimed != root

    def run(self, cells: Sequence["Cell"]) -> dict[Path, str]:
        """Enter cells into the ledger and train them; return which of them left no record, and why."""
        from optbench import records
        from optbench.sweep import ledger

        root = Path(self.settings.hydra.sweep.dir)
        root.mkdir(parents=True, exist_ok=True)
        records.write(root / "multirun.yaml", OmegaConf.to_yaml(self.settings))
        ledger.enter(root, cells)
        try:
            with progress([cell.directory for cell in cells]):
                return self.launch(cells)
        except KeyboardInterrupt:
            done = sum(records.ended(cell.directory) for cell in cells)
            print(
                f"optbench: interrupted with {done} of {len(cells)} runs ended; the same command with resume={root} "
                "goes on where they are",
                file=sys.stderr,
            )
            raise

    def finish(self, cells: Sequence["Cell"], lost: Mapping[Path, str]) -> None:
        """Report all cells.

        Raises:
            SystemExit: A cell failed, which its last lines name.
        """
        from optbench.checks import one_line
        from optbench.report.build import report

        failures = {cell.directory: reason for cell in cells if (reason := failed(cell.directory))} | {**lost}
        try:
            report(Path(self.settings.hydra.sweep.dir), also=self.settings.figures or ())
        except Exception as error:  # which runs failed is to be said in any case
            if not failures:
                raise
            print(f"optbench: no report: {one_line(error)}", file=sys.stderr)
        if failures:
            raise SystemExit(summary(failures, len(cells)))

    def compose(self, arguments: list[str]) -> list["Cell"]:
        """Return the cells of the grid, each checked, where they are to be recorded.

        Raises:
            UserError: One of them is wrong, or two of them are one, or there is none.
        """
        from optbench.checks import UserError
        from optbench.sweep.compose import Composer

        composer = Composer(self.context.config_loader, self.settings)
        cells = [composer.cell(own, num) for num, own in enumerate(self.grid(arguments))]
        if not cells:
            raise UserError("the sweep has no cell, as a range in it is empty; give one with values")
        return self.check(composer, cells)

    def grid(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of each cell of the grid, under each of its workloads if it names any.

        Raises:
            UserError: A workload is none, or gives mini-batches to what the study trains on whole ones.
        """
        from optbench.sweep.compose import Composer
        from optbench.sweep.workloads import crossed, overridden, refuse_mini_batches
        from optbench.training.private import grid

        parser = OverridesParser.create(config_loader=self.context.config_loader)
        overrides = parser.parse_overrides([f"{k}={v}" for k, v in self.params.items()] + arguments)
        composer = Composer(self.context.config_loader, self.settings)
        found: list[list[str]] = []
        known: dict[tuple[str, ...], Any] = {}
        for cell in grid(overrides):
            chosen, others = overridden(cell)
            key = tuple(chosen)
            if key not in known:
                node = composer(chosen, 0).get("workloads") if chosen else self.settings.get("workloads")
                known[key] = OmegaConf.to_container(node, resolve=True) if node else {}
            found += crossed(known[key], others) if known[key] else [others]
        if any(known.values()):
            refuse_mini_batches(found, self.settings.get("full_batch") or {})
        return found

    def check(self, composer: "Composer", cells: list["Cell"]) -> list["Cell"]:
        """Return cells after a look at each, where they are to be recorded.

        Raises:
            UserError: One of them is wrong, or two of them are one.
        """
        from optbench import configs, records
        from optbench.checks import UserError
        from optbench.sweep import ledger
        from optbench.sweep.compose import refuse_twins
        from optbench.sweep.look import look, suspects, unharmed

        apart = {cell.num: cell for cell in cells if configs.foreign(cell.task)}
        if wrong := look([cell for cell in cells if cell.num not in apart]):
            raise UserError(wrong)
        lost = suspects(list(apart.values())) if apart else set()
        with unharmed():
            for cell in cells:
                cell.suspect = cell.num in lost
                _ = cell.recorded
        configs.enter(self.settings)
        refuse_twins(cells)

        def again(cell: "Cell", num: int) -> "Cell":
            return replace(composer.cell(cell.overrides, num), suspect=cell.suspect)

        cells = ledger.adopt(composer.root, cells, again)
        ledger.refuse_moved(composer.root, cells, self.settings.get("rerun"))
        for cell in cells:
            records.vacant(cell.directory, cell.key)
        configs.enter(self.settings)
        return cells

    def launch(self, cells: Sequence["Cell"]) -> dict[Path, str]:
        """Train cells, and return which of them left no record, and why; a launcher of others gets their overrides."""
        own = getattr(self.starter, "train", None)
        if own:
            return own(cells)  # type: ignore[no-any-return]
        size = self.size or len(cells)
        for start in range(0, len(cells), size):
            jobs = self.starter.launch([cell.overrides for cell in cells[start : start + size]], start)
            for job in jobs:
                _ = job.return_value  # raises what the job raised
        return {}


def failed(directory: Path) -> str | None:
    """Return why the run of a directory failed, or None where it did not."""
    from optbench import records

    status = records.status_of(directory)
    if status is None:
        return "it left no record"
    if status.get("status") in ("done", "diverged"):
        return None
    return str(status.get("reason")) or str(status.get("status"))


def summary(failures: dict[Path, str], cells: int) -> str:
    """Return the last lines of a sweep in which runs failed."""
    lines = [f"optbench: {len(failures)} of {cells} runs failed:"]
    lines += [f"  {directory}: {reason}" for directory, reason in failures.items()]
    return "\n".join(lines)


@contextmanager
def progress(directories: Sequence[Path]) -> Iterator[None]:
    """Show how many runs of a sweep have ended, by the records that they leave."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from optbench import records

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    ended = Event()

    def watch() -> None:
        left = list(directories)
        with Progress(*columns) as bar:
            task = bar.add_task("training", total=len(directories))
            pause = 0.5
            while True:
                last = ended.wait(pause)
                begun = time.monotonic()
                left = [directory for directory in left if not records.ended(directory)]
                bar.update(task, completed=len(directories) - len(left))
                pause = max(0.5, 20 * (time.monotonic() - begun))  # thousands of records take time to look at
                if last:
                    return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
