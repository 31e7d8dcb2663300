"""The classes of torch.optim that follow the same rules as ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Twin:
    """A class of torch.optim.

    Attributes:
        cls: The class.
        names: Our hyperparameters by its names for them; several make a tuple.
        fixed: Keywords that make it the same rule.
    """

    cls: type[torch.optim.Optimizer]
    names: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, params: Any, hyper: Mapping[str, Any], **how: Any) -> torch.optim.Optimizer:
        """Return torch's optimizer with our hyperparameters.

        Args:
            params: Parameters.
            hyper: Ours by name; what is not there keeps torch's default.
            **how: Keywords that choose an implementation, such as `fused`.
        """
        given = {}
        for theirs, ours in {"lr": "lr", **self.names}.items():
            if isinstance(ours, str) and ours in hyper:
                given[theirs] = hyper[ours]
            elif not isinstance(ours, str) and all(name in hyper for name in ours):
                given[theirs] = tuple(hyper[name] for name in ours)
        return self.cls(params, **given, **self.fixed, **how)


BETAS = {"betas": ("beta1", "beta2")}

TWINS: dict[str, Twin] = {
    "SGD": Twin(torch.optim.SGD),
    "Momentum": Twin(torch.optim.SGD, {"momentum": "beta"}),
    "NAG": Twin(torch.optim.SGD, {"momentum": "beta"}, {"nesterov": True}),
    "Adagrad": Twin(torch.optim.Adagrad),
    "RMSprop": Twin(torch.optim.RMSprop, {"alpha": "alpha"}),
    "Adadelta": Twin(torch.optim.Adadelta, {"rho": "rho"}),
    "Adam": Twin(torch.optim.Adam, BETAS),
    "AdamW": Twin(torch.optim.AdamW, BETAS),
    "Adamax": Twin(torch.optim.Adamax, BETAS),
    "AMSGrad": Twin(torch.optim.Adam, BETAS, {"amsgrad": True}),
    "NAdam": Twin(torch.optim.NAdam, BETAS),
    "RAdam": Twin(torch.optim.RAdam, BETAS),
    "Rprop": Twin(torch.optim.Rprop),
}
"""By the name of our class."""
