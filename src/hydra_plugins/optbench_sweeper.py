"""The grid sweeper of `optbench train -m`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser


class CheckedSweeper(BasicSweeper):
    """Hydra's grid, with all cells checked before the first one starts, one progress bar, and a report at the end.

    Args:
        max_batch_size: Cells that are launched together; all where None.
        params: Default values to sweep over, by key, as a study gives them.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        super().__init__(max_batch_size, params)

    def sweep(self, arguments: list[str]) -> Any:
        """Check, train and report the whole grid."""
        from optbench.report.build import report

        assert self.config is not None
        directories = self.check(arguments)
        with progress(directories):
            jobs = super().sweep(arguments)
        report(Path(self.config.hydra.sweep.dir))
        return jobs

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Leave it at that: all cells are checked."""

    def check(self, arguments: list[str]) -> list[Path]:
        """Check every cell of the grid and return the directories that they will write."""
        from optbench.sweep.compose import Composer
        from optbench.training.run import validate

        assert self.config is not None and self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(self._parse_config() + arguments)
        directories = []
        compose = Composer(self.hydra_context.config_loader, self.config)
        for num, cell in enumerate(cell for batch in self.split_arguments(overrides, None) for cell in batch):
            config = compose(cell, num)
            HydraConfig.instance().set_config(config)
            directories.append(Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir)
            validate(config, directories[-1])
        HydraConfig.instance().set_config(self.config)
        return directories


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
        with Progress(*columns) as bar:
            task = bar.add_task("training", total=len(directories))
            while True:
                last = ended.wait(0.5)
                bar.update(task, completed=sum(records.ended(directory) for directory in directories))
                if last:
                    return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
