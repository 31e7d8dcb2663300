"""What a config names and what it makes: the folders of configs, their targets, and the errors of both in one line."""

from optbench.configs.defaults import (
    at as at,
    filled as filled,
    flatten as flatten,
    resolve as resolve,
    values as values,
    with_defaults as with_defaults,
)
from optbench.configs.errors import explain as explain, quoted as quoted
from optbench.configs.foreign import content as content, foreign as foreign
from optbench.configs.known import (
    CONF as CONF,
    FIGURES as FIGURES,
    GROUPS as GROUPS,
    LISTED as LISTED,
    fields as fields,
    files as files,
    groups as groups,
    refuse_twins as refuse_twins,
    settable as settable,
    split_folders as split_folders,
    targets as targets,
)
from optbench.configs.loading import dataset as dataset, key as key, load as load
from optbench.configs.making import (
    build_model as build_model,
    build_schedule as build_schedule,
    construct as construct,
    located as located,
    plain as plain,
    rule as rule,
)
from optbench.configs.place import directory as directory, enter as enter
from optbench.configs.trust import trusted as trusted
