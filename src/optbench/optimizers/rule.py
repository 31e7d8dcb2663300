"""What an optimizer states: its hyperparameters, its state and its rule."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from optbench.optimizers.arithmetic import Direction

State = dict[str, Any]
Hyper = Mapping[str, Any]


class Rule:
    """A pure update of one tensor, and what there is to know of it."""

    hyper: ClassVar[dict[str, Any]] = {}
    """Defaults by name; `signature.MISSING` where a value has to be given."""
    kinds: ClassVar[dict[str, Any]] = {}
    """Annotation by hyperparameter."""
    aliases: ClassVar[dict[str, str]] = {}
    """Former names of hyperparameters, each with today's."""
    extends: ClassVar[dict[str, str]] = {}
    """The classes that the rule builds on, each with the idea that it adds."""
    order: ClassVar[float] = 1
    """1 for gradients alone, 1.5 for curvature that is estimated from gradients, 2 for curvature that is evaluated."""
    whole_tensor: ClassVar[bool] = False
    """Whether the rule needs each tensor in its own shape, rather than any part of a flat vector."""
    whole_step: ClassVar[bool] = False
    """Whether `update` returns the step itself, learning rate included, rather than a direction to scale by `lr`."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Fields that belong to the optimizer instead of its groups: objects such as a model, which no state_dict holds."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that the run itself gives, where nobody else does: `model`, `total_steps`."""
    common: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that are one number for all parameters: groups may not differ in them."""
    shards: ClassVar[bool] = True
    """Whether parameters may be DTensors, as those of FSDP2 are."""
    shares: ClassVar[bool] = True
    """Whether several processes may share a mini-batch, each with a part of the gradient; see `Objective`."""
    only: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {}
    """The hyperparameters that are heeded with some values of another one alone, with its name and these."""
    scheduled: ClassVar[bool] = True
    """Whether the learning rate counts at every step, rather than at the first alone."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Names in the state beside those that `init` and `update` return."""

    @staticmethod
    def init(p: Tensor) -> State:
        """Return the state of a parameter before its first step: tensors of its type, or numbers."""
        return {}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: Any, h: Hyper) -> tuple[Direction, State]:
        """Return the direction to descend along, a tensor or a `Quotient`, and the next state.

        Args:
            g: Gradient.
            p: Parameter, of the same shape.
            s: State; like g and p it belongs to the caller and is not changed, but through the helpers of `arithmetic`
                whose names end in an underscore: what is given to one of these may not be read afterwards.
            t: Step, from 1; a number, or a tensor of floating type.
            h: Hyperparameters, numbers or tensors that broadcast against p.
        """
        raise NotImplementedError("write its `update`, or a `step` of its own")

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        """Return the method's own iterate, where the parameter in training is another point; see `Optimizer.eval`."""
        return p

    @classmethod
    def rate(cls, h: Hyper) -> Any:
        """Return what a direction is to be scaled by: the learning rate, or 1 where `update` returns the whole step."""
        return 1.0 if cls.whole_step else h["lr"]
