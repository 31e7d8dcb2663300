"""The command `optbench landscape`: where optimizers went in the loss surface of a network, and how true that is."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich import box
from rich.console import Console
from rich.table import Table

from optbench import records
from optbench.checks import Count, Index, Interval, UserError, check, nearest, refuse_idle
from optbench.configs import CONF, explain, quoted, split_folders
from optbench.plots.palette import Colours, refuse_colours

USAGE = """usage: optbench landscape DIR plane=shared what=loss split=train points=50 [field=value ...]

The loss on a plane through weight space with the paths of the runs at and below DIR, and how far the picture is from
the truth: the true loss of each recorded point beside that of its shadow, and its distance from the plane. Runs of
another network, data, examples or start have a picture of their own. Nothing that DIR names is made but what the
configs of optbench, or of --config-dir, name.

  plane=shared      through the common start, nearest to all paths      plane=pca       principal, of each run
  plane=endpoints   start (1, 0), middle (0, 1) and end (0, 0) of each  plane=random    filter-normalised, at each end
  plane=three_runs  through three solutions                             plane=hessian   leading eigenvectors at each end

  optbench landscape results/runs/landscape what=accuracy split=test
  optbench landscape results/runs/landscape plane=endpoints animate=gif
  optbench landscape results/runs/landscape barriers=true spectrum=true

All fields, with what they are: conf/landscape.yaml"""

Points = Annotated[int, Interval("[2, 1000]")]
PlaneKind = Literal["shared", "pca", "endpoints", "random", "three_runs", "hessian"]
FIELDS: dict[str, Any] = {
    "plane": PlaneKind,
    "what": Literal["loss", "accuracy"],
    "split": Literal["train", "val", "test"],
    "points": Points,
    "seed": Index | None,
    "examples": Count | None,
    "out": str | None,
    "formats": tuple[Literal["png", "svg", "pdf"], ...],
    "colours": Colours | None,
    "space": bool,
    "page": bool,
    "page_planes": tuple[PlaneKind, ...],
    "animate": Literal["gif", "mp4"] | None,
    "spectrum": bool,
    "barriers": bool,
    "tensorboard": bool,
}
"""What can be set, and what it may be."""


def main(arguments: list[str]) -> None:
    """Draw the landscape of finished runs."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return
    directories, overrides, folders = split(arguments)
    fields = compose(overrides)
    draw(directories, fields, (*folders, CONF), f"optbench landscape {shlex.join(arguments)}")


