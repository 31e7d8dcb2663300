"""Which lines and forms of a rule were stepped beside a reference that is somebody else's, recorded by coverage.py."""

import inspect
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from optbench.certificates.reasons import REASONS
from optbench.optimizers import Optimizer

SHELL = r"def (add_param_group|stackable|validate|state|train|eval|__getstate__|__setstate__|_after|_dry)\b"
"""What a class tells torch and the suite, which is not its rule and has no counterpart elsewhere."""


@dataclass(frozen=True)
class Gap:
    """A part of a rule that no reference of somebody else's reached.

    Attributes:
        where: File and line, with the line that is never gone to from there if both are reached; or a form.
        what: Its text.
        reason: Why nobody has it, as `REASONS` says; empty where that is not known.
    """

    where: str
    what: str
    reason: str

    def __str__(self) -> str:
        said = f"{self.where} `{self.what}`" if self.what else self.where
        return f"{said}: {self.reason}" if self.reason else said


@dataclass(frozen=True)
class Reach:
    """How much of a rule was stepped beside references of somebody else's.

    Attributes:
        optimizer: Name of the class.
        share: Of lines, branches and forms, from 0 to 1.
        gaps: What is missing.
    """

    optimizer: str
    share: float
    gaps: tuple[Gap, ...]


class Recorder:
    """Records which parts of one class's rule are executed.

    Args:
        cls: The class. Its rule are the functions of its file, but for those of other classes there.

    Raises:
        ImportError: coverage.py is not installed.
    """

    def __init__(self, cls: type[Optimizer]) -> None:
        import coverage

        self.cls = cls
        self.file = inspect.getfile(cls)
        self.forms: set[tuple[str, Any]] = set()
        self.coverage = coverage.Coverage(data_file=None, branch=True, include=[self.file], config_file=False)
        refusals = (r"raise UserError", r"_without_closure\(", r"_refuse_autocast\(")
        for pattern in (*refusals, r"if closure is None and self._dry\(\)", SHELL):
            self.coverage.exclude(pattern)

    @contextmanager
    def recording(self, hyper: dict[str, Any]) -> Iterator[None]:
        """Record what is executed within, by an optimizer that is given some hyperparameters."""
        self.forms |= {(name, hyper.get(name, self.cls.hyper[name])) for name, _ in forms(self.cls)}
        self.coverage.start()
        try:
            yield
        finally:
            self.coverage.stop()

    def reach(self) -> Reach:
        """Return what was reached so far."""
        source = Path(self.file).read_text().splitlines()
        all_forms = forms(self.cls)
        executed = len(all_forms)
        gaps = []
        for function in self._functions():
            executed += len(function["executed_lines"]) + len(function.get("executed_branches", ()))
            missing = [(line, line) for line in function["missing_lines"]]
            missing += [
                (a, b)
                for a, b in function.get("missing_branches", ())
                if not {a, abs(b)} & set(function["missing_lines"])
            ]
            gaps += [self._gap(a, b, source) for a, b in missing]
        if not executed - len(all_forms) and "*" in (known := REASONS.get(self.cls.__name__, {})):
            return Reach(self.cls.__name__, 0.0, (Gap("all of it", "", known["*"]),))
        unknown = [f"{name}={value}" for name, value in all_forms if (name, value) not in self.forms]
        gaps += [Gap(form, "", self._reason(form)) for form in unknown]
        total = executed - len(unknown) + len(gaps)
        return Reach(self.cls.__name__, 1 - len(gaps) / max(total, 1), tuple(gaps))

    def _functions(self) -> list[dict[str, Any]]:
        """Return coverage.py's account of each function of the rule."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.json")
            self.coverage.json_report(morfs=[self.file], outfile=path)
            report = json.loads(Path(path).read_text())
        (file,) = report["files"].values()
        own = f"{self.cls.__name__}."
        return [x for name, x in file["functions"].items() if name and ("." not in name or name.startswith(own))]

    def _gap(self, line: int, target: int, source: list[str]) -> Gap:
        text = source[line - 1].strip()
        aside = ""
        if target < 0:
            aside = " to its end"
        elif target != line:
            aside = f" to {target}"
        return Gap(f"{Path(self.file).name}:{line}{aside}", text, self._reason(text))

    def _reason(self, text: str) -> str:
        known = REASONS.get(self.cls.__name__, {})
        return known.get(text, known.get("*", ""))


def forms(cls: type[Optimizer]) -> list[tuple[str, Any]]:
    """Return every value of the class's own hyperparameters that choose between forms of a rule: words and switches."""
    found: list[tuple[str, Any]] = []
    inherited = getattr(cls.__mro__[1], "kinds", {})
    for name, kind in cls.kinds.items():
        if name in inherited:
            continue
        values: tuple[Any, ...] = ()
        if get_origin(kind) is Literal:
            values = get_args(kind)
        elif kind is bool:
            values = (False, True)
        found += [(name, value) for value in values]
    return found
