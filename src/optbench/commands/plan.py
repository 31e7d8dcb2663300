"""`optbench plan`: what a sweep would be and take, and the text that sbatch would be given; nothing is submitted."""

from optbench.checks import UserError
from optbench.commands import train

PLANNER = "hydra.sweeper._target_=hydra_plugins.optbench_planner.Planner"
HELP = """\
usage: optbench plan [what follows `optbench train -m`]

Show how many cells and jobs a sweep has, what it takes by a pilot that is trained on this machine, and with
hydra/launcher=slurm the text that sbatch would be given. Nothing is submitted, or written to the sweep's directory.

  optbench plan study=seven
  optbench plan study=seven seed=0,1,2 hydra/launcher=slurm hydra.launcher.partition=cpu"""


def main(arguments: list[str]) -> None:
    """Run `optbench plan`."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return
    flags = {argument.partition("=")[0] for argument in arguments}
    if shown := flags & {"-c", "--cfg", "--info", "-i", "--hydra-help"}:
        raise UserError(f"{min(shown)} is of optbench train; optbench plan takes overrides, as optbench train -m does")
    multirun = [] if flags & {"-m", "--multirun"} else ["-m"]
    train.main([*multirun, *arguments, PLANNER])
