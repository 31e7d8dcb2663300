"""TensorBoard's page HPARAMS: a session a run, with what was typed as its columns, and how it ended.

That page reads its columns from what a session begins with, and its outcome from what it ends with; Lightning writes
both at once, so that a run which diverges is a success with the loss of an untrained network.
"""

import math
from collections.abc import Mapping
from typing import Any

METRICS = ("train_loss", "test_loss", "test_accuracy")
"""The measures of every session; the page compares only those that all name."""


def chosen(status: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that were typed or swept over, by their names, and the optimizer's and the seed.

    Args:
        status: A record's status, of which `overrides` is what was typed.
        config: Its config, as dotted keys.
    """
    found: dict[str, Any] = {"optimizer": str(config.get("optimizer._target_", "")).rpartition(".")[2]}
    for override in [*status["overrides"], "seed="]:
        key, _, value = override.lstrip("+~").partition("=")
        if key in config:
            found[key] = config[key]
        elif key not in found:
            found[key] = value
    return {key: value if isinstance(value, bool | int | float) else str(value) for key, value in found.items()}


def begin(writer: Any, hyper: Mapping[str, Any], row: Mapping[str, float]) -> None:
    """Begin a session with the measures of the untrained network, which nobody else logs.

    Args:
        writer: A `SummaryWriter`.
        hyper: The hyperparameters, numbers, truth values or texts.
        row: Measures by name; what a network does not have is not a number.
    """
    from torch.utils.tensorboard.summary import hparams

    experiment, session, _ = hparams(dict(hyper), dict.fromkeys(METRICS, 0.0))  # type: ignore[no-untyped-call]
    writer.file_writer.add_summary(experiment)
    writer.file_writer.add_summary(session)
    for name in METRICS:
        writer.add_scalar(name, row.get(name, math.nan), 0)


def end(writer: Any, status: str, step: int) -> None:
    """End a session: a success where the run is done, else a failure.

    Args:
        writer: A `SummaryWriter`.
        status: Of the run.
        step: At which it ended.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2
    from tensorboard.plugins.hparams.api_pb2 import Status

    if status != "done":
        for name in METRICS:  # what was measured last is of another time; and a writer that was closed opens again
            writer.add_scalar(name, math.nan, step)
    how = Status.STATUS_SUCCESS if status == "done" else Status.STATUS_FAILURE
    content = plugin_data_pb2.HParamsPluginData(session_end_info=plugin_data_pb2.SessionEndInfo(status=how))
    kind = metadata.create_summary_metadata(content)
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=kind)]))
    writer.flush()
