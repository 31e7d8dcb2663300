"""Every optimizer follows the traces that were computed in plain NumPy from the papers."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from problems import START, elongated_bowl, sigmoid_pair

from optbench import optimizers
from optbench.surfaces import descend

TRACES = json.loads(Path(__file__).with_name("traces.json").read_text())
SURFACES = {"S1": elongated_bowl, "S2": sigmoid_pair}


def factory(trace):
    hyper = dict(trace["hyper"])
    if "base" in trace:
        hyper["base"] = partial(getattr(optimizers, trace["base"]), **trace["base_hyper"])
    return partial(getattr(optimizers, trace["optimizer"]), **hyper)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", [k for k, trace in TRACES.items() if trace["optimizer"] in optimizers.CLASSES])
def test_follows_the_trace(name, surface):
    path = descend(SURFACES[surface], factory(TRACES[name]), START, 20)
    torch.testing.assert_close(path, torch.tensor(TRACES[name][surface], dtype=torch.float64), rtol=1e-9, atol=1e-9)
