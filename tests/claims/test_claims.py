"""What textbooks claim: numbers that arithmetic gives, and the command end to end."""

import pytest
import torch

from optbench.claims import CLAIMS
from optbench.claims.advice import ADVICE
from optbench.claims.claim import first_below, gradient_steps
from optbench.claims.rows import FITTED, PERCEPTRON, digits, fitted, last, walk
from optbench.claims.small import sharpness
from optbench.commands.claims import choose, markdown
from optbench.optimizers import SGD, Adam

BY_NAME = {claim.name: claim for claim in CLAIMS}


def test_names_are_unique_and_every_claim_says_where_it_stands():
    assert len(BY_NAME) == len(CLAIMS) > 50
    assert all(claim.documents and claim.says.endswith(".") for claim in CLAIMS)


@pytest.mark.parametrize(
    ("name", "verdict", "number"),
    [
        ("bias_correction", "fails", "3.16 with none, 31.6"),
        ("nadam_denominators", "holds only if", "5.9% at step 10"),
        ("momentum_without_beta", "holds", "wavy_bowl"),
        ("rmsprop_half_life", "fails", "6.6 steps"),
        ("nag_extra_gradient", "fails", "NAG 1"),
        ("sgd_weight_decay", "holds", "50 steps"),
        ("zero_gradient", "fails", "(1.02, 1.08)"),
        ("vanishing_tanh", "holds", "0.00134"),
        ("newton_parabola", "holds", "one step from 4"),
        ("three_rates", "holds", "1.1: 2.6e+04"),
        ("no_common_rate", "holds", "best rate for x"),
        ("first_sample", "holds", "leads to (1, 1)"),
        ("minibatch_example", "fails", "(1.015, 1.04)"),
        ("momentum_example", "fails", "(1.02, 1.08)"),
        ("adagrad_example", "fails", "(1.1, 1.1)"),
        ("rmsprop_example", "fails", "(1.31623, 1.31623)"),
        ("adam_example", "fails", "(0.49, -0.79, 0.19)"),
        ("nadam_convex", "fails", "1.900 at step 1"),
        ("curvature_tells", "fails", "a maximum"),
        ("elongated_slopes", "fails", "(0.2, 2)"),
        ("momentum_directions", "holds", "10.0 lr"),
        ("adagrad_plateau", "holds only if", "0.0001 lr"),
        ("amsgrad_correction", "fails", "31.6 lr"),
        ("large_powers", "holds", "0, 1, inf"),
        ("adam_memory", "holds only if", "L-BFGS 20"),
        ("newton_cost", "holds", "100 Hessian-vector products"),
        ("lbfgs_hessian", "fails", "L-BFGS 0"),
        ("newton_singular", "holds", "0.667"),
        ("newton_raphson", "holds", "at -1.50"),
        ("saddle_curvature", "holds", "saddle-free Newton 11"),
        ("cg_linear", "holds", "gradient descent"),
    ],
)
def test_what_arithmetic_decides(name, verdict, number):
    found = BY_NAME[name].measure()
    assert found.verdict == verdict
    assert number in found.measured


def test_a_step_is_told_by_its_gradient():
    steps = gradient_steps(SGD, torch.tensor([1.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(steps, torch.tensor([-0.01, -0.02], dtype=torch.float64))
    assert first_below(torch.tensor([3.0, 0.5, 2.0, 0.5, 0.4]), 1.0) == 3
    assert first_below(torch.tensor([3.0, 2.0]), 1.0) is None


def test_the_command_writes_a_row_a_claim(optbench, tmp_path, capsys):
    optbench("claims", "bias_correction", "saddle", "--out", "here")
    page = (tmp_path / "here" / "claims.md").read_text()
    assert page.count("| `optbench claims ") == 2
    assert "3.16" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no claim 'sadle'; did you mean 'saddle'"):
        optbench("claims", "sadle")
    with pytest.raises(SystemExit, match="--quick leaves nothing of adam_sharp"):
        optbench("claims", "adam_sharp", "--quick")
    assert len(choose(["saddle", "saddle"], False)) == 1


def test_a_page_counts_its_verdicts():
    claims = [BY_NAME["bias_correction"], BY_NAME["zero_gradient"]]
    assert "2 fails" in markdown(claims, [claim.measure() for claim in claims])


def test_every_piece_of_advice_has_evidence_behind_it(optbench, capsys):
    assert all(advice.claims and set(advice.claims) <= BY_NAME.keys() for advice in ADVICE)
    optbench("advise", "sparse")
    printed = capsys.readouterr().out
    assert "adagrad_sparse: holds" in " ".join(printed.split())
    with pytest.raises(SystemExit, match="no advice is about zebra"):
        optbench("advise", "zebra")
    with pytest.raises(SystemExit, match="no advice is about ''"):
        optbench("advise", "")


def test_small_networks_are_trained_each_by_itself():
    start = PERCEPTRON.starts()[:2]
    both = last(walk(PERCEPTRON, Adam, start, 200, 20, (1e-3, 1e-1)))
    alone = last(walk(PERCEPTRON, Adam, start[1:], 200, 20, (1e-1,)))
    torch.testing.assert_close(both[1, 1], alone[0, 0])
    assert PERCEPTRON.accuracies(both, "train")[1].min() > 40
    reached, when = fitted(PERCEPTRON, walk(PERCEPTRON, Adam, start, 200, 200, (1e-9, 3e-2)))
    assert reached[0].isnan().all() and when[1].isfinite().all()
    assert (PERCEPTRON.losses(reached[1], *digits()["train"]) < FITTED).all()
    curvature = sharpness(PERCEPTRON, reached[1])
    x, y = digits()["train"]
    whole = torch.autograd.functional.hessian(lambda w: PERCEPTRON.losses(w[None], x, y)[0], reached[1, 0])
    torch.testing.assert_close(curvature[0], torch.linalg.eigvalsh(whole)[-1], rtol=1e-2, atol=0)
