"""What the captions of the studies say, at the studies' own settings."""

import math
from functools import partial

import pytest
import torch

from optbench import surfaces
from optbench.optimizers import LBFGS, LBFGSB, NAG, SGD, AugmentedLagrangian, Momentum
from optbench.surfaces.descent import descend, with_rates
from optbench.surfaces.entry import limits
from optbench.surfaces.measures import step_variance
from optbench.surfaces.network import SIZE, loss, losses_and_indices
from optbench.surfaces.problems import Factorization, disk, sparse_dense

pytestmark = pytest.mark.slow


def tracks(scene):
    return {track.optimizer: track for track in scene.tracks}


def settled(track, level=1e-3):
    """The first step from which the loss stays below a level."""
    return int((track.values > level).nonzero().max()) + 1


def below(track, level):
    """The first step whose loss is below a level."""
    return int((track.values < level).nonzero()[0])


def test_sgd_in_the_ravine_flips_the_sign_of_y_at_every_step(scenes):
    path = tracks(scenes("ravine")["ravine"])["SGD"].points
    torch.testing.assert_close(path[1:, 1] / path[:-1, 1], torch.full((60,), -0.9, dtype=torch.float64))
    torch.testing.assert_close(path[1:, 0] / path[:-1, 0], torch.full((60,), 0.81, dtype=torch.float64))


def test_momentum_leaves_the_shallow_minimum_and_sgd_does_not(scenes):
    scene = tracks(scenes("challenges")["x_cos_pi_x"])
    assert scene["SGD"].points[-1].item() == pytest.approx(-0.27385, abs=1e-4)
    assert scene["Momentum"].points[-1].item() == pytest.approx(1.0904, abs=0.02)
    assert scene["SGD"].rates == scene["Momentum"].rates


def test_tanh_from_4_hardly_moves(scenes):
    scene = tracks(scenes("challenges")["tanh"])
    assert scene["SGD"].points[0].item() - scene["SGD"].points[-1].item() == pytest.approx(0.0136, abs=1e-4)
    assert scene["Adam"].points[-1].item() < -2


def test_adam_walks_to_the_worst_point_and_amsgrad_to_the_best(scenes):
    scene = tracks(scenes("reddi")["reddi"])
    assert scene["Adam"].points[-100:].min() > 0.98
    assert scene["AMSGrad"].points[-100:].max() < -0.98
    scene = tracks(scenes("reddi")["reddi_online"])
    assert scene["Adam"].points[-101:].mean() > 0.8
    assert scene["AMSGrad"].points[-101:].mean() < -0.4


def test_adagrad_beats_sgd_on_a_sparse_feature(scenes):
    scene = scenes("sparse_dense")["sparse_dense"]
    best = {name: min(track.sweep[1]) - scene.surface.floor for name, track in tracks(scene).items()}
    assert best["Adagrad"] < best["SGD"] / 3
    assert all(1e-4 < track.rates[0] < 10 for track in scene.tracks)  # no best rate on the edge of the grid


@pytest.mark.parametrize("seed", [1, 2])
def test_adagrad_beats_sgd_whatever_the_seed(seed, scenes):
    best = {}
    surface = sparse_dense(seed=seed)
    for name, track in tracks(scenes("sparse_dense")["sparse_dense"]).items():
        if name in ("SGD", "Adagrad"):
            rates = torch.tensor(track.sweep[0], dtype=torch.float64)[:, None]
            start = torch.tensor(surface.starts[0], dtype=torch.float64).expand(len(rates), -1)
            loss = surface.stream(8, seed)
            paths = descend(loss, with_rates(track.factory, rates), start, 400, online=True, batched=True)
            best[name] = surface.f(paths)[-40:].mean(0).nan_to_num(torch.inf).min() - surface.floor
    assert best["Adagrad"] < best["SGD"] / 3


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.98])
def test_an_average_of_noisy_gradients_has_less_variance(beta):
    at, variance = step_variance(partial(Momentum, lr=0.1, beta=beta, form="ema"))
    assert at == beta
    assert variance == pytest.approx((1 - beta) / (1 + beta), rel=0.05)
    assert step_variance(partial(SGD, lr=0.3))[1] == pytest.approx(1, rel=0.02)


def test_newton_is_exact_on_a_parabola_and_fast_on_cosh(scenes):
    assert tracks(scenes("newton_vs_gd")["parabola"])["Newton"].points[1].item() == 0
    cosh = tracks(scenes("newton_vs_gd")["cosh"])
    assert cosh["Newton"].points[:4].diff(dim=0).flatten().tolist() == pytest.approx([-2, -2, -2], abs=0.02)
    assert abs(cosh["Newton"].points[7].item()) < 1e-6 < abs(cosh["Newton"].points[6].item())
    assert cosh["SGD"].points[-1].item() > 3


