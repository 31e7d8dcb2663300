"""The family tree: no child is older than a parent, and all is drawn."""

import pandas as pd

from optbench.certificates.properties import reference
from optbench.optimizers import CLASSES
from optbench.plots import style
from optbench.plots.family import family


def test_no_rule_is_older_than_what_it_extends():
    years = {name: reference(cls)["year"] for name, cls in CLASSES.items()}
    older = [
        (name, years[name], parent, years[parent])
        for name, cls in CLASSES.items()
        for parent in cls.extends
        if parent in years and years[name] < years[parent]
    ]
    assert not older


def test_every_rule_is_drawn(tmp_path):
    rows = [{"class": name, "year": reference(cls)["year"], "extends": cls.extends} for name, cls in CLASSES.items()]
    with style.context():
        figure = family(pd.DataFrame(rows))
        style.save(figure, tmp_path / "family", ["png"])
    shown = {text.get_text().strip() for text in figure.axes[0].texts}
    assert CLASSES.keys() <= shown
