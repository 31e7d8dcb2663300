"""What every data set promises."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import nn

from optbench.checks import UserError
from optbench.data import MNIST

CONF = Path(__file__).parents[2] / "conf" / "data"


def rows(*inputs):
    """The samples of several tensors, as a list of bytes."""
    return [row.numpy().tobytes() for x in inputs for row in x.reshape(-1, x.shape[-1])]


def epoch(data, number):
    loader = data.train_dataloader()
    loader.set_epoch(number)
    return list(loader)


def test_a_model_of_its_features_and_outputs_fits(make):
    data = make()
    model = nn.Linear(data.features, data.outputs)
    for x, y in [data.split("train"), *zip(*next(iter(data.train_dataloader())), strict=True)]:
        assert x.dtype == torch.float32 and x.is_contiguous()
        assert data.loss(model(x), y).isfinite()


def test_splits_are_disjoint_and_cut_by_the_data_seed_alone(make):
    cuts = [make(val_fraction=0.25, seed=s, data_seed=d).splits for s, d in ((0, 0), (1, 0), (0, 1))]
    assert [len(x) for x, _ in cuts[0].values()] == [180, 60, len(cuts[0]["test"][0])]
    seen = [row for x, _ in cuts[0].values() for row in rows(x)]
    assert len(set(seen)) == len(seen)
    for name in ("train", "val", "test"):
        assert torch.equal(cuts[0][name][0], cuts[1][name][0])
    assert set(rows(cuts[0]["val"][0])) != set(rows(cuts[2]["val"][0]))


def test_targets_stay_with_their_inputs(make):
    x, y = make(train_size=None, data_seed=3).split("train")
    known = dict(zip(rows(x), y.tolist(), strict=True))
    data = make(val_fraction=0.25, subset="random", data_seed=3)
    batches = [batch for chunk in epoch(data, 0) for batch in zip(*chunk, strict=True)]
    for x, y in [data.split("train"), data.split("val"), *batches]:
        assert [known[row] for row in rows(x)] == y.tolist()


def test_an_epoch_holds_every_sample_once(make):
    data = make(chunk_size=3)
    chunks = epoch(data, 5)
    assert [(len(x), x.shape[1]) for x, _ in chunks] == [(3, 32), (3, 32), (1, 32), (1, 16)]
    assert len(chunks) == len(data.train_dataloader())
    assert sum(len(x) for x, _ in chunks) == data.batches_per_epoch == 8
    assert sorted(rows(*(x for x, _ in chunks))) == sorted(rows(data.split("train")[0]))


def test_order_depends_on_seed_and_epoch_alone(make):
    first = rows(*(x for x, _ in epoch(make(seed=1, chunk_size=2), 4)))
    torch.manual_seed(0)
    np.random.seed(0)
    assert first == rows(*(x for x, _ in epoch(make(seed=1, chunk_size=7), 4)))
    for other, number in ((2, 4), (1, 3)):
        assert first != rows(*(x for x, _ in epoch(make(seed=other), number)))


def test_full_batch_is_the_split_itself(make):
    for size in ("full", 240):
        data = make(batch_size=size)
        [(x, y)] = data.train_dataloader()
        assert x.shape[0] == data.batches_per_epoch == 1
        assert x.data_ptr() == data.split("train")[0].data_ptr()
        assert torch.equal(y[0], data.split("train")[1])


def test_setup_again_keeps_the_tensors(make):
    data = make()
    before = data.split("train")[0].data_ptr()
    data.setup("fit")
    assert data.split("train")[0].data_ptr() == before


def test_a_larger_random_subset_contains_the_smaller(make):
    small, large = (set(rows(make(train_size=n, subset="random").split("train")[0])) for n in (40, 100))
    assert len(small) == 40 and small < large


def test_first_is_the_beginning(make):
    assert torch.equal(make(train_size=40).split("train")[0], make().split("train")[0][:40])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"train_size": 0}, "train_size=0 is not a whole number in [1, inf) or null"),
        ({"train_size": 10**6}, "train_size=1000000 is more than the"),
        ({"test_size": -1}, "test_size=-1 is not a whole number in [1, inf) or null"),
        ({"test_size": 10**6}, "test_size=1000000 is more than the"),
        ({"subset": "last"}, "subset='last' is not one of first, balanced, random"),
        ({"val_fraction": 1}, "val_fraction=1.0 is outside [0, 1)"),
        ({"val_fraction": 0.001}, "val_fraction=0.001 of 240 samples leaves a split empty"),
        ({"batch_size": 0}, "batch_size=0 is not a whole number in [1, inf) or full"),
        ({"batch_size": 241}, "batch_size=241 is more than the 240 training samples; give full"),
        ({"batch_size": "ful"}, "batch_size='ful' is not a whole number in [1, inf) or full"),
        ({"seed": -1}, "seed=-1 is outside [0, inf)"),
    ],
)
def test_bad_values_get_one_line(make, keywords, message):
    with pytest.raises(UserError) as error:
        make(**keywords)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_yaml_makes_its_class_and_passes_the_seed(path):
    config = OmegaConf.merge({"seed": 7}, {"data": OmegaConf.load(path)})
    for key in OmegaConf.missing_keys(config):
        OmegaConf.update(config, key, "given")
    data = instantiate(config.data)
    assert type(data) is get_class(config.data._target_)
    assert data.seed == 7


def test_data_can_be_printed(raw):
    data = MNIST(root=raw, batch_size=16)
    data.setup()
    assert "batch_size=16" in str(data)
