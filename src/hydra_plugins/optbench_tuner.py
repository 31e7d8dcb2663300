"""The sweeper of `study=tuned`: trials, then the winners on fresh seeds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

        if any(argument.lstrip("+").startswith("tuning.stage=") for argument in arguments):
            return super().sweep(arguments)
        self.ready()
        self.composer = Composer(self.context.config_loader, self.settings)
        self.placed: list[Cell] = []
        self.lost: dict[Path, str] = {}
        contenders, seeds = self.contenders(arguments)
        self.search(contenders, [each.final({}, seed, "defaults") for each in contenders for seed in seeds])
        if self.settings.widen:
            self.search([each for each in contenders if each.widen()])
        self.train([each.final(each.winner(), seed, len(each.tried)) for each in contenders for seed in seeds])
        self.finish(self.placed, self.lost)
        return None

    def search(self, contenders: Sequence["Contender"], beside: Sequence[list[str]] = ()) -> None:
        """Run trials until no contender proposes another.

        Args:
            contenders: Those that are tuned.
            beside: Overrides of cells that need no trial, and are trained beside the first ones.
        """
        from optbench.tuning.contender import outcome

        while batch := [(each, point) for each in contenders for point in each.propose()]:
            cells = self.train([each.trial(point, self.settings.trial_seed) for each, point in batch], beside)
            beside = ()
            for (each, point), cell in zip(batch, cells, strict=True):
                each.tried.append((point, outcome(cell.directory)))

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

    def heeded(self, overrides: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
        """Return what makes a contender, whose schedule is constant where its optimizer heeds no other, and its config.

        Args:
            overrides: What was typed of it.
        """
        from hydra.utils import get_object

        config = self.composer.cell([*overrides, "tuning.stage=trials"], 0).task
        rule = get_object(config["optimizer"]["_target_"])
        if getattr(rule, "scheduled", True) or config["schedule"]["_target_"] == "optbench.schedules.constant":
            return overrides, config
        others = (line for line in overrides if key_of(line).partition(".")[0] != "schedule")
        return self.heeded((*others, "schedule=constant"))

    def contenders(self, arguments: list[str]) -> tuple[list["Contender"], list[int]]:
        """Return the contenders and the seeds of the finals.

        Raises:
            UserError: Something is there twice, a range or a budget is wrong, or nobody has what is to be searched.
        """
        from optbench.checks import UserError, check
        from optbench.tuning.contender import Contender

        check("tuned", "widen", self.settings.widen, bool)

        grid = self.grid(arguments)
        for own in grid:
            if grid.count(own) > 1:
                raise UserError(f"'{' '.join(own)}' is in the study twice; give each value once")
        found: dict[tuple[str, ...], Contender] = {}
        configs: list[Any] = []
        for asked in dict.fromkeys(tuple(line for line in own if key_of(line) not in OWN) for own in grid):
            overrides, config = self.heeded(asked)
            if overrides not in found:
                configs.append(config)
                found[overrides] = Contender.of(overrides, config)
        contenders = list(found.values())
        refuse_unsearched(configs, contenders)
        seeds = sorted({int(value) for own in grid for value in typed(own, "seed")})
        seeds = seeds or list(range(configs[0]["budget"]["seeds"]))
        if self.settings.trial_seed in seeds:
            raise UserError(
                f"seed={self.settings.trial_seed} is that of the trials; give others, or another trial_seed"
            )
        return contenders, seeds


def key_of(line: str) -> str:
    """Return what an override sets."""
    return line.lstrip("+").partition("=")[0]


def refuse_unsearched(configs: Sequence[Mapping[str, Any]], contenders: Sequence["Contender"]) -> None:
    """Raise where a config names a hyperparameter to search that no contender has.

    Raises:
        UserError: One does.
    """
    from optbench.checks import nearest
    from optbench.tuning.space import replacements

    known = sorted({name for each in contenders for name in each.space})
    for config in configs:
        for name in replacements(config["search"]):
            if name not in known:
                raise nearest("hyperparameter to search", name, known, ", ".join(known))


def typed(overrides: Sequence[str], key: str) -> Iterator[str]:
    """Yield the values that overrides give a key."""
    for line in overrides:
        if key_of(line) == key:
            yield line.partition("=")[2]
