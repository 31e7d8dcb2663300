"""The loader, by itself and in Lightning's loop."""

import lightning.pytorch as lightning
import torch
from torch import nn

from optbench.data import Chunks, LinearRegression


def test_a_large_batch_makes_small_chunks():
    x = torch.zeros(20_000, 1024)
    assert [len(a) for a, _ in Chunks(x, x[:, 0], batch_size=2048, chunk_size=50)][:-1] == [2, 2, 2, 2, 1]


def test_an_epoch_goes_on_where_it_was_left():
    x = torch.arange(100.0)[:, None]
    whole, left, resumed = (Chunks(x, x, batch_size=5, seed=1, chunk_size=3) for _ in range(3))
    for loader in (whole, left, resumed):
        loader.set_epoch(2)
    chunks = [a for a, _ in whole]
    start = iter(left)
    before = [next(start)[0] for _ in range(3)]
    resumed.load_state_dict(left.state_dict())
    after = [a for a, _ in resumed]
    assert all(torch.equal(a, b) for a, b in zip(chunks, before + after, strict=True))
    assert len(list(resumed)) == len(chunks)  # only once


class Sums(lightning.LightningModule):
    """Learns nothing; keeps the sum of each chunk by epoch, and saves a checkpoint after each."""

    def __init__(self, folder):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.automatic_optimization = False
        self.folder, self.seen = folder, []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())

    def training_step(self, chunk, index):
        self.optimizers().step()
        self.seen.append((self.current_epoch, float(chunk[0].sum())))

    def on_train_batch_end(self, *_):
        self.trainer.save_checkpoint(self.folder / f"{self.global_step}.ckpt")


def fit(folder, resume=None):
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module, data = Sums(folder), LinearRegression(samples=64, inputs="normal", batch_size=4, chunk_size=3, seed=5)
    trainer.fit(module, data, ckpt_path=resume)
    return module.seen


def test_lightning_shuffles_each_epoch_and_resumes_within_one(tmp_path):
    whole = fit(tmp_path / "whole")
    sums = [[s for e, s in whole if e == epoch] for epoch in range(3)]
    assert sums[0] != sums[1] != sums[2] and len(whole) == 18
    for done in (2, 6, 8):
        assert fit(tmp_path / "again", resume=tmp_path / "whole" / f"{done}.ckpt") == whole[done:]
