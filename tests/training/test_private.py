"""The private parts of Lightning and Hydra that we use are still what they were; a failure here names what moved."""

import inspect

import pytest

MOVED = "optbench.training.private uses it; find its new place, and mend that file alone"


def test_lightning_still_counts_the_steps_where_we_set_them():
    from lightning.pytorch import Trainer

    from optbench.training.private import set_global_step

    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    try:
        trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed  # noqa: B018
    except AttributeError as error:
        pytest.fail(f"Lightning moved optim_step_progress ({error}): {MOVED}")
    trainer.strategy._lightning_module = type("Module", (), {"automatic_optimization": False})()
    set_global_step(trainer, 7)
    assert trainer.global_step == 7, f"Lightning's global_step no longer reads optim_step_progress: {MOVED}"


def test_lightning_still_takes_signals_where_we_keep_it_from_it():
    from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

    assert callable(getattr(_SignalConnector, "register_signal_handlers", None)), MOVED


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        ("hydra._internal.config_loader_impl", "ConfigLoaderImpl._apply_overrides_to_config", ["overrides", "cfg"]),
        (
            "hydra._internal.config_loader_impl",
            "get_overrides_dirname",
            ["overrides", "exclude_keys", "item_sep", "kv_sep"],
        ),
        (
            "hydra._internal.core_plugins.basic_sweeper",
            "BasicSweeper.split_arguments",
            ["overrides", "max_batch_size"],
        ),
    ],
)
def test_hydra_still_has_what_we_call(module, name, parameters):
    try:
        thing = __import__(module, fromlist=["x"])
        for part in name.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"Hydra moved {module}.{name} ({error}): {MOVED}")
    found = list(inspect.signature(thing).parameters)
    assert found == parameters, f"Hydra's {name} takes {found} now, not {parameters}: {MOVED}"
