"""What configs there are: folders, groups, names, fields and figures."""

import argparse
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_object

from optbench.checks import UserError, nearest, one_line

CONF = next(path for path in (Path(__file__).parents[1] / "conf", Path(__file__).parents[3] / "conf") if path.is_dir())
"""The configs: inside an installed package, at the top of a checkout."""

GROUPS = ("data", "model", "optimizer", "schedule")
"""What a run's config makes, and a reader of its record may make again."""

LISTED = {
    "data": "data",
    "model": "models",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "study": "studies",
}
"""The groups that `optbench list` shows, and what it calls them."""

FIGURES = (
    "batch_size",
    "budget",
    "curves",
    "gradients",
    "landscape",
    "learning_rate",
    "norms",
    "profile",
    "ranks",
    "sensitivity",
    "steps",
    "time_to_target",
    "trials",
)
"""What a config may list under `figures`; a report draws them."""


def files(folders: Sequence[Path], group: str) -> list[Path]:
    """Return the configs of a group.

    Raises:
        UserError: Two of them have one name, of which Hydra would take the first.
    """
    found: dict[str, Path] = {}
    for path in (path for folder in folders for path in (folder / group).glob("*.yaml")):
        if not found.setdefault(path.stem, path).samefile(path):
            raise UserError(f"{path} has the name of optbench's own {group}/{path.name}; give it another")
    return [found[name] for name in sorted(found)]


def targets(folders: Sequence[Path], group: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield name, config and target of each config of a group.

    Raises:
        UserError: A config cannot be read, or its target does not exist.
    """
    for path in files(folders, group):
        try:
            config = yaml.safe_load(path.read_text())
            yield path.stem, config, get_object(config["_target_"])
        except Exception as error:  # a config of the user's may be wrong in any way
            raise UserError(f"{path}: {one_line(error)}") from None


def refuse_twins(folder: Path) -> None:
    """Raise a `UserError` where a folder of configs has one with the name of one of ours."""
    for group in sorted(path.name for path in CONF.iterdir() if path.is_dir()):
        files([CONF, folder], group)


def split_folders(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return arguments without `--config-dir DIR`, and these folders.

    Raises:
        UserError: One of them is no directory.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-dir", action="append", type=Path, default=[])
    try:
        given, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        raise UserError("--config-dir is followed by no directory; give the folder of your configs") from None
    for folder in given.config_dir:
        if not folder.is_dir():
            raise UserError(f"--config-dir {folder} is no directory; give one with folders such as optimizer/")
        refuse_twins(folder)
    return rest, [folder.resolve() for folder in given.config_dir]


@functools.cache
def _train() -> dict[str, Any]:
    """Return train.yaml."""
    return yaml.safe_load((CONF / "train.yaml").read_text())  # type: ignore[no-any-return]


def fields() -> list[str]:
    """Return the names of what train.yaml sets by itself."""
    return [name for name in _train() if name not in ("defaults", "hydra")]


def groups() -> list[str]:
    """Return the names of the groups of configs that a run chooses from."""
    chosen = [entry for entry in _train()["defaults"] if isinstance(entry, dict)]
    return [name for entry in chosen for name in entry if not name.startswith("override")]


def settable(name: str) -> None:
    """Raise a `UserError` where a new field of a config would be read by nothing."""
    known = [*fields(), *groups(), "hydra"]
    if name not in known:
        raise nearest("field", name, known, "optbench train --cfg job")