def split(arguments: Sequence[str]) -> tuple[list[Path], list[str], list[Path]]:
    """Return the directories, the overrides and the folders of configs among arguments; a path that exists is a path.

    Raises:
        UserError: There is no directory, or one does not exist.
    """
    rest, folders = split_folders(arguments)
    paths = [Path(text) for text in rest if "=" not in text or Path(text).exists()]
    overrides = [text for text in rest if Path(text) not in paths]
    if not paths:
        raise UserError("optbench landscape needs a DIR with runs; see optbench landscape --help")
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path} is no directory; give one that `optbench train` wrote")
    return paths, overrides, folders


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the fields of `conf/landscape.yaml` with overrides, checked.

    Raises:
        UserError: There is no such field, or it refuses a value.
    """
    config = OmegaConf.load(CONF / "landscape.yaml")
    typed = set()
    try:
        for override in OverridesParser.create().parse_overrides(list(map(quoted, overrides))):
            name = str(override.key_or_group)
            if name not in FIELDS:
                raise nearest("field", name, FIELDS, "optbench landscape --help")
            if override.is_sweep_override():
                raise UserError(f"{override.input_line}: give one value, or a list in brackets")
            OmegaConf.update(config, name, override.value())
            typed.add(name)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from None
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    fields = {name: check("landscape", name, values[name], kind) for name, kind in FIELDS.items()}
    refuse_idle(typed, {} if fields["page"] else {"page_planes": "is of a page, and page=false makes none"})
    refuse_colours(typed, fields["formats"])
    return fields


def draw(directories: Sequence[Path], fields: dict[str, Any], folders: tuple[Path, ...], command: str) -> None:
    """Compute, write and print.

    Args:
        directories: Where the runs lie.
        fields: As `compose` returns them.
        folders: Folders of the configs that name what may be made of a record.
        command: What makes it again.
    """
    from optbench.landscape.panels import LandscapeRequest, pictures
    from optbench.plots.moving import check_kind
    from optbench.report.build import heading
    from optbench.report.landscape import contenders
    from optbench.results import read

    console = Console(markup=False)
    if fields["animate"]:
        check_kind(fields["animate"])
    results = read(*directories)
    out = directories[0] / "landscape" if fields["out"] is None else records.folder(fields["out"])
    records.prepare(out, "out=")
    runs = contenders(results)
    given = {name: fields[name] for name in ("plane", "what", "split", "points", "seed", "examples")}
    request = LandscapeRequest(**given, folders=folders, cache=out / "grids")
    shown, left = pictures(runs, request)
    title = heading(results)
    name = _name(request.plane, request.what, request.split)
    files = figures(shown, left, runs, fields, title, out / name)
    files += values(shown, out, name)
    if fields["page"]:
        files.append(interactive(runs, request, fields["page_planes"], title, shown, out))
    files += beyond(runs, request, fields, title, out)
    console.print(summary(shown, title))
    for note in left:
        console.print(note, soft_wrap=True)
    console.print("\n".join(map(str, files)), soft_wrap=True)
    console.print(f"\nagain: {command}", soft_wrap=True)


def figures(
    shown: Sequence[Any], left: Sequence[str], runs: Sequence[Any], fields: dict[str, Any], title: str, path: Path
) -> list[Path]:
    """Draw pictures in all the ways that are asked for, and return the files.

    Args:
        shown: The pictures.
        left: What had to be left out.
        runs: The runs in them.
        fields: As `compose` returns them.
        title: What stands above.
        path: Where they go, without an extension.
    """
    from optbench.plots import style
    from optbench.plots.landscape import figure
    from optbench.plots.landscape_relief import animate, relief

    kinds = fields["formats"]
    colours = fields["colours"]
    with style.context():
        drawn = figure(shown, title, left)
        files = [*style.save(drawn, path, kinds, colours)]
        if fields["space"]:
            files += style.save(relief(shown, title, left), path.with_name(f"{path.name}_space"), kinds, colours)
        if fields["animate"]:
            files.append(animate(shown[0], title, path, fields["animate"]))
        if fields["tensorboard"]:
            from optbench.report.landscape import to_tensorboard

            files.append(to_tensorboard(drawn, path.name, runs, path.with_name("tensorboard")))
    return files


def values(shown: Sequence[Any], out: Path, name: str) -> list[Path]:
    """Write the values of pictures and the error of every recorded point, and return the files."""
    files: list[Path] = []
    for i, one in enumerate(shown):
        files += one.save(out / "values" / (f"{name}_{i}" if len(shown) > 1 else name))
    rows = pd.DataFrame([row for one in shown for row in one.rows()])
    errors = out / f"{name}_error.csv"
    records.write(errors, rows.to_csv(index=False, float_format="%.6g"))
    return [*files, errors]


def interactive(
    runs: Sequence[Any], request: Any, kinds: Sequence[str], title: str, first: Sequence[Any], out: Path
) -> Path:
    """Write the page, with what was asked for first, and the other planes, splits and measures as far as there are any.

    Args:
        runs: The contenders.
        request: What was asked for.
        kinds: Further kinds of plane.
        title: What stands above.
        first: The pictures that were asked for.
        out: Where it goes.
    """
    from optbench.landscape.panels import pictures
    from optbench.plots import style
    from optbench.plots.landscape_page import page

    found = list(first)
    notes: list[str] = []
    asked = (request.plane, request.split, request.what)
    planes = dict.fromkeys((request.plane, *kinds))
    for plane, split_, what in product(planes, ("train", "test"), ("loss", "accuracy")):
        if (plane, split_, what) == asked:
            continue
        try:
            more, left = pictures(runs, replace(request, plane=plane, split=split_, what=what))
            found += more
            notes += left
        except UserError as error:  # no classes, no three solutions: the others are shown
            notes.append(str(error))
    text = page(found, title, list(dict.fromkeys(notes)))
    return style.write(out / "page", "html", lambda file: file.write_text(text))


def beyond(runs: Sequence[Any], request: Any, fields: dict[str, Any], title: str, out: Path) -> list[Path]:
    """Write what is asked for of curvature and barriers; return the files."""
    from optbench.landscape.solutions import barriers_of, densities
    from optbench.plots import style
    from optbench.plots.landscape_solutions import barrier_map, spectra

    files: list[Path] = []
    with style.context():
        if fields["spectrum"]:
            found = densities(runs, request)
            files += style.save(spectra(found, title), out / "spectrum", fields["formats"], fields["colours"])
        if fields["barriers"]:
            table = barriers_of(runs, request)
            files += style.save(barrier_map(table, title), out / "barriers", fields["formats"], fields["colours"])
            frame = pd.DataFrame(table.heights, table.names, table.names)
            records.write(out / "barriers.csv", frame.to_csv(float_format="%.6g"))
            files.append(out / "barriers.csv")
    return files


def summary(shown: Sequence[Any], title: str) -> Table:
    """Return how far each picture, and each run in it, is from the truth."""
    rows = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in (
        "picture",
        "run",
        "points",
        "true at the end",
        "on the plane",
        "largest error, %",
        "off the plane, %",
    ):
        rows.add_column(column, justify="left" if column in ("picture", "run") else "right")
    for one in shown:
        for i, track in enumerate(one.tracks):
            picture = ": ".join(text for text in (one.plane.kind, one.title) if text) if not i else ""
            if not len(track.steps):
                rows.add_row(picture, track.name, "0")
                continue
            worst = 100 * track.errors.max() / (one.spread or 1.0)
            off = 100 * track.away.max()
            ends = (f"{track.values[-1]:.4g}", f"{track.shadows[-1]:.4g}")
            rows.add_row(picture, track.name, str(len(track.steps)), *ends, f"{worst:.3g}", f"{off:.3g}")
    return rows


def _name(plane: str, what: str, split_: str) -> str:
    return plane if (what, split_) == ("loss", "train") else f"{plane}_{what}_{split_}"
