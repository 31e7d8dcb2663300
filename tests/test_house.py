"""The house: every import points down, none goes in a circle, and a line holds one thought."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import optbench

ROOT = Path(optbench.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
ROOMS = [
    {"checks", "garbage"},
    {"configs", "records", "models", "schedules", "processes", "terminal"},
    {"data", "optimizers"},
    {"training"},
    {"sweep"},
    {"surfaces"},
    {"landscape"},
    {"results"},
    {"tuning"},
    {"plots"},
    {"report"},
    {"certificates"},
    {"speed", "claims"},
    {"commands"},
]
"""From the ground up; a room knows those below it, its own modules and, on its own floor, nothing."""
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def imports():
    """Yield each module with each module or package of ours that it imports, anywhere in its text."""
    for path, tree in TREES.items():
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name in ("__init__", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "optbench":
                package = node.module.split(".")[1:]
                for alias in node.names:
                    inner = ROOT.joinpath(*package, alias.name)
                    named = inner.is_dir() or inner.with_suffix(".py").exists()
                    yield name, ".".join([*package, alias.name] if named else package)


def test_every_module_has_a_room():
    rooms = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in TREES}
    assert rooms - {"__init__", "__main__"} == FLOOR.keys()


def test_the_readme_says_where_every_room_is():
    top = ROOT.parents[1]
    table = (top / "README.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w./]+)`", table)
    assert FLOOR.keys() <= {name.removeprefix("src/optbench/").strip("/").removesuffix(".py") for name in named}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_path_that_a_page_names_is_there(page):
    top = ROOT.parents[1]
    named = set(re.findall(r"`((?:src|tests|conf|scripts)/[\w./]+|(?:\w+/)+\w+\.py)`", (top / page).read_text()))
    assert [name for name in sorted(named) if not any((place / name).exists() for place in (top, ROOT))] == []


def test_no_import_points_up():
    up = {
        f"{module} -> {other}"
        for module, other in imports()
        if other and FLOOR[other.split(".")[0]] > FLOOR[module.split(".")[0]]
    }
    assert not up


def test_no_library_imports_a_command_or_a_plot_of_another_floor():
    wrong = {
        f"{module} -> {other}"
        for module, other in imports()
        if other.split(".")[0] != module.split(".")[0] and FLOOR[other.split(".")[0]] == FLOOR[module.split(".")[0]]
    }
    assert not wrong


def test_no_circle():
    arrows = {}
    for module, other in imports():
        if other and other != module:
            arrows.setdefault(module, set()).add(other)
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for other in sorted(arrows.get(module, ())):
            visit(other)
        done.add(path.pop())

    for module in sorted(arrows):
        visit(module)


def tuples_to_tuples(tree):
    """Yield where a row of names is given a row of values, which a reader has to pair off; a swap is no such thing."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Tuple)
            and isinstance(node.targets[0], ast.Tuple)
        ):
            names, values = ({ast.unparse(part) for part in side.elts} for side in (node.targets[0], node.value))
            if names != values:
                yield node


def chained_conditions(tree):
    """Yield conditional expressions that have another one as a part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp) and any(isinstance(part, ast.IfExp) for part in ast.iter_child_nodes(node)):
            yield node


@pytest.mark.parametrize("dense", [tuples_to_tuples, chained_conditions])
def test_a_line_holds_one_thought(dense):
    assert len(list(dense(ast.parse("a, b = c, d\nx = 1 if y else 2 if z else 3\na, b = b, a")))) == 1
    assert not [f"{path}:{node.lineno}" for path, tree in TREES.items() for node in dense(tree)]


def test_a_folder_of_a_users_own_is_not_checked(tmp_path):
    shutil.copy(ROOT.parents[1] / "pyproject.toml", tmp_path)
    for folder in ("mine", "src"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lion.py").write_text("import os\n")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "."]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "lion.py" in said
    assert "mine" not in said


def test_the_figures_that_a_config_may_name_are_those_that_a_report_draws():
    from optbench import configs
    from optbench.report import build

    assert set(configs.FIGURES) == set(build.FIGURES)
