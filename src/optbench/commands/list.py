"""`optbench list`: what can be named on the command line, from the configs themselves."""

import inspect
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from optbench import records
from optbench.checks import nearest
from optbench.commands.arguments import Parser, folders
from optbench.configs import files, targets
from optbench.terminal import wide

Item = dict[str, Any]
"""What is known of one name: `name`, `description`, and more by kind."""

NOTE = "* measured; one of the documents says the contrary in its table (optbench claims property_table)"


def main(arguments: list[str]) -> None:
    """Run `optbench list`."""
    parser = Parser(prog="optbench list", description="Show what can be named on the command line.")
    parser.add_argument("what", nargs="?", help=f"one of {', '.join(LISTS)}; all, counted, if not given")
    parser.add_argument("--config-dir", type=Path, help="a folder with configs of your own, as for optbench train")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--out", type=records.folder, help="also write the table here, as CSV and Markdown; and the family tree"
    )
    given = parser.parse_intermixed_args(arguments)
    found = folders(given.config_dir)
    if given.what not in (None, *LISTS):
        raise nearest("list", given.what, LISTS, ", ".join(LISTS))
    if given.out:
        records.prepare(given.out)
    if given.what is None:
        quick = LISTS | {"optimizers": hyperparameters}  # what is only counted need not be measured
        rows = [{"list": what, "entries": len(rows(found))} for what, rows in quick.items()]
    else:
        rows = LISTS[given.what](found)
    if given.out:
        write(rows, given.what, given.out)
    if given.json:
        print(json.dumps(rows, indent=2, default=str))
    else:
        console = wide()
        console.print(view([brief(row) for row in rows]))
        if "order" in rows[0]:
            print(NOTE)


def write(rows: Sequence[Item], what: str | None, folder: Path) -> None:
    """Write rows as `<what>.csv` and `<what>.md`; of optimizers with their properties also `family.png` and `.svg`."""
    import pandas as pd

    from optbench.plots import style
    from optbench.plots.family import family

    name = what or "lists"
    records.write(folder / f"{name}.csv", pd.DataFrame(rows).to_csv(index=False))
    records.write(folder / f"{name}.md", markdown(rows))
    if "extends" in rows[0]:
        with style.context():
            style.save(family(pd.DataFrame(rows)), folder / "family")


def markdown(rows: Sequence[Item]) -> str:
    """Return rows as a Markdown table."""
    import pandas as pd

    from optbench.results.text import markdown_table

    short = [brief(row) for row in rows]
    cells = [[typed(value) for value in row.values()] for row in short]
    table = markdown_table(pd.DataFrame(cells, columns=list(short[0])), None, marked=True) + "\n"
    return table + f"\n{NOTE.replace('*', chr(92) + '*')}\n" if "order" in rows[0] else table


def brief(row: Item) -> Item:
    """Return a row without what only JSON has room for: of an optimizer's properties, the words and the links."""
    if "order" not in row:
        return row
    from optbench.claims.table import contested

    left_out = ("class", "description", "hyperparameters", "link", "extends")
    marked = {k: f"{typed(v)}*" if k in contested(row) else v for k, v in row.items()}
    short = {k.replace("_", " "): v for k, v in marked.items() if k not in left_out}
    short["paper"] = re.match(r"[^&,]*(,[^&,]*)* & [^,]*|[^,]*", row["paper"] or "")[0]  # type: ignore[index]
    return {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in short.items()}


def view(rows: Sequence[Item]) -> Table:
    """Return rows of the same keys as a table; settings are written as they are typed."""
    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(rows[0]):
        table.add_column(name, no_wrap=i == 0)
    for row in rows:
        table.add_row(*(Text(typed(value)) for value in row.values()))
    return table


def typed(value: Any) -> str:
    """Return a value as an override of Hydra's has it, settings with their names."""
    match value:
        case None | bool():
            return "null" if value is None else str(value).lower()
        case dict():
            return ", ".join(f"{name}={typed(x)}" for name, x in value.items())
        case list() | tuple():
            return f"[{','.join(map(typed, value))}]"
    return str(value)


def optimizers(folders: Sequence[Path]) -> list[Item]:
    """Return the optimizers with all that is known of each: what `hyperparameters` has, and measured properties."""
    from optbench.certificates.properties import properties

    configs = {name: config for name, config, _ in targets(folders, "optimizer")}
    rows = track(hyperparameters(folders), "measuring", console=Console(stderr=True), transient=True)
    return [row | properties(configs[row["name"]]) for row in rows]


def hyperparameters(folders: Sequence[Path]) -> list[Item]:
    """Return the optimizers: class, what it does, hyperparameters."""
    return [
        {
            "name": name,
            "class": cls.__name__,
            "description": first_line(cls),
            "hyperparameters": settings(cls.hyper, config),
        }
        for name, config, cls in targets(folders, "optimizer")
    ]


def described(group: str) -> Callable[[Sequence[Path]], list[Item]]:
    """Return the list of a group of configs that name a class or a function."""

    def rows(folders: Sequence[Path]) -> list[Item]:
        found = []
        for name, config, target in targets(folders, group):
            parameters = inspect.signature(target).parameters.values()
            defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
            found.append({"name": name, "description": first_line(target), "settings": settings(defaults, config)})
        return found

    return rows


def studies(folders: Sequence[Path]) -> list[Item]:
    """Return the studies: what each shows, as its file's first comment says, and the command that runs it."""
    rows = []
    for group, command in (("study", "optbench train -m"), ("surface_study", "optbench surface")):
        for path in files(folders, group):
            comments = [line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#")]
            said = next((line for line in comments if not line.startswith("@")), "")
            rows.append({"name": path.stem, "description": said, "command": f"{command} study={path.stem}"})
    return rows


def surfaces(folders: Sequence[Path]) -> list[Item]:
    """Return the surfaces: formula, parameters, starts."""
    from optbench.surfaces import get, names

    found = [get(name) for name in names()]
    return [{"name": s.name, "formula": s.formula, "parameters": s.size, "starts": list(s.starts)} for s in found]


LISTS: dict[str, Callable[[Sequence[Path]], list[Item]]] = {
    "optimizers": optimizers,
    "hyperparameters": hyperparameters,
    "data": described("data"),
    "models": described("model"),
    "schedules": described("schedule"),
    "studies": studies,
    "surfaces": surfaces,
}


def first_line(target: Any) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(target) or "").split("\n")[0]


def settings(defaults: Item, config: Item) -> Item:
    """Return the values that a config starts from, with those that it sets itself; `required` where there is none."""
    own = {k: v for k, v in config.items() if not k.startswith("_") and k != "search"}
    return {k: "required" if v is inspect.Parameter.empty else v for k, v in {**defaults, **own}.items()}
