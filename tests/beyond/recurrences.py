"""Literal NumPy recurrences on one matrix or vector, written from the papers; `run` walks one along given gradients."""

import numpy as np

norm = np.linalg.norm


def run(rule, w, gradient, steps, **h):
    """Return the path of a rule, a generator that is sent gradients and yields weights; shape (steps + 1, *w.shape)."""
    walk = rule(w.copy(), **h)
    path = [next(walk)]
    for t in range(1, steps + 1):
        path.append(walk.send(gradient(path[-1], t)))
    return np.stack(path)


def rms(x):
    return np.sqrt(np.mean(x**2))


def lars(w, lr, beta, trust, weight_decay, eps=0.0):
    v = np.zeros_like(w)
    while True:
        g = yield w
        local = 1.0
        if norm(w) > 0 and norm(g) > 0:
            local = trust * norm(w) / (norm(g) + weight_decay * norm(w) + eps)
        v = beta * v + lr * local * (g + weight_decay * w)
        w = w - v


def larc(w, lr, beta, trust, weight_decay, eps):
    v = np.zeros_like(w)
    while True:
        g = yield w
        scale = min(trust * norm(w) / (norm(g) + weight_decay * norm(w) + eps) / lr, 1.0)
        v = beta * v + scale * (g + weight_decay * w)
        w = w - lr * v


def adam(w, lr, beta1, beta2, eps, weight_decay=0.0):
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = yield w
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - lr * (m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * w)


def lamb(w, lr, beta1, beta2, eps, weight_decay):
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = yield w
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * w
        ratio = norm(w) / norm(r) if norm(w) > 0 and norm(r) > 0 else 1.0
        w = w - lr * ratio * r


def adafactor(w, lr, beta2_decay, eps1, eps2, d):
    r, c, v, t = np.zeros(w.shape[0]), np.zeros(w.shape[-1]), np.zeros_like(w), 0
    while True:
        g = yield w
        t += 1
        b = 1 - t**beta2_decay
        if w.ndim == 2:
            r = b * r + (1 - b) * (g**2 + eps1).sum(1)
            c = b * c + (1 - b) * (g**2 + eps1).sum(0)
            v = np.outer(r, c) / r.sum()
        else:
            v = b * v + (1 - b) * (g**2 + eps1)
        u = g / np.sqrt(v)
        u = u / max(1.0, rms(u) / d)
        w = w - max(eps2, rms(w)) * min(lr, 1 / np.sqrt(t)) * u


def mars(w, lr, beta1, beta2, eps, gamma, weight_decay, first_step):
    m, v, past, t = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = yield w
        t += 1
        if t == 1 and first_step == "paper":
            past = g
        c = g + gamma * beta1 / (1 - beta1) * (g - past)
        if norm(c) > 1:
            c = c / norm(c)
        past = g
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * c**2
        w = w - lr * (m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * w)


def prodigy(w, lr, beta1, beta2, eps, d0, weight_decay):
    d, r = d0, 0.0
    start, m, v, s = w.copy(), np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    while True:
        g = yield w
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * d**2 * g**2
        r = np.sqrt(beta2) * r + d / d0 * d * lr * np.sum(g * (start - w))
        s = np.sqrt(beta2) * s + d / d0 * d * lr * g
        larger = max(d, r / np.abs(s).sum())
        w = w - d * lr * weight_decay * w
        w = w - d * lr * m / (np.sqrt(v) + larger * eps)
        d = larger


def schedule_free(w, lr, beta, second=None, eps=0.0, weight_decay=0.0):
    """Yield y, where the gradient belongs, and x, the mean of z."""
    z, x, v, t = w.copy(), w.copy(), np.zeros_like(w), 0
    y = w
    while True:
        g = yield np.stack([y, x])
        t += 1
        if second is not None:
            v = second * v + (1 - second) * g**2
            g = g / (np.sqrt(v / (1 - second**t)) + eps)
        z = z - lr * (g + weight_decay * y)
        x = (1 - 1 / t) * x + z / t
        y = (1 - beta) * z + beta * x


