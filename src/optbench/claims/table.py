"""The document's table of properties, beside what is measured."""

from collections.abc import Mapping
from typing import Any

from optbench.certificates.properties import properties
from optbench.claims.claim import Finding, claim

COLUMNS = ("adapts_learning_rate", "uses_momentum", "needs_learning_rate", "suits_sparse_gradients")
TABLE = {
    "adagrad": (True, False, True, True),
    "adadelta": (True, False, False, False),
    "rmsprop": (True, False, True, False),
    "adam": (True, True, True, True),
    "nag": (False, True, True, False),
}
"""As document 000 has it, by the names of our configs."""
CLASSES = {"adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop", "adam": "Adam", "nag": "NAG"}


def contested(row: Mapping[str, Any]) -> list[str]:
    """Return the columns of an optimizer's measured properties in which the document has the contrary."""
    said = dict(zip(COLUMNS, TABLE.get(row["name"], ()), strict=False))
    return [column for column, value in said.items() if row[column] != value]


@claim("000")
def property_table() -> Finding:
    """Its table of what adapts rates, uses momentum, needs a rate and suits sparse data is right."""
    wrong = []
    for name, cls in CLASSES.items():
        row = {"name": name} | properties({"_target_": f"optbench.optimizers.{cls}", "_partial_": True})
        wrong += [f"{cls}: {column.replace('_', ' ')} {str(row[column]).lower()}" for column in contested(row)]
    cells = len(TABLE) * len(COLUMNS)
    measured = f"of {cells} cells {cells - len(wrong)} are measured as they stand there"
    return Finding("fails" if wrong else "holds", measured, f"not {'; '.join(wrong)}" if wrong else "")
