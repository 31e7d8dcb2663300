"""The papers' recurrences for each coordinate by itself, written out in NumPy.

A rule is a generator of one tensor: it yields where it wants a gradient, and is sent the gradient there; where that is
not the method's own iterate it yields both. `h` holds the hyperparameters, `lr` being that of the step, and `loss` and
`hessian`, the loss and the Hessian where the last gradient is.
"""

from collections.abc import Generator
from itertools import count
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Walk = Generator[Any, Floats, None]

sign = np.sign
sqrt = np.sqrt


def momentum(w: Floats, h: Any) -> Walk:
    """Polyak 1964, as a sum and as an average."""
    v = np.zeros_like(w)
    while True:
        g = yield w
        g = g + h.weight_decay * w
        if h.form == "sum":
            v = h.beta * v + h.lr * g
            w = w - v
        else:
            v = h.beta * v + (1 - h.beta) * g
            w = w - h.lr * v


def nag(w: Floats, h: Any) -> Walk:
    """Sutskever 2013."""
    v = np.zeros_like(w)
    while True:
        ahead = w - h.beta * v
        g = yield ahead, w
        v = h.beta * v + h.lr * (g + h.weight_decay * ahead)
        w = w - v


def fista(x: Floats, h: Any) -> Walk:
    """Nesterov 1983."""
    y = x
    t = 1.0
    while True:
        g = yield y, x
        past = x
        x = y - h.lr * (g + h.weight_decay * y)
        later = (1 + sqrt(1 + 4 * t**2)) / 2
        y = x + (t - 1) / later * (x - past)
        t = later


def demon(beta: float, t: int, total: int) -> float:
    """Return the momentum of step t, from 1."""
    r = 1 - (t - 1) / total
    return beta * r / ((1 - beta) + beta * r)


def demon_sgd(w: Floats, h: Any) -> Walk:
    """Chen 2019."""
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        v = demon(h.beta, t, h.total_steps) * v - h.lr * g
        w = w + v


def demon_adam(w: Floats, h: Any) -> Walk:
    """Chen 2019; `ema` corrects by the product of all betas."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    product = 1.0
    for t in count(1):
        g = yield w
        beta = demon(h.beta1, t, h.total_steps)
        product *= beta
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m = beta * m + (g if h.form == "paper" else (1 - beta) * g)
        m_hat = m if h.form == "paper" else m / (1 - product)
        w = w - h.lr * m_hat / (sqrt(v / (1 - h.beta2**t)) + h.eps)


def rprop(w: Floats, h: Any) -> Walk:
    """Riedmiller & Braun 1993; Igel & Huesken 2000."""
    past = np.zeros_like(w)
    change = np.zeros_like(w)
    d = np.zeros_like(w)
    before = np.inf
    for t in count(1):
        g = yield w
        d = np.full_like(w, h.lr) if t == 1 else d
        turn = g * past
        d = np.where(turn > 0, np.minimum(h.eta_plus * d, h.step_max), d)
        d = np.where(turn < 0, np.maximum(h.eta_minus * d, h.step_min), d)
        step = -sign(g) * d
        if h.form != "minus":
            back = -change if h.form == "plus" or h.loss > before else 0
            step = np.where(turn < 0, back, step)
            g = np.where(turn < 0, 0, g)
        w = w + step
        change = step
        past = g
        before = h.loss


def adagrad(w: Floats, h: Any) -> Walk:
    """Duchi 2011, eps inside the root."""
    G = np.zeros_like(w)
    while True:
        g = yield w
        g = g + h.weight_decay * w
        G = G + g**2
        w = w - h.lr * g / sqrt(G + h.eps)


def rmsprop(w: Floats, h: Any) -> Walk:
    """Graves 2013, equations 38 to 41."""
    n = np.zeros_like(w)
    m = np.zeros_like(w)
    d = np.zeros_like(w)
    while True:
        g = yield w
        g = g + h.weight_decay * w
        n = h.alpha * n + (1 - h.alpha) * g**2
        m = h.alpha * m + (1 - h.alpha) * g
        d = h.momentum * d + g / sqrt(n - (m**2 if h.centered else 0) + h.eps)
        w = w - h.lr * d


def ftrl(w: Floats, h: Any) -> Walk:
    """McMahan 2013, each sigma at its own rate; z starts at 0, or where the closed form gives the first weights."""
    n = np.full_like(w, h.initial_accumulator)
    for t in count(1):
        g = yield w
        if t == 1:
            total = (h.beta + sqrt(n)) / h.lr
            z = -w * (total + h.l2) - sign(w) * h.l1 if h.warm_start else np.zeros_like(w)
        n = n + g**2
        sigma = (h.beta + sqrt(n)) / h.lr - total
        z = z + g - sigma * w
        total = total + sigma
        w = np.where(abs(z) <= h.l1, 0, -(z - sign(z) * h.l1) / (total + h.l2))


def adam(w: Floats, h: Any) -> Walk:
    """Kingma & Ba 2015, also `hat` as in section 2 and eps `inside` the root; Loshchilov & Hutter 2019."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        decoupled = h.weight_decay * w if hasattr(h, "decay") else 0
        g = g if hasattr(h, "decay") else g + h.weight_decay * w
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m_hat, v_hat = (m / (1 - h.beta1**t), v / (1 - h.beta2**t)) if h.bias_correction else (m, v)
        match h.eps_form:
            case "inside":
                step = m_hat / sqrt(v_hat + h.eps)
            case "hat":
                step = sqrt(1 - h.beta2**t) / (1 - h.beta1**t) * m / (sqrt(v) + h.eps)
            case _:
                step = m_hat / (sqrt(v_hat) + h.eps)
        w = w - h.lr * step - decoupled


def amsgrad(w: Floats, h: Any) -> Walk:
    """Reddi 2018; `corrected` keeps the largest corrected moment."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    largest = np.zeros_like(w)
    for t in count(1):
        g = yield w
        g = g + h.weight_decay * w
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        if h.form in ("paper", "first"):
            largest = np.maximum(largest, v)
            w = w - h.lr * m / (1 if h.form == "paper" else 1 - h.beta1**t) / (sqrt(largest) + h.eps)
        else:
            largest = np.maximum(largest, v / (1 - h.beta2**t))
            w = w - h.lr * m / (1 - h.beta1**t) / (sqrt(largest) + h.eps)


def nadam(w: Floats, h: Any) -> Walk:
    """Dozat 2016 at constant momentum; `simple` corrects both terms alike, `text` has the moment before."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        g = g + h.weight_decay * w
        last = m
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        ahead = h.beta1 * m / (1 - h.beta1 ** (t + (h.form == "constant")))
        if h.form == "text":
            ahead = h.beta1 * last / (1 - h.beta1 ** (t - 1)) if t > 1 else 0
        ahead = ahead + (1 - h.beta1) * g / (1 - h.beta1**t)
        w = w - h.lr * ahead / (sqrt(v / (1 - h.beta2**t)) + h.eps)
