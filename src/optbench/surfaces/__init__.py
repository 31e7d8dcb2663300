"""The small problems that every optimizer is shown on, and the descent that draws its path."""

from optbench.checks import nearest
from optbench.surfaces import line, network, plane, problems
from optbench.surfaces.descent import descend
from optbench.surfaces.surface import Surface

__all__ = ["Surface", "descend", "get", "names"]

_SURFACES: dict[str, Surface] = {
    surface.name: surface for module in (plane, line, problems, network) for surface in module.SURFACES
}


def names() -> list[str]:
    """Return the names of all surfaces: those over two parameters, over one, the problems, a network."""
    return list(_SURFACES)


def get(name: str) -> Surface:
    """Return a surface.

    Args:
        name: One of `names()`.

    Raises:
        UserError: There is none of that name; the message has the nearest.
    """
    if name not in _SURFACES:
        raise nearest("surface", name, _SURFACES, "optbench list surfaces")
    return _SURFACES[name]
