"""Every optimizer of the suite, one class and one file each; `base.py` is what they share."""

import importlib
import pkgutil

from optbench.optimizers.base import Objective, Optimizer

__all__ = ["Objective", "Optimizer"]

for _module in pkgutil.iter_modules(__path__):
    for _name, _item in vars(importlib.import_module(f"{__name__}.{_module.name}")).items():
        if isinstance(_item, type) and issubclass(_item, Optimizer) and _item.__module__.endswith(_module.name):
            globals()[_name] = _item
            __all__ += [_name]


def __getattr__(name: str) -> type[Optimizer]:
    raise AttributeError(f"optbench.optimizers has no '{name}'; it has {', '.join(__all__)}")