def test_constrained_optima_are_reached(scenes):
    box, round_ = scenes("constrained")["box"], scenes("constrained")["disk"]
    assert tracks(box)["LBFGSB"].points[-1].tolist() == pytest.approx([0.8, 0.64], abs=1e-6)
    end = tracks(round_)["AugmentedLagrangian"].points[-1]
    assert end.tolist() == pytest.approx([0.907234, 0.822755], abs=1e-5)
    assert end.square().sum().item() == pytest.approx(1.5, abs=1e-6)


def test_the_augmented_lagrangian_finds_the_optimum_in_the_unit_disc():
    unit = disk(1.0, (0.786415, 0.617698))
    start = torch.tensor([0.0, 0.0], dtype=torch.float64)
    path = descend(unit.f, partial(AugmentedLagrangian, **limits(unit)), start, 15)
    assert path[-1].tolist() == pytest.approx([0.786415, 0.617698], abs=1e-5)
    assert unit.f(path[-1]).item() == pytest.approx(0.0456748, abs=1e-6)


def test_lbfgsb_heeds_the_bounds_of_a_surface():
    box = surfaces.get("box")
    path = descend(
        box.f, partial(LBFGSB, max_iter=1, **limits(box)), torch.tensor(box.starts[0], dtype=torch.float64), 40
    )
    assert torch.equal(path, box.clamp(path))
    assert path[-1].tolist() == pytest.approx([0.8, 0.64], abs=1e-6)


def test_lbfgs_recovers_a_factorization(scenes):
    track = tracks(scenes("matrix_factorization")["matrix_factorization"])["LBFGS"]
    assert Factorization.draw().error(track.points[-1]) < 1e-5
    other = Factorization.draw(seed=3)
    start = torch.tensor(other.surface.starts[0], dtype=torch.float64)
    path = descend(other.loss, partial(LBFGS, line_search="strong_wolfe"), start, 15)
    assert other.error(path[0]) > 0.5
    assert other.error(path[-1]) < 1e-3


def test_two_starts_take_different_times(scenes):
    near, far = scenes("gd_two_starts")["sigmoid_pair"].tracks
    minimum = torch.tensor(surfaces.get("sigmoid_pair").minima[0], dtype=torch.float64)
    assert (near.points[-1] - minimum).norm() < 1e-4
    assert (far.points[-1] - minimum).norm().item() == pytest.approx(0.11, abs=0.01)


def test_momentum_is_faster_over_a_plateau_and_slower_on_a_mild_bowl(scenes):
    pair = tracks(scenes("gd_vs_momentum")["sigmoid_pair"])
    assert (below(pair["SGD"], 0.1), below(pair["Momentum"], 0.1)) == (83, 22)
    assert below(pair["Momentum"], pair["SGD"].values[-1]) == 295
    mild = tracks(scenes("gd_vs_momentum")["mild_bowl"])
    assert (settled(mild["SGD"]), settled(mild["Momentum"])) == (54, 91)
    plateau = tracks(scenes("gd_vs_momentum")["sigmoid_plateau"])
    assert (below(plateau["SGD"], 0.1), below(plateau["Momentum"], 0.1)) == (204, 40)


def test_the_best_beta_is_neither_the_smallest_nor_the_largest(scenes):
    by_label = {track.label.split()[-1]: track for track in scenes("beta_effect")["mild_bowl"].tracks}
    assert [settled(by_label[beta]) for beta in ("0.3", "0.5", "0.9")] == [35, 21, 91]
    assert by_label["0.99"].values[-1] > 1


def test_nag_swings_less_but_is_stable_for_smaller_rates(scenes):
    pair = tracks(scenes("nag_vs_momentum")["sigmoid_pair"])
    assert pair["NAG"].values[-1] < 1e-5 < 0.013 < pair["Momentum"].values[-1] < 0.014
    plateau = tracks(scenes("nag_vs_momentum")["sigmoid_plateau"])
    assert plateau["NAG"].values[-20:].tolist() == pytest.approx([0.00209] * 20, rel=0.01)
    assert plateau["Momentum"].values[-1] < 1e-4
    level, start = surfaces.get("sigmoid_plateau").f, torch.tensor([0.05, 0.02], dtype=torch.float64)
    for rate, converges in (0.91, True), (0.93, False):  # the limit is 1.357 / 1.478 = 0.918
        path = descend(level, partial(NAG, lr=rate), start, 1000)
        assert bool(level(path[-1]) < 1e-6) == converges


def test_on_the_elongated_bowl_none_fails(scenes):
    bowl = tracks(scenes("elongated_bowl")["elongated_bowl"])
    assert [settled(bowl[name]) for name in ("SGD", "Momentum", "NAG")] == [203, 93, 58]
    plateau = tracks(scenes("elongated_bowl")["sigmoid_plateau"])
    assert plateau["SGD"].values[-1] > 0.2
    assert plateau["NAG"].values[-1].item() == pytest.approx(0.00209, rel=0.01)


def test_seven_ways(scenes):
    bowl, plateau = (tracks(scenes("seven_way")[name]) for name in ("elongated_bowl", "sigmoid_plateau"))
    assert bowl["Adagrad"].points[-1].norm().item() == pytest.approx(1.86, abs=0.01)
    assert plateau["SGD"].values[-1] > 0.2
    for track in bowl["RMSprop"], plateau["RMSprop"]:
        assert track.points[-1].abs().tolist() == pytest.approx([0.05, 0.05], abs=1e-4)
        assert (track.points[-1] * track.points[-2] < 0).all()


