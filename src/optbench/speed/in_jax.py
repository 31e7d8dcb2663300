"""What a speed-minded user writes instead of this suite: one jitted scan over an epoch, vmapped over rates and seeds.

A script of its own, so that nothing of ours is imported: `python in_jax.py <folder of IDX files> <hidden> <rates>
<seeds> <epochs>` prints as JSON the seconds of compiling, of training and evaluation, and of training alone.
"""

import gzip
import json
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

BATCH = 64
RATES = [1e-4 * 2**i for i in range(8)]


def images(folder: Path, part: str) -> tuple[Any, Any]:
    """Return pixels in [-1, 1], shape (samples, 784), and labels."""
    x = np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    y = np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return jnp.asarray(x.reshape(-1, 784) / np.float32(127.5) - 1, jnp.float32), jnp.asarray(y, jnp.int32)


def init(key: Any, hidden: int) -> dict[str, Any]:
    """Return the parameters of 784-hidden-10, drawn as torch draws them."""
    keys = jax.random.split(key, 4)
    shapes = {"w1": (784, hidden), "b1": (hidden,), "w2": (hidden, 10), "b2": (10,)}
    bounds = (784**-0.5, 784**-0.5, hidden**-0.5, hidden**-0.5)
    drawn = zip(keys, shapes.items(), bounds, strict=True)
    return {name: jax.random.uniform(key, shape, minval=-bound, maxval=bound) for key, (name, shape), bound in drawn}


def outputs(p: dict[str, Any], x: Any) -> Any:
    """Return the logits."""
    return jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


def loss(p: dict[str, Any], x: Any, y: Any, weight: Any) -> Any:
    """Return the mean cross-entropy of a mini-batch, whose last one is filled up with examples of weight 0."""
    return (optax.softmax_cross_entropy_with_integer_labels(outputs(p, x), y) * weight).sum() / weight.sum()


def epoch(x: Any, y: Any, rate: Any, order: Any, weight: Any, state: Any) -> Any:
    """Take a step for each mini-batch of an epoch, and return the new state and the losses.

    Args:
        x: Inputs of all examples.
        y: Their labels.
        rate: Learning rate.
        order: Indices (steps, batch).
        weight: Of each example of a mini-batch, shape (steps, batch).
        state: Parameters and state of the optimizer.
    """
    adam = optax.adam(rate)

    def step(state: Any, batch: Any) -> Any:
        p, s = state
        rows, weight = batch
        value, gradient = jax.value_and_grad(loss)(p, x[rows], y[rows], weight)
        updates, s = adam.update(gradient, s, p)
        return (optax.apply_updates(p, updates), s), value

    return jax.lax.scan(step, state, (order, weight))


def evaluate(p: dict[str, Any], x: Any, y: Any) -> tuple[Any, Any]:
    """Return the mean loss and the accuracy."""
    output = outputs(p, x)
    return optax.softmax_cross_entropy_with_integer_labels(output, y).mean(), (output.argmax(1) == y).mean()


def main(folder: str, hidden: int, rates: int, seeds: int, epochs: int) -> dict[str, float]:
    """Train and evaluate all runs, and return the seconds."""
    x, y = images(Path(folder), "train")
    tests = images(Path(folder), "t10k")
    steps = math.ceil(len(x) / BATCH)
    weight = (jnp.arange(steps * BATCH) < len(x)).astype(jnp.float32).reshape(steps, BATCH)
    lrs = jnp.asarray(RATES[:rates])
    p = jax.vmap(partial(init, hidden=hidden))(jax.random.split(jax.random.key(0), seeds))
    p = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:, None], (seeds, rates, *leaf.shape[1:])), p)
    state = p, jax.vmap(jax.vmap(optax.adam(1e-3).init))(p)

    def orders(epoch: int) -> Any:
        drawn = [np.random.default_rng([seed, epoch]).permutation(len(x)) for seed in range(seeds)]
        return jnp.asarray(np.stack([np.resize(own, steps * BATCH).reshape(steps, BATCH) for own in drawn]))

    over_rates = jax.vmap(epoch, (None, None, 0, None, None, 0))
    over_seeds = jax.vmap(over_rates, (None, None, None, 0, None, 0))
    began = time.perf_counter()
    train = jax.jit(over_seeds, donate_argnums=5).lower(x, y, lrs, orders(0), weight, state).compile()
    measure = jax.jit(jax.vmap(jax.vmap(evaluate, (0, None, None)), (0, None, None)))
    measures = [(measure.lower(p, *data).compile(), data) for data in ((x, y), tests)]
    compiled = time.perf_counter()
    training = 0.0
    for i in range(epochs):
        begun = time.perf_counter()
        state, losses = train(x, y, lrs, orders(i), weight, state)
        losses.block_until_ready()
        training += time.perf_counter() - begun
        values = [np.asarray(value) for run, data in measures for value in run(state[0], *data)]
    total = time.perf_counter() - compiled
    accuracy = float(values[-1].max())
    return {"compile": compiled - began, "total": total, "train": training, "steps": epochs * steps, "best": accuracy}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))))
