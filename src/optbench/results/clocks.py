"""The clocks that a training's time is told by."""

WORDS = {
    "step": "steps",
    "epoch": "epochs",
    "grad_evals": "gradient evaluations",
    "train_seconds": "seconds of training",
}
"""What a reader calls them."""

CLOCKS = list(WORDS)
"""Columns of evaluations."""

CLOCK = "grad_evals"
"""What times to targets are compared in: a step of L-BFGS costs many gradients, and seconds depend on the machine."""
