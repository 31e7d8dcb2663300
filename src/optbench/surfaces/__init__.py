"""The small problems that every optimizer is shown on, and the descent that draws its path."""

from optbench.surfaces.descent import descend

__all__ = ["descend"]