def test_from_the_ridge_of_a_saddle(scenes):
    study = scenes("saddle_starts")
    assert [(track.points[-1, 1].abs() == 2).item() for track in study["five_starts"].tracks] == [True] * 3 + [
        False
    ] * 2
    steps = {name: below(track, -1) for name, track in tracks(study["near_the_ridge"]).items()}
    assert (steps["SGD"], steps["RMSprop"], steps["Adam"]) == (38, 5, 12)
    stays = {t.optimizer for t in study["every_optimizer"].tracks if not (t.values < -1).any()}
    assert stays >= {"LBFGS", "ConjugateGradient", "LARS", "Muon", "Shampoo", "Lookahead", "SAM"}
    assert (
        "Left out: augmented_lagrangian, which needs constraints; kfac, which needs a network."
        in study["every_optimizer"].notes
    )
    assert study["five_starts"].notes[-1].startswith("Held at the edge of the domain at the end: ")
    assert study["five_starts"].notes[-1].count("SGD") == 3
    for name in ("LBFGS", "ConjugateGradient"):
        assert tracks(study["every_optimizer"])[name].points[-1].norm() < 1e-4


def test_a_schedule_pays_only_where_the_rate_arrives(scenes):
    study = scenes("lr_schedules")
    assert [sum(t.rates) for t in study["d2l_bowl"].tracks] == pytest.approx([1.0, 0.55, 0.086, 0.453], abs=1e-3)
    constant, pieces, fast, slow = (t.points[-1].norm() for t in study["d2l_bowl"].tracks)
    assert constant < pieces < slow < fast
    constant, pieces, fast, slow = (t.points[-100:].square().sum(-1).mean() for t in study["larger_rate"].tracks)
    assert pieces < constant / 10
    assert slow < constant / 5 < fast


def test_the_textbooks_schedules_count_from_two(scenes):
    _, _, fast, slow = scenes("lr_schedules")["d2l_bowl"].tracks
    assert fast.rates[0] == pytest.approx(0.01 * math.exp(-0.1 * 2))
    assert slow.rates[1] == pytest.approx(0.01 * (1 + 0.1 * 3) ** -0.5)


def test_a_population_moves_by_its_mini_batches(scenes):
    short, long = (tracks(scenes("population")[name]) for name in ("d2l_bowl", "thirty_epochs"))
    assert [len(track.points) for track in short.values()] == [101] * 5
    assert short["SGD"].points[-1].norm() < 0.55
    assert all(short[name].points[-1].norm() > 5 for name in ("Adagrad", "RMSprop", "Adam"))
    assert long["SGD"].points[-1].norm() < 0.02
    assert long["Adagrad"].points[-1].norm() > long["Adam"].points[-1].norm() > 3
    # A step of Adam is at most about lr for the tenth of the points that it moves.
    assert long["Adam"].points.diff(dim=0).abs().max() < 0.012


def test_nag_stops_where_momentum_rolls_on(scenes):
    nag_a, nag_b, momentum_a, momentum_b = scenes("nag_vs_momentum")["wavy_bowl"].tracks
    local, deepest = torch.tensor([1.2655, -2.572]), torch.tensor([-1.3064, 0.0])
    assert (nag_a.points[-1] - local).norm() < 0.05
    assert (momentum_a.points[-1] - deepest).norm() < 0.1
    assert (nag_b.points[-1] - deepest).norm() < 0.01
    assert (momentum_b.points[-1] - local).norm() < 0.1


def test_newton_and_raphson_seek_a_root_of_f_or_of_its_derivative(scenes):
    study = scenes("newton_raphson")
    [root] = study["x2_3x_2"].measured["roots"]
    assert root[-1].item() == pytest.approx(-1, abs=0.05)
    assert study["x2_3x_2"].tracks[0].points[1].item() == pytest.approx(-1.5)
    [halved] = study["parabola"].measured["roots"]
    assert halved[:4, 0].tolist() == [4, 2, 1, 0.5]


def test_critical_points_of_a_network_lie_the_higher_the_more_ways_lead_down():
    pairs = losses_and_indices(loss, SIZE, count=8)
    means = [pairs[pairs[:, 1] == k, 0].mean() for k in range(4)]
    assert means == sorted(means)
    assert pairs[0, 1] == 0


def test_decay_outside_the_moments_pulls_harder(scenes):
    study = tracks(scenes("decay")["elongated_bowl"])
    assert study["Adam"].points[10, 0].item() == pytest.approx(3.0, abs=0.05)
    assert study["AdamW"].points[10, 0].item() == pytest.approx(1.6, abs=0.05)


def test_single_samples_of_one_line_lose_nothing(scenes):
    batch, two, one = scenes("regression")["linear_regression"].tracks
    assert one.values[-1] < two.values[-1] < batch.values[-1]
