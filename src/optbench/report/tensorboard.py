"""What TensorBoard shows of many runs: one mean curve a setting with its interval, instead of a curve a run.

    tensorboard --logdir DIR/report/tensorboard

The runs are called by what differs between them (`Adam, lr=0.01/mean`), HPARAMS has just these columns, and the
figures are images. Everything comes from the records; event files are written, never read. Of more runs than `MOST`
TensorBoard draws none until each is ticked: the best settings have a log directory of their own then.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.summary_v2 import HParam, Metric, hparams_config_pb, hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from optbench.report.charts import Chart, ranked
from optbench.results.frame import labels

MOST = 40
"""So many runs TensorBoard shows by itself."""


def write_all(
    folder: Path, charts: Sequence[Chart], frame: pd.DataFrame, comparison: pd.DataFrame, figures: Mapping[str, Path]
) -> Path:
    """Write all settings to a folder, and the first to `<folder>_best` if all are too many; return what to look at.

    Arguments are those of `write`.
    """
    best = folder.with_name(f"{folder.name}_best")
    write(folder, charts, frame, comparison, figures)
    if len({file.parent for file in folder.rglob("events.*")}) <= MOST:
        shutil.rmtree(best, ignore_errors=True)
        return folder
    few = comparison.head((MOST - 2) // 3)  # three runs each, beside the figures and the root's
    return write(best, charts, frame, few, figures)


def write(
    folder: Path, charts: Sequence[Chart], frame: pd.DataFrame, comparison: pd.DataFrame, figures: Mapping[str, Path]
) -> Path:
    """Write the log directory anew, and return it.

    Args:
        folder: Where it goes; what is there is replaced.
        charts: Those of `optbench.report.charts`; their settings' curves along steps become scalars by view.
        frame: The runs, a row each.
        comparison: A row for each setting, in the order in which they are first drawn.
        figures: Pictures in PNG by name.
    """
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    found = by_setting(charts)
    for name, curves in ((name, found.get(name, [])) for name in ranked(frame, comparison)):
        for part, line in (("mean", "y"), ("low", "low"), ("high", "high")):
            with events(fresh / safe(name) / part) as add:
                for event in scalars(curves, line):
                    add(event)
    hyperparameters(fresh, frame, comparison)
    with events(fresh / "figures") as add:
        for name, path in figures.items():
            picture = Summary.Image(encoded_image_string=path.read_bytes())
            add(Event(summary=Summary(value=[Summary.Value(tag=name, image=picture)])))
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            return fresh.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # otherwise another process put its own there meanwhile


def by_setting(charts: Sequence[Chart]) -> dict[str, list[dict[str, Any]]]:
    """Return the curves along steps of each setting."""
    found: dict[str, list[dict[str, Any]]] = {}
    for chart in charts:
        for curve in chart["curves"]:
            if "step" in curve["x"]:
                found.setdefault(curve["name"], []).append(curve)
    return found


def scalars(curves: Sequence[Mapping[str, Any]], line: str) -> Iterator[Event]:
    """Yield an event a step with what all views of a setting are there; none where a setting has no interval."""
    values: dict[int, list[Summary.Value]] = {}
    times: dict[int, float] = {}
    for curve in curves:
        seconds = curve["x"].get("train_seconds", [0.0] * len(curve["y"]))
        for step, second, y in zip(curve["x"]["step"], seconds, curve.get(line, ()), strict=False):
            values.setdefault(int(step), []).append(Summary.Value(tag=curve["view"], simple_value=y))
            times[int(step)] = second
    for step in sorted(values):
        yield Event(step=step, wall_time=times[step], summary=Summary(value=values[step]))


def hyperparameters(folder: Path, frame: pd.DataFrame, comparison: pd.DataFrame) -> None:
    """Write a session a setting, with the columns that tell the settings apart; what did not end well has failed."""
    keys = labels(frame)
    measures = [str(name) for name in comparison.columns if str(name).endswith("_mean") and "accuracy" in str(name)]
    measures += [str(name) for name in comparison.columns if str(name).endswith("loss_mean")]
    metrics = [Metric(tag(name)) for name in measures]
    with events(folder) as add:
        add(Event(summary=hparams_config_pb(hparams=[HParam(key) for key in keys], metrics=metrics)))
    for name, (_, row) in zip(ranked(frame, comparison), comparison.iterrows(), strict=True):
        well = bool(row["done"] == row["runs"])
        with events(folder / safe(name) / "mean") as add:  # a run of its own would be one more to tick in the list
            add(Event(summary=hparams_pb({key: plain(row[key]) for key in keys}, trial_id=name)))
            add(Event(summary=reached(row, measures if well else [])))
            add(Event(summary=session_end(Status.STATUS_SUCCESS if well else Status.STATUS_FAILURE)))


def reached(row: "pd.Series[Any]", measures: Sequence[str]) -> Summary:
    """Return the means of a setting, as far as they are finite."""
    finite = [name for name in measures if np.isfinite(row[name])]
    return Summary(value=[Summary.Value(tag=tag(name), simple_value=row[name]) for name in finite])


def tag(measure: str) -> str:
    """Return what TensorBoard calls a column of a comparison: all of them are one section below the curves."""
    return f"outcome/{measure.removesuffix('_mean')}"


def session_end(status: int) -> Summary:
    """Return what ends a session of HPARAMS."""
    content = plugin_data_pb2.HParamsPluginData(session_end_info=plugin_data_pb2.SessionEndInfo(status=status))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=metadata.create_summary_metadata(content))
    return Summary(value=[value])


def plain(value: Any) -> Any:
    """Return a label as HPARAMS knows it: a number, a truth value or a text."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, bool | int | float | str) else str(value)


def safe(name: str) -> str:
    """Return a name as one folder's: without separators, and not too long for a file system."""
    return name.replace("/", "_").replace("\0", "_").lstrip(".")[:120] or "_"


@contextmanager
def events(folder: Path) -> Iterator[Any]:
    """Give a function that adds events to a file in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = EventFileWriter(str(folder))
    try:
        yield writer.add_event
    finally:
        writer.close()
