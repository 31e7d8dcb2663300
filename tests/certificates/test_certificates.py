"""Every optimizer agrees with every reference that it has: the comparisons are those of `optbench certify`."""

import importlib
import itertools
from dataclasses import replace
from typing import Literal, get_args, get_origin

import pytest
import torch

from optbench.certificates import authors, bare, optax_rules, packages, recurrences, solvers, torch_optim, traces
from optbench.certificates.case import Case, changing, walk
from optbench.certificates.problems import ANY, PROBLEMS
from optbench.certificates.reach import Recorder
from optbench.certificates.reasons import REASONS
from optbench.checks import UserError
from optbench.commands.certify import merged, missing
from optbench.optimizers import CLASSES, SGD, Adam, AdamW

CASES = [
    case
    for source in (traces, torch_optim, packages, optax_rules, authors, solvers, recurrences)
    for case in source.cases()
]
VERDICTS = ("not installed", "certified")
FORMS = [
    (name, key)
    for name, cls in CLASSES.items()
    for key, kind in cls.kinds.items()
    if get_origin(kind) is Literal and len(get_args(kind)) > 1
]


def differ(a, b):
    """Whether two paths, or the errors in place of them, are not the same."""
    if isinstance(a, str) or isinstance(b, str):
        return a != b
    return not torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def label(case):
    return "-".join(filter(None, [case.optimizer.__name__, case.form, case.reference]))


def due(case, certificate):
    """The verdict that a comparison has to have; timm is large, and no test needs it."""
    if "timm" in case.reference and certificate.verdict == "not installed":
        return "not installed"
    return "certified" if case.independent else "paper recurrence only"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the packages' own
@pytest.mark.parametrize("name", CLASSES)
def test_agrees_with_every_reference_and_has_every_line_reached_or_says_why_not(name):
    recorder = Recorder(CLASSES[name])
    ran = [(case, case.run(recorder)) for case in CASES if case.optimizer is CLASSES[name]]
    assert [(label(case), made.verdict) for case, made in ran] == [(label(case), due(case, made)) for case, made in ran]
    assert all(made.difference <= case.tolerance for case, made in ran if made.difference is not None)
    gaps = recorder.reach().gaps
    assert [str(gap) for gap in gaps if not gap.reason] == []
    reasons = {what for what, reason in REASONS.get(name, {}).items() if what != "*" and "timm" not in reason}
    assert reasons <= {gap.what or gap.where for gap in gaps}, "a reason outlives its gap"
    assert gaps or not REASONS.get(name)


@pytest.mark.parametrize("name", CLASSES)
def test_has_an_independent_reference(name):
    assert any(case.independent for case in CASES if case.optimizer is CLASSES[name]) or "*" in REASONS.get(name, {})


@pytest.mark.parametrize(("name", "key"), FORMS)
def test_forms_give_different_answers(name, key):
    def ends(form):
        known = {"total_steps": 20, "base": SGD, "seed": 0, "constraints": None, "weight_decay": 0.1, "window": 3}
        hyper = {k: v for k, v in known.items() if k in CLASSES[name].hyper} | {key: form}
        for problem in map(PROBLEMS.get, ("sigmoid_pair", "network")):
            made = problem()
            more = {"model": made.model} if "model" in CLASSES[name].hyper else {}
            try:
                yield walk(made, CLASSES[name](made.params, **hyper, **more), 8, changing)
            except UserError as error:
                yield str(error)

    paths = [list(ends(form)) for form in get_args(CLASSES[name].kinds[key])]
    for one, other in itertools.combinations(paths, 2):
        assert any(differ(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("key, value", [("beta2", 0.700001), ("eps", 0.030001), ("weight_decay", 0.100001)])
def test_sees_a_small_error(key, value):
    case = next(case for case in torch_optim.cases() if case.optimizer is Adam)
    assert replace(case, hyper=case.hyper | {key: value}).run().verdict == "differs"


def test_what_is_not_finite_differs():
    case = next(case for case in torch_optim.cases() if case.optimizer is SGD)
    assert replace(case, hyper={"lr": 1e200}).run().verdict == "differs"


def test_what_is_not_installed_is_said_to_be():
    case = packages.compare("came_pytorch", Adam, "CAME", {})
    missing = replace(case, path=lambda *_: __import__("no_such_package"))
    certificate = missing.run()
    assert (certificate.difference, certificate.verdict) == (None, "not installed")


def test_missing_references_are_told_in_one_line():
    case = packages.compare("came_pytorch", Adam, "CAME", {})
    gone, there = (replace(case.certificate(None, verdict), reference="came-pytorch CAME") for verdict in VERDICTS)
    reached = [Recorder(Adam).reach()]
    assert missing([gone, gone, there], reached) == ["came-pytorch"]
    assert missing([there], reached) == []
    assert missing([there], []) == ["coverage"]


def test_certificates_join_to_the_worse():
    good = Case(Adam, {}, "torch", lambda *_: torch.zeros(1), ("coupled",)).certificate(1e-16, "certified")
    bad = replace(good, problems=("network",), difference=1e-3, verdict="differs")
    for joined in good.joined(bad), bad.joined(good):
        assert (set(joined.problems), joined.difference, joined.verdict) == ({"coupled", "network"}, 1e-3, "differs")


def test_a_certificate_claims_no_problem_that_was_not_stepped():
    case = next(case for case in torch_optim.cases() if case.optimizer is SGD)
    gone = replace(case, path=lambda *_: __import__("no_such_package"), problems=("quadratic",))
    made = merged([case.run(), gone.run()])
    assert [(c.verdict, "quadratic" in c.problems) for c in made] == [("certified", False), ("not installed", True)]
    assert replace(case, problems=()).run().verdict != "certified"


@pytest.mark.parametrize("cls", [Adam, AdamW, CLASSES["NAG"], CLASSES["DemonSGD"]])
def test_a_class_without_a_reference_is_held_to_its_own_update(cls):
    certificate = bare.case(cls, {}).run()
    assert (certificate.verdict, certificate.problems) == ("paper recurrence only", ANY)
    assert certificate.difference <= 1e-9


def test_a_class_that_moves_all_parameters_at_once_has_no_update_of_its_own():
    certificate = bare.case(CLASSES["LBFGS"], {}).run()
    assert (certificate.verdict, certificate.reference, certificate.difference) == (
        "paper recurrence only",
        "none",
        None,
    )


BENT = """
from optbench.optimizers import Adam


class Bent(Adam):
    @staticmethod
    def update(g, p, s, t, h):
        if t > 1000:
            return p, s
        return Adam.update(g, p, s, t, h)
"""


def test_what_no_reference_reached_is_named(tmp_path, monkeypatch):
    (tmp_path / "bent.py").write_text(BENT)
    monkeypatch.syspath_prepend(tmp_path)
    bent = importlib.import_module("bent").Bent
    recorder = Recorder(bent)
    case = next(case for case in torch_optim.cases() if case.optimizer is Adam)
    assert replace(case, optimizer=bent).run(recorder).verdict == "certified"
    reach = recorder.reach()
    assert 0 < reach.share < 1
    assert [(gap.where, gap.what) for gap in reach.gaps] == [("bent.py:9", "return p, s")]


def test_a_recurrence_of_our_own_reaches_nothing():
    recorder = Recorder(Adam)
    for case in recurrences.cases() + traces.cases():
        if case.optimizer is Adam:
            case.run(recorder)
    assert recorder.reach().share == 0


def test_reasons_are_of_rules_that_there_are():
    assert REASONS.keys() <= CLASSES.keys()
    assert not [text for known in REASONS.values() for pair in known.items() for text in pair if "; " in text]
