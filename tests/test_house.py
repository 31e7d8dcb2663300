"""The house: every import points down, and none goes in a circle."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import optbench

ROOT = Path(optbench.__file__).parent
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
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name in ("__init__", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "optbench":
                package = node.module.split(".")[1:]
                for alias in node.names:
                    inner = ROOT.joinpath(*package, alias.name)
                    named = inner.is_dir() or inner.with_suffix(".py").exists()
                    yield name, ".".join([*package, alias.name] if named else package)


def test_every_module_has_a_room():
    rooms = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")} - {
        "__init__",
        "__main__",
    }
    assert rooms == FLOOR.keys()


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
