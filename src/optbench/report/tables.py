"""The tables below a report's comparison, as text for readers."""

import math

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
    shown = best[[name for name in best.columns[: list(best.columns).index(by)]]].map(written)
    edges = [" (edge of the range)" if edge else "" for edge in best["edge"]]
    shown[f"best {by}"] = [("–" if math.isnan(x) else f"{x:.3g}") + e for x, e in zip(best[by], edges, strict=True)]
    shown["values tried"] = best["values"].astype(str)
    for name in [name for name in best.columns if str(name).startswith("final_")]:
        scale, unit = (100, ", %") if name.endswith("accuracy") else (1, "")
        heading = name.removeprefix("final_").replace("_", " ") + unit
        shown[heading] = ["–" if math.isnan(x) else f"{scale * x:.4g}".replace("inf", "∞") for x in best[name]]
    ends = zip(best["low"], best["high"], strict=True)
    shown["within 5 % of the best"] = ["–" if math.isnan(a) else f"{a:.3g} to {b:.3g}" for a, b in ends]
    return shown


def winner_table(tried: Results) -> pd.DataFrame:
    """Return what each contender's trials came to, as text for readers."""
    best = outcome.winners(tried)
    one = best["unit"].nunique() == 1
    scaled = best["error"] * best["unit"].map({"loss": 1.0, "error, %": 100.0})
    numbers = ["–" if math.isnan(error) else f"{error:.4g}" for error in scaled]
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
