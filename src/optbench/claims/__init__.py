"""The textbooks' claims, tried: what is commonly said of optimizers, measured with this suite's own classes."""

from optbench.claims import (
    adaptive,
    choices,
    costs,
    curvature,
    examples,
    minima,
    networks,
    noise,
    small,
    special,
    steps,
    table,
    valleys,
)
from optbench.claims.claim import Claim, Finding

THEMES = (examples, steps, adaptive, costs, minima, curvature, valleys, noise, small, special, table, networks, choices)
CLAIMS = tuple(found for theme in THEMES for found in vars(theme).values() if isinstance(found, Claim))

__all__ = ["CLAIMS", "Claim", "Finding"]
