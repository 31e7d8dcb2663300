"""Overrides that make a run a matter of a second."""

SMALL = [
    "data.train_size=600",
    "data.test_size=200",
    "data.subset=balanced",
    "trainer.max_epochs=2",
    "model.hidden=[16]",
]
