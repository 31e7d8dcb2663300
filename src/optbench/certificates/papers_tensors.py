"""The papers' recurrences for a tensor or all parameters as a whole, written out in NumPy; see `papers_elementwise`."""

from itertools import count
from typing import Any

import numpy as np

from optbench.certificates.papers_elementwise import Floats, Walk

norm = np.linalg.norm
sqrt = np.sqrt


def lars(w: Floats, h: Any) -> Walk:
    """You 2017."""
    v = np.zeros_like(w)
    while True:
        g = yield w
        local = h.trust_coefficient * norm(w) / (norm(g) + h.weight_decay * norm(w) + h.eps)
        v = h.beta * v + h.lr * local * (g + h.weight_decay * w)
        w = w - v


def larc(w: Floats, h: Any) -> Walk:
    """You 2017, clipped as in apex."""
    v = np.zeros_like(w)
    while True:
        g = yield w
        local = h.trust_coefficient * norm(w) / (norm(g) + h.weight_decay * norm(w) + h.eps)
        v = h.beta * v + min(local / h.lr, 1) * (g + h.weight_decay * w)
        w = w - h.lr * v


def lamb(w: Floats, h: Any) -> Walk:
    """You 2020."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        r = m / (1 - h.beta1**t) / (sqrt(v / (1 - h.beta2**t)) + h.eps) + h.weight_decay * w
        w = w - h.lr * norm(w) / norm(r) * r


def mars(w: Floats, h: Any) -> Walk:
    """Yuan 2024."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    past = np.zeros_like(w)
    for t in count(1):
        g = yield w
        past = g if t == 1 and h.first_step == "paper" else past
        c = g + h.gamma * h.beta1 / (1 - h.beta1) * (g - past)
        c = c / max(1, norm(c))
        past = g
        m = h.beta1 * m + (1 - h.beta1) * c
        v = h.beta2 * v + (1 - h.beta2) * c**2
        w = w - h.lr * (m / (1 - h.beta1**t) / (sqrt(v / (1 - h.beta2**t)) + h.eps) + h.weight_decay * w)


def adafactor(w: Floats, h: Any) -> Walk:
    """Shazeer & Stern 2018, algorithms 4 and 5."""
    r = np.zeros(w.shape[0])
    c = np.zeros(w.shape[-1])
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        beta = 1 - t**h.beta2_decay
        square = g**2 + h.eps1
        if w.ndim == 2:
            r = beta * r + (1 - beta) * square.sum(1)
            c = beta * c + (1 - beta) * square.sum(0)
            v = np.outer(r, c) / r.sum()
        else:
            v = beta * v + (1 - beta) * square
        u = g / sqrt(v)
        u = u / max(1, sqrt(np.mean(u**2)) / h.d)
        w = w - max(h.eps2, sqrt(np.mean(w**2))) * min(h.lr, 1 / sqrt(t)) * u


def vectors(w: Floats, h: Any, scale: float, beta1: float, beta2: float, eps: float) -> Walk:
    """AdamW, to which the rules of matrices leave vectors."""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        decay = getattr(h, "weight_decay", 0)
        w = w - h.lr * scale * (m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps) + decay * w)


def muon(w: Floats, h: Any) -> Walk:
    """Jordan 2024; Liu 2025. The iteration acts on each singular value by itself."""
    if w.ndim == 1:
        yield from vectors(w, h, h.vector_scale, 0.9, 0.95, 1e-8)
    m = np.zeros_like(w)
    while True:
        g = yield w
        m = h.beta * m + (1 - h.beta) * g
        u = (1 - h.beta) * g + h.beta * m if h.nesterov else m
        left, x, right = np.linalg.svd(u, full_matrices=False)
        x = x / (norm(u) + 1e-7)
        for _ in range(h.ns_steps):
            x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
        rows, columns = w.shape
        gain = sqrt(max(1, rows / columns)) if h.scale == "spectral" else 0.2 * sqrt(max(rows, columns))
        w = w - h.lr * (gain * (left * x) @ right + h.weight_decay * w)


def power(x: Floats, exponent: float) -> Any:
    """Return a power of a symmetric matrix."""
    values, vectors = np.linalg.eigh(x)
    return vectors @ np.diag(values**exponent) @ vectors.T


def shampoo(w: Floats, h: Any) -> Walk:
    """Gupta 2018."""
    if w.ndim == 1:
        yield from vectors(w, h, h.vector_scale, 0.9, 0.999, 1e-8)
    L = h.eps * np.eye(w.shape[0])
    R = h.eps * np.eye(w.shape[1])
    for t in count(1):
        g = yield w
        L = L + g @ g.T
        R = R + g.T @ g
        if t <= h.interval or t % h.interval == 0:
            left = power(L, -0.25)
            right = power(R, -0.25)
        w = w - h.lr * left @ g @ right


