"""What Lightning is told of the processes of a run, which `team` starts and connects."""

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy


class Here(LightningEnvironment):
    """Tells that the processes are there, and which this one is, whatever cluster they run on.

    Args:
        rank: Number of the process, from 0.
    """

    def __init__(self, rank: int = 0) -> None:
        super().__init__()
        self.rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """Whether Lightning is to start none."""
        return True

    def local_rank(self) -> int:
        """Return the number of the process."""
        return self.rank

    def node_rank(self) -> int:
        """Return the number of the machine: there is one."""
        return 0


class Ranks(DDPStrategy):
    """DDP without Lightning's wrapper, which knows one backward pass a batch: the objective sums the gradients."""

    def configure_ddp(self) -> None:
        """Leave the module as it is."""
