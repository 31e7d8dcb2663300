"""Every optimizer of the suite, one class and one file each; `base.py` is the shell that they share."""

import importlib
import pkgutil

from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import Objective

CLASSES: dict[str, type[Optimizer]] = {}
"""All optimizers by name, as found in this folder."""

for _module in pkgutil.iter_modules(__path__):
    for _name, _item in vars(importlib.import_module(f"{__name__}.{_module.name}")).items():
        _own = isinstance(_item, type) and _item.__module__ == f"{__name__}.{_module.name}"
        if _own and issubclass(_item, Optimizer) and _item.hyper:  # one without is what others build on
            CLASSES[_name] = _item

globals().update(CLASSES)
__all__ = ["CLASSES", "Objective", "Optimizer", *CLASSES]


def __getattr__(name: str) -> type[Optimizer]:
    raise AttributeError(f"optbench.optimizers has no '{name}'; it has {', '.join(CLASSES)}")