def soap(w: Floats, h: Any) -> Walk:
    """Vyas 2024; the first gradient only finds the eigenbases. At a refresh they are sorted, as the authors do."""
    if w.ndim == 1:
        yield from vectors(w, h, 1.0, h.beta1, h.beta2, h.eps)
    beta = h.shampoo_beta
    g = yield w
    L = (1 - beta) * g @ g.T
    R = (1 - beta) * g.T @ g
    left = np.linalg.eigh(L)[1][:, ::-1]
    right = np.linalg.eigh(R)[1][:, ::-1]
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t in count(1):
        g = yield w
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * (left.T @ g @ right) ** 2
        n = left.T @ m @ right / (1 - h.beta1**t) / (sqrt(v / (1 - h.beta2**t)) + h.eps)
        w = w - h.lr * (left @ n @ right.T + h.weight_decay * w)
        L = beta * L + (1 - beta) * g @ g.T
        R = beta * R + (1 - beta) * g.T @ g
        if t % h.interval == 0:
            rows = np.argsort(-np.diag(left.T @ L @ left))
            columns = np.argsort(-np.diag(right.T @ R @ right))
            left = np.linalg.qr(L @ left[:, rows])[0]
            right = np.linalg.qr(R @ right[:, columns])[0]
            v = v[np.ix_(rows, columns)]


def sophia(w: Floats, h: Any) -> Walk:
    """Liu 2023, with the exact diagonal of the Hessian."""
    m = np.zeros_like(w)
    estimate = np.zeros_like(w)
    for t in count(1):
        g = yield w
        m = h.beta1 * m + (1 - h.beta1) * g
        if t % h.interval == 1:
            estimate = h.beta2 * estimate + (1 - h.beta2) * np.diag(h.hessian())
        w = w - h.lr * h.weight_decay * w
        w = w - h.lr * np.clip(m / np.maximum(h.gamma * estimate, h.eps), -1, 1)


def yellowfin(w: Floats, h: Any) -> Walk:
    """Zhang & Mitliagkas 2017, algorithms 1 to 4, the curvature averaged as a logarithm; a schedule scales lr."""
    curvatures: list[float] = []
    velocity = np.zeros_like(w)
    length = 0.0
    square = 0.0
    low = 0.0
    high = 0.0
    mean = np.zeros_like(w)
    distance = 0.0
    for t in count(1):
        g = yield w
        lr = h.lr
        mu = 0.0
        curvatures = [*curvatures, np.log(np.sum(g**2))][-h.window :]
        low = h.beta * low + (1 - h.beta) * min(curvatures)
        high = h.beta * high + (1 - h.beta) * max(curvatures)
        mean = h.beta * mean + (1 - h.beta) * g
        square = h.beta * square + (1 - h.beta) * np.sum(g**2)
        length = h.beta * length + (1 - h.beta) * norm(g)
        distance = h.beta * distance + (1 - h.beta) * length / square
        unbias = 1 - h.beta**t
        h_min = np.exp(low / unbias)
        h_max = np.exp(high / unbias)
        C = square / unbias - np.sum((mean / unbias) ** 2)
        D = distance / unbias
        if t > 1:
            p = (D * h_min) ** 2 / (2 * C)
            roots = np.roots([1, 0, p, -p])  # u^3 = p (1 - u), where u = 1 - sqrt(mu)
            u = roots[abs(roots.imag).argmin()].real
            mu = max(1 - u, (sqrt(h_max / h_min) - 1) / (sqrt(h_max / h_min) + 1)) ** 2
            lr = (1 - sqrt(mu)) ** 2 / h_min * min(1, t / (10 * h.window)) * h.lr / h.given
        velocity = mu * velocity + g
        w = w - lr * velocity


def newton(w: Floats, h: Any) -> Walk:
    """Levenberg 1944; Dauphin 2014."""
    while True:
        g = yield w
        H = h.hessian()
        values, Q = np.linalg.eigh(H)
        if h.form == "lm":
            H = H + max(h.damping, h.damping - values.min()) * np.eye(len(w))
        if h.form == "saddle_free":
            H = Q @ np.diag(abs(values) + h.damping) @ Q.T
        w = w - h.lr * np.linalg.solve(H, g)


def sam(w: Floats, h: Any) -> Walk:
    """Foret 2021; Kwon 2021."""
    while True:
        g = yield w
        scale = abs(w) if h.adaptive else np.ones_like(w)
        g = yield w + h.rho * scale**2 * g / norm(scale * g), None
        w = w - h.lr * g


def sphere(w: Floats, h: Any) -> Walk:
    """Wen 2026, around gradient descent: the norm that a matrix began with, for it and its steps or for it alone."""
    radius = norm(w)
    while True:
        g = yield w
        g = radius * g / norm(g) if h.relative and w.ndim > 1 else g
        w = w - h.lr * g
        w = w * (radius / norm(w) if w.ndim > 1 else 1)


def lawa(w: Floats, h: Any) -> Walk:
    """Kaddour 2022: the mean of the last few weights, on which nothing depends."""
    last: list[Floats] = []
    for t in count(1):
        g = yield w, np.mean(last, 0) if last else w
        w = w - h.lr * g
        if t > h.start and (t - h.start) % h.every == 0:
            last = [*last, w][-h.window :]


def cautious(w: Floats, h: Any) -> Walk:
    """Chen 2025: decay of what the step shrinks anyway."""
    while True:
        g = yield w
        step = h.lr * g
        w = w - step - h.lr * h.weight_decay * (step * w >= 0) * w
