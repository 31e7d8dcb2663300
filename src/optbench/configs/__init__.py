"""What a config names and what it makes: the folders of configs, their targets, and the errors of both in one line."""

from optbench.configs.defaults import at, filled, flatten, resolve, values, with_defaults
from optbench.configs.errors import explain, quoted
from optbench.configs.foreign import content, foreign
from optbench.configs.known import (
    CONF,
    FIGURES,
    GROUPS,
    LISTED,
    fields,
    files,
    groups,
    refuse_twins,
    settable,
    split_folders,
    targets,
)
from optbench.configs.loading import dataset, key, load
from optbench.configs.making import build_model, build_schedule, construct, located, plain, rule
from optbench.configs.place import directory, enter
from optbench.configs.trust import trusted

__all__ = [
    "CONF",
    "FIGURES",
    "GROUPS",
    "LISTED",
    "at",
    "build_model",
    "build_schedule",
    "construct",
    "content",
    "dataset",
    "directory",
    "enter",
    "explain",
    "fields",
    "files",
    "filled",
    "flatten",
    "foreign",
    "groups",
    "key",
    "load",
    "located",
    "plain",
    "quoted",
    "refuse_twins",
    "resolve",
    "rule",
    "settable",
    "split_folders",
    "targets",
    "trusted",
    "values",
    "with_defaults",
]
