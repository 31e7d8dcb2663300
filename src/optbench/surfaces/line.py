"""Surfaces over one parameter: a curve, and the iterates on it."""

import torch
from torch import Tensor

from optbench.surfaces.plane import D2L, TEXTBOOK
from optbench.surfaces.surface import Surface


def parabola(x: Tensor) -> Tensor:
    """Return t²."""
    return x[..., 0] ** 2


def x2_3x_2(x: Tensor) -> Tensor:
    """Return x² + 3x + 2."""
    return x[..., 0] ** 2 + 3 * x[..., 0] + 2


def x_cos_pi_x(x: Tensor) -> Tensor:
    """Return x cos πx."""
    return x[..., 0] * (torch.pi * x[..., 0]).cos()


def tanh(x: Tensor) -> Tensor:
    """Return tanh x."""
    return x[..., 0].tanh()


def cosh(x: Tensor) -> Tensor:
    """Return the hyperbolic cosine of x / 2."""
    return (0.5 * x[..., 0]).cosh()


SURFACES = (
    Surface("parabola", "t²", parabola, ((-5, 5),), TEXTBOOK, ((4,),), ((0,),), labels=("t",)),
    Surface("x2_3x_2", "x² + 3x + 2", x2_3x_2, ((-6, 6),), TEXTBOOK, ((5,),), ((-1.5,),)),
    Surface(
        "x_cos_pi_x",
        "x cos πx",
        x_cos_pi_x,
        ((-1, 2),),
        D2L,
        ((-0.9,), (0.2,), (1.9,)),
        ((1.090408221947,), (-0.273852686801,)),
        maxima=((0.273852686801,),),
        domain=((-1, 2),),
    ),
    Surface("tanh", "tanh x", tanh, ((-5, 5),), D2L, ((4,),)),
    Surface("cosh", "cosh(x / 2)", cosh, ((-11, 11),), D2L, ((10,),), ((0,),)),
)
