"""The networks."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from optbench.checks import UserError
from optbench.models import ACTIVATIONS, INITS, NORMALIZATIONS, linear, mlp

CONF = Path(__file__).parents[1] / "conf" / "model"


def widths(model):
    return [(layer.in_features, layer.out_features) for layer in model if isinstance(layer, nn.Linear)]


def test_default_is_the_plain_network_bit_for_bit():
    torch.manual_seed(3)
    ours = mlp(784, 10)
    torch.manual_seed(3)
    plain = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    assert str(ours) == str(plain)
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in plain.state_dict().items())


@pytest.mark.parametrize("hidden", [(), (3,), [7, 5]])
def test_hidden_layers_have_their_widths(hidden):
    assert widths(mlp(4, 2, hidden=hidden)) == list(zip([4, *hidden], [*hidden, 2], strict=True))
    assert widths(linear(4, 2)) == [(4, 2)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", ["none", *NORMALIZATIONS])
def test_every_combination_learns(activation, normalization):
    torch.manual_seed(0)
    model = mlp(6, 3, hidden=[16], activation=activation, normalization=normalization)
    x, y = torch.randn(32, 6), torch.arange(32) % 3
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = []
    for _ in range(30):
        losses.append(nn.functional.cross_entropy(model(x), y))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_inits_have_their_scale():
    torch.manual_seed(0)
    models = {init: mlp(300, 200, hidden=[100], init=init).requires_grad_(False) for init in INITS}
    assert models["xavier"][0].weight.abs().max() == pytest.approx((6 / 400) ** 0.5, rel=0.01)
    assert models["kaiming"][0].weight.std() == pytest.approx((2 / 300) ** 0.5, rel=0.05)
    weight = models["orthogonal"][0].weight
    assert torch.allclose(weight @ weight.T, torch.eye(100), atol=1e-5)
    assert not any(layer.bias.any() for model in models.values() for layer in model if isinstance(layer, nn.Linear))


@pytest.mark.parametrize(
    ("function", "keywords", "message"),
    [
        (mlp, {"hidden": [0]}, "mlp: hidden=[0] is not a list, each a whole number in [1, inf)"),
        (mlp, {"hidden": "a"}, "mlp: hidden='a' is not a list, each a whole number in [1, inf)"),
        (mlp, {"hidden": [1.5]}, "mlp: hidden=[1.5] is not a list, each a whole number in [1, inf)"),
        (mlp, {"activation": "rely"}, "mlp: activation='rely' is not one of relu, "),
        (mlp, {"hidden": [], "activation": "tanh"}, "mlp: activation is of hidden layers, and there are none"),
        (mlp, {"hidden": [], "normalization": "batch"}, "mlp: normalization is of hidden layers, and there are"),
        (mlp, {"hiden": [3]}, "no argument of mlp 'hiden'; did you mean 'hidden'? "),
        (linear, {"init": None}, "linear: init=None is not one of default, "),
    ],
)
def test_bad_values_get_one_line(function, keywords, message):
    with pytest.raises(UserError) as error:
        function(4, 2, **keywords)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_yaml_makes_a_model(path):
    config = OmegaConf.create({"data": {"rows": 3}, "model": OmegaConf.load(path)}).model
    model = instantiate(config)(5, 1)
    assert model(torch.eye(5)).shape == (5, 1)


def test_a_list_from_a_config_will_do():
    assert widths(instantiate(OmegaConf.load(CONF / "mlp.yaml"), hidden=[8, 8])(4, 2)) == [(4, 8), (8, 8), (8, 2)]


def test_residual_links_add_the_input_of_a_hidden_layer():
    torch.manual_seed(0)
    plain = mlp(6, 3, hidden=(5, 5, 4, 4), activation="tanh")
    torch.manual_seed(0)
    linked = mlp(6, 3, hidden=(5, 5, 4, 4), activation="tanh", residual=True)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), linked.parameters(), strict=True))
    x = torch.randn(7, 6)
    first, second, third, fourth, last = (layer for layer in plain if isinstance(layer, torch.nn.Linear))
    h = first(x).tanh()
    h = h + second(h).tanh()
    h = third(h).tanh()
    torch.testing.assert_close(linked(x), last(h + fourth(h).tanh()))
    with pytest.raises(UserError, match=r"mlp: residual=True links nothing in hidden=\(5, 4\)"):
        mlp(6, 3, hidden=(5, 4), residual=True)
