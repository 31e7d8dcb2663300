"""Which weights along a training are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optbench.checks import Count, UserError, check

Frequency = Count | Literal["epoch", "chunk", "auto"]


@dataclass(frozen=True)
class Keeping:
    """When the weights are kept; the first and the last ones always are.

    Attributes:
        every: So many steps, each `epoch`, or each `chunk` of mini-batches; `auto` is the chunks of the first epoch and
            then each epoch, and None nothing at all.
    """

    every: Frequency | None = "auto"

    @classmethod
    def of(cls, config: Any) -> "Keeping":
        """Return what `trajectory=` asks for: `{every: ...}`, true for `auto`, false for nothing.

        Raises:
            UserError: It asks for something else.
        """
        if isinstance(config, bool) or config is None:
            return cls("auto" if config else None)
        if not isinstance(config, Mapping) or set(config) != {"every"}:
            raise UserError(f"trajectory={config} is not true or false; to choose, give trajectory.every=<steps>")
        return cls(check("trajectory", "every", config["every"], Frequency))

    @property
    def wanted(self) -> bool:
        """Whether anything is kept."""
        return self.every is not None

    def at_step(self, step: int) -> bool:
        """Return whether the weights after a step are kept."""
        return isinstance(self.every, int) and step % self.every == 0

    def at_chunk(self, epoch: int) -> bool:
        """Return whether those after a chunk are, in an epoch, from 0."""
        return self.every == "chunk" or (self.every == "auto" and epoch == 0)

    def at_evaluation(self, step: int) -> bool:
        """Return whether those of an evaluation are, after so many steps."""
        return self.wanted and (step == 0 or not isinstance(self.every, int))


AUTO = Keeping()
