"""The tables below a report's comparison, as text for readers."""

import math
from functools import partial

import pandas as pd

from optbench.results import Results
from optbench.results.clocks import CLOCK, WORDS
from optbench.results.sensitivity import best_values, swept
from optbench.results.settings import written
from optbench.results.workloads import score_table, time_table
from optbench.tuning import outcome


def workload_tables(times: pd.DataFrame, scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what holds over all workloads, as text, by the headings; nothing where there are none."""
    if scores.empty:
        return {}
    return {"Over all workloads": score_table(scores), f"To each target, in {WORDS[CLOCK]}": time_table(times)}


def best_tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table of each optimizer's best value, as text, for every number that was swept, by its heading."""
    return {f"The best {by} of each optimizer": best_table(best_values(frame, by), by) for by in swept(frame)}


def best_table(best: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return what `best_values` returned as text for readers."""
    names = [str(name) for name in best.columns]
    shown = best[names[: names.index(by)]].map(written)
    edges = best["edge"].map({True: " (edge of the range)", False: ""})
    shown[f"best {by}"] = best[by].map(partial(_number, digits=3)) + edges
    shown["values tried"] = best["values"].astype(str)
    for name in names:
        if name.startswith("final_"):
            percent = name.endswith("accuracy")
            heading = name.removeprefix("final_").replace("_", " ")
            shown[f"{heading}, %" if percent else heading] = (best[name] * (100 if percent else 1)).map(_number)
    ends = zip(best["low"], best["high"], strict=True)
    shown["within 5 % of the best"] = ["–" if math.isnan(low) else f"{low:.3g} to {high:.3g}" for low, high in ends]
    return shown


def _number(value: float, digits: int = 4) -> str:
    """Return a number as text, with a dash for one that is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}g}".replace("inf", "∞")


def winner_table(tried: Results) -> pd.DataFrame:
    """Return what each contender's trials came to, as text for readers."""
    best = outcome.winners(tried)
    one = best["unit"].nunique() == 1
    numbers = [_number(error) for error in outcome.in_units(best)["error"]]
    texts = numbers if one else [f"{number} ({unit})" for number, unit in zip(numbers, best["unit"], strict=True)]
    return pd.DataFrame(
        {
            "contender": best["contender"],
            "trials": best["trials"].map(written),
            "done": best["done"].map(written),
            "diverged": best["diverged"].map(written),
            "chosen": best["setting"],
            f"validation {best['unit'].iloc[0]}" if one else "validation error or loss": texts,
            "at the edge": best["edges"].replace("", "–"),
        }
    )
