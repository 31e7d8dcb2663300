"""The sweeper of `study=tuned`: trials, then the winners on fresh seeds."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from hydra_plugins.optbench_sweeper import CheckedSweeper

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell
    from optbench.tuning.contender import Contender

OWN = ("seed", "tuning.stage")


class TunedSweeper(CheckedSweeper):
    """Gives every contender the same number of trials, and runs the winner and the defaults on the same fresh seeds.

    A contender is a cell of the grid of all that is typed, but for the seeds. Where the stage of a run is typed too,
    as in the command that makes one again, this is a grid like any other.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Try, choose, train and report.

        Raises:
            UserError: Anything is wrong; nothing was written then.
            SystemExit: A run failed, which the last lines name.
        """
        from optbench.sweep.compose import Composer
        from optbench.tuning.contender import outcome

        if any(argument.lstrip("+").startswith("tuning.stage=") for argument in arguments):
            return super().sweep(arguments)
        self.ready()
        self.composer = Composer(self.context.config_loader, self.settings)
        self.placed: list[Cell] = []
        self.lost: dict[Path, str] = {}
        contenders, seeds = self.contenders(arguments)
        waiting = [each.final({}, seed, "defaults") for each in contenders for seed in seeds]
        trial_seed = self.settings.trial_seed
        for widened in (False, True) if self.settings.widen else (False,):
            left = [each for each in contenders if not widened or each.widen()]
            while batch := [(each, point) for each in left for point in each.propose()]:
                cells = self.train([each.trial(point, trial_seed) for each, point in batch], waiting)
                waiting = []
                for (each, point), cell in zip(batch, cells, strict=True):
                    each.tried.append((point, outcome(cell.directory)))
        self.train([each.final(each.winner(), s, len(each.tried)) for each in contenders for s in seeds])
        self.finish(self.placed, self.lost)
        return None

    def train(self, overrides: Sequence[list[str]], beside: Sequence[list[str]] = ()) -> list["Cell"]:
        """Train cells, others beside them, and return those of the first kind."""
        from optbench.sweep.compose import Composer

        cells = self.composed([*overrides, *beside])
        if not self.placed and self.claim():
            self.composer = Composer(self.context.config_loader, self.settings)
            cells = self.composed([*overrides, *beside])
        self.placed += cells
        self.lost |= self.run(cells)
        return cells[: len(overrides)]

    def composed(self, overrides: Sequence[list[str]]) -> list["Cell"]:
        """Return cells after those that were placed, each checked."""
        numbered = enumerate(overrides, len(self.placed))
        return self.check(self.composer, [self.composer.cell(own, num) for num, own in numbered])

    def contenders(self, arguments: list[str]) -> tuple[list["Contender"], list[int]]:
        """Return the contenders and the seeds of the finals.

        Raises:
            UserError: Something is there twice, a range or a budget is wrong, or nobody has what is to be searched.
        """
        from optbench.checks import Count, UserError, check, nearest
        from optbench.tuning.contender import Contender
        from optbench.tuning.search import METHODS
        from optbench.tuning.space import replacements, space

        grid = self.grid(arguments)
        for own in grid:
            if grid.count(own) > 1:
                raise UserError(f"'{' '.join(own)}' is in the study twice; give each value once")
        seeds = sorted({int(value) for own in grid for value in typed(own, "seed")})
        found: dict[tuple[str, ...], Contender] = {}
        replaced: dict[str, Any] = {}
        for own in grid:
            overrides = tuple(line for line in own if line.lstrip("+").partition("=")[0] not in OWN)
            if overrides in found:
                continue
            config = self.composer.cell([*overrides, "tuning.stage=trials"], 0).task
            plain: Any = OmegaConf.to_container(config)
            method, budget = plain["search"].get("method"), plain["budget"]
            if method not in METHODS:
                raise nearest("search", str(method), METHODS, ", ".join(METHODS))
            for name in ("trials", "seeds"):
                check("budget", name, budget[name], Count)
            if not plain["data"].get("val_fraction"):
                raise UserError("study=tuned chooses on the validation split; give data.val_fraction above 0")
            replaced = replacements(plain["search"])
            name = plain["optimizer"]["_target_"].rpartition(".")[2]
            ranges = space(name, plain["optimizer"], replaced)
            found[overrides] = Contender(list(overrides), name, ranges, budget["trials"], method)
            seeds = seeds or list(range(budget["seeds"]))
        for name in replaced:
            if not any(name in each.space for each in found.values()):
                known = sorted({known for each in found.values() for known in each.space})
                raise nearest("hyperparameter to search", name, known, ", ".join(known))
        if self.settings.trial_seed in seeds:
            raise UserError(
                f"seed={self.settings.trial_seed} is that of the trials; give others, or another trial_seed"
            )
        return list(found.values()), seeds


def typed(overrides: Sequence[str], key: str) -> Iterator[str]:
    """Yield the values that overrides give a key."""
    for line in overrides:
        name, _, value = line.lstrip("+").partition("=")
        if name == key:
            yield value
