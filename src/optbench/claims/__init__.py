"""The textbooks' claims, tried: what is commonly said of optimizers, measured with this suite's own classes."""

from optbench.claims import minima, networks, noise, steps, valleys
from optbench.claims.claim import Claim, Finding

CLAIMS: tuple[Claim, ...] = (*steps.CLAIMS, *minima.CLAIMS, *valleys.CLAIMS, *noise.CLAIMS, *networks.CLAIMS)

__all__ = ["CLAIMS", "Claim", "Finding"]
