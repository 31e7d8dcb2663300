"""Files of numbers: metrics.csv, a row an evaluation, and steps.csv, a row a step."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optbench.checks import UserError
from optbench.records.files import bytes_of, compare
from optbench.records.words import reading

if TYPE_CHECKING:
    import pandas as pd

METRICS = {
    "epoch": "epochs trained, passes over all training samples: a part of one is a fraction; 0 is the untrained model",
    "step": "optimizer steps taken",
    "grad_evals": "gradients evaluated",
    "loss_evals": "losses evaluated without a gradient, by line searches and the like",
    "hvp_evals": "Hessian-vector products evaluated",
    "train_seconds": "time spent training; the clock stands still during evaluation",
    "lr": "learning rate of the last step",
    "train_loss": "mean loss over the training split, at the weights of this row",
    "train_accuracy": "share of the training split classified right",
    "val_loss": "the same on the validation split, if there is one",
    "val_accuracy": "share of the validation split classified right",
    "test_loss": "the same on the test split",
    "test_accuracy": "share of the test split classified right",
    "grad_norm": "2-norm of the last mini-batch's gradient",
    "weight_norm": "2-norm of all weights",
    "update_norm": "2-norm of the weights' change since the previous row",
}
"""Columns of metrics.csv; a measure that a problem lacks stays empty."""


STEPS = ("step", "epoch", "lr", "loss")
"""Columns of steps.csv: a row a step, its epoch from 1."""


def numbers(directory: Path, name: str, columns: list[str], promise: Mapping[str, Any] | None) -> "pd.DataFrame":
    """Return a file of numbers; empty where there is none and none is promised.

    Raises:
        UserError: It is damaged.
    """
    import pandas as pd

    path = directory / name
    if not path.exists() and promise is None:
        return pd.DataFrame(columns=columns)
    with reading(path):
        content = bytes_of(path)
        compare(content, name, promise)
        names = content[: content.find(b"\n")].split(b",")
        if len(set(names)) < len(names):
            raise UserError(f"{name} has a column twice")
        frame = pd.read_csv(io.BytesIO(content), on_bad_lines="error")
        for column in columns:
            if column not in frame:
                raise UserError(f"{name} lacks the column {column}")
            if frame[column].dtype.kind not in "ifb" and frame[column].notna().any():
                raise UserError(f"{name}: the column {column} is no column of numbers")
    return frame