def came(w, lr, beta1, beta2, beta3, eps1, eps2, d, weight_decay):
    m, v, r, c = np.zeros_like(w), np.zeros_like(w), np.zeros(w.shape[0]), np.zeros(w.shape[-1])
    confidence_r, confidence_c = np.zeros(w.shape[0]), np.zeros(w.shape[-1])
    while True:
        g = yield w
        if w.ndim == 2:
            r = beta2 * r + (1 - beta2) * (g**2 + eps1).mean(1)
            c = beta2 * c + (1 - beta2) * (g**2 + eps1).mean(0)
            v = np.outer(r, c) / r.mean()
        else:
            v = beta2 * v + (1 - beta2) * (g**2 + eps1)
        u = g / np.sqrt(v)
        u = u / max(1.0, rms(u) / d)
        m = beta1 * m + (1 - beta1) * u
        step = m
        if w.ndim == 2:
            instability = (u - m) ** 2 + eps2
            confidence_r = beta3 * confidence_r + (1 - beta3) * instability.mean(1)
            confidence_c = beta3 * confidence_c + (1 - beta3) * instability.mean(0)
            step = m / np.sqrt(np.outer(confidence_r, confidence_c) / confidence_r.mean())
        w = w - lr * (step + weight_decay * w)


def muon(w, lr, beta, nesterov, ns_steps, weight_decay, scale, vector_scale, beta1, beta2, eps):
    if w.ndim == 1:
        yield from adam(w, lr * vector_scale, beta1, beta2, eps, weight_decay)
    m = np.zeros_like(w)
    while True:
        g = yield w
        m = beta * m + (1 - beta) * g
        u = (1 - beta) * g + beta * m if nesterov else m
        left, values, right = np.linalg.svd(u, full_matrices=False)
        values = values / (norm(u) + 1e-7)
        for _ in range(ns_steps):  # the iteration acts on each singular value by itself
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        rows, columns = w.shape
        gain = np.sqrt(max(1, rows / columns)) if scale == "spectral" else 0.2 * np.sqrt(max(rows, columns))
        w = w - lr * (gain * (left * values) @ right + weight_decay * w)


def power(x, exponent):
    values, vectors = np.linalg.eigh(x)
    return vectors @ np.diag(values**exponent) @ vectors.T


def shampoo(w, lr, eps, interval, vector_scale):
    if w.ndim == 1:
        yield from adam(w, lr * vector_scale, 0.9, 0.999, 1e-8)
    L, R, t = eps * np.eye(w.shape[0]), eps * np.eye(w.shape[1]), 0
    while True:
        g = yield w
        L = L + g @ g.T
        R = R + g.T @ g
        t += 1
        if t <= interval or t % interval == 0:
            left, right = power(L, -0.25), power(R, -0.25)
        w = w - lr * left @ g @ right


def soap(w, lr, beta1, beta2, shampoo_beta, eps, weight_decay, interval):
    if w.ndim == 1:
        yield from adam(w, lr, beta1, beta2, eps, weight_decay)
    g = yield w
    L, R = (1 - shampoo_beta) * g @ g.T, (1 - shampoo_beta) * g.T @ g
    left, right = np.linalg.eigh(L)[1], np.linalg.eigh(R)[1]
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = yield w
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (left.T @ g @ right) ** 2
        n = left.T @ m @ right / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
        w = w - lr * (left @ n @ right.T + weight_decay * w)
        L = shampoo_beta * L + (1 - shampoo_beta) * g @ g.T
        R = shampoo_beta * R + (1 - shampoo_beta) * g.T @ g
        if t % interval == 0:
            left, right = np.linalg.qr(L @ left)[0], np.linalg.qr(R @ right)[0]


def sophia(w, lr, beta1, beta2, gamma, eps, weight_decay, interval, diagonal):
    m, h, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = yield w
        if t % interval == 0:
            h = beta2 * h + (1 - beta2) * diagonal
        t += 1
        m = beta1 * m + (1 - beta1) * g
        w = w - lr * weight_decay * w - lr * np.clip(m / np.maximum(gamma * h, eps), -1, 1)
