"""The answer first: a comparison in sentences made from its numbers."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from optbench.results.comparison import blocks, compare
from optbench.results.frame import labels, whole
from optbench.results.sensitivity import best_values, chooser, swept
from optbench.results.settings import WORKLOAD, details
from optbench.results.statistics import ALPHA, FEWEST, Measure, Values, by_setting, interval, measure, paired, seeds_for
from optbench.results.text import between

MANY = 6
"""So many names stand in a sentence; of more, the number of the others."""
SMALLEST = {True: 0.001, False: 0.01}
"""Smaller differences are nobody's question: a tenth of a per cent of accuracy, a hundredth of a loss (relative)."""

Compared = Any


def answer(frame: pd.DataFrame, table: pd.DataFrame | None = None) -> list[str]:
    """Return what a comparison found, the most important sentence first.

    The best setting with its interval and cost, what ties with it and what would settle that, by how much it beats the
    next that does not, how wide its good range of a swept number is, and what failed.

    Args:
        frame: Runs.
        table: What `compare` returns of them, if that is at hand.
    """
    frame = whole(frame)
    table = compare(frame) if table is None else table
    if WORKLOAD in table and table[WORKLOAD].nunique() > 1:
        return list(_by_workload(frame, table))
    sizes = blocks(table)
    block = table[sizes == sizes.iloc[0]]
    rows = block[block["done"] > 0]
    if rows.empty:
        return [f"No run came to its end: {_failures(table)}."]
    ranked = measure(frame)
    if f"{ranked.name}_mean" not in table:
        return [f"No run measured a {ranked.words}, so that none is ranked."]
    everything = frame
    frame = frame[blocks(frame) == sizes.iloc[0]]
    others = rows.iloc[1:]
    tied = others[others["tied"]]
    told = others[~others["tied"] & others["p"].notna()]
    sentences = [_best(rows.iloc[0], frame, ranked)]
    few = min(rows["runs"].iloc[0], others["runs"].max()) < FEWEST if len(others) else False
    if few and others["p"].isna().all() and (others["done"] == others["runs"]).any():
        sentences.append(f"With fewer than {FEWEST} seeds no interval can be given, and no difference is certain.")
    sentences += _ties(rows.iloc[0], tied, frame, ranked)
    sentences += _far(rows.iloc[0], tied, told, frame, ranked)
    sentences += _next(rows.iloc[0], told, bool(len(tied)), frame, ranked)
    sentences += _default(block, frame, ranked)
    sentences += _sensitive(rows.iloc[0], everything)
    if (table["done"] < table["runs"]).any():
        sentences.append(f"Not done, and ranked last: {_failures(table)}.")
    unknown = rows[rows["score"].isna()]
    if len(unknown):
        sentences.append(f"No mean of {names(unknown, frame)}: a run that is done measured no {ranked.words}.")
    return sentences


def _by_workload(frame: pd.DataFrame, table: pd.DataFrame) -> Iterator[str]:
    """Yield the best of each workload, of the first of many, and what is not done."""
    workloads = list(dict.fromkeys(table[WORKLOAD]))
    for workload in workloads[:MANY]:
        rows = table[table[WORKLOAD] == workload]
        runs = frame[frame[WORKLOAD] == workload]
        if not rows["done"].any():
            yield f"On {workload}: no run came to its end."
            continue
        best = rows.iloc[0]
        tied = rows.iloc[1:][rows["tied"].iloc[1:]]
        yield f"On {workload}: {_best(best, runs, measure(runs)).removeprefix('Best: ')}"
        if len(tied):
            yield f"Tied with it: {names(tied, runs)}."
    if len(workloads) > MANY:
        yield f"So for {len(workloads) - MANY} more workloads, each with ranks of its own in the table."
    if (table["done"] < table["runs"]).any():
        yield f"Not done, and ranked last: {_failures(table)}."


def name(row: Compared, frame: pd.DataFrame) -> str:
    """Return what a sentence calls a setting, such as `Adam (lr 0.001)`: by the labels that tell its block apart."""
    keys = [key for key in labels(frame) if key == "optimizer" or frame[key].nunique() > 1]
    more = details(row, keys[1:])
    return f"{row[keys[0]]}" + (f" ({', '.join(more)})" if more else "")


def names(rows: pd.DataFrame, frame: pd.DataFrame) -> str:
    """Return some settings in words, the first of many."""
    some = [name(row, frame) for _, row in rows.iloc[:MANY].iterrows()]
    return _listed(some, len(rows) - len(some))


def amount(value: float, ranked: Measure) -> str:
    """Return a value of what ranks in words: accuracies in per cent."""
    return f"{100 * value:.2f} %" if ranked.larger else f"{value:.4g}"


def points(value: float, ranked: Measure) -> str:
    """Return a difference of what ranks in words: of accuracies in points, hundredths of all."""
    return f"{100 * value:.2f} points" if ranked.larger else f"{value:.4g}"


def doubt(low: float, high: float, ranked: Measure) -> str:
    """Return an interval in brackets after its number; nothing where there is none."""
    if not math.isfinite(low):
        return ""
    return f" (95 % interval {between(low, high, ranked.scale)})"


def _best(row: Compared, frame: pd.DataFrame, ranked: Measure) -> str:
    seeds = int(row["runs"])
    lost = int(row["runs"] - row["done"])
    low = row["low"]
    high = row["high"]
    over = f"over {seeds} seeds" if seeds > 1 else "with one seed"
    over += f", {lost} of which did not come to an end and count as worst" if lost else ""
    seconds = row["train_seconds_mean"]
    cost = f", in {seconds:.3g} s of training a run" if math.isfinite(seconds) else ""
    mean = amount(row[f"{ranked.name}_mean"], ranked)
    return f"Best: {name(row, frame)}, {mean} {ranked.words}{doubt(low, high, ranked)} {over}{cost}."


def _ties(best: Compared, tied: pd.DataFrame, frame: pd.DataFrame, ranked: Measure) -> Iterator[str]:
    """Yield what cannot be told from the best, and how many seeds would tell the nearest that has a difference."""
    if tied.empty:
        return
    values = by_setting(frame, ranked)
    yield f"Tied with it: {names(tied, frame)}; the runs cannot tell them apart."
    gaps = [(row, paired(values[_setting(row, frame)], values[_setting(best, frame)])) for _, row in tied.iterrows()]
    several = [(row, gap) for row, gap in gaps if len(gap) > 1]
    least = _smallest(best, ranked)
    real = [(row, gap) for row, gap in several if abs(gap.mean()) >= least]
    if real:
        alpha = ALPHA / len(gaps)  # of the least of them, after Holm's correction
        each = [seeds_for(float(gap.std(ddof=1)), float(gap.mean()), alpha) for _, gap in real]
        seeds = max(each)
        row, gap = real[each.index(seeds)]
        seen = f"{name(row, frame)}, {points(abs(float(gap.mean())), ranked)} away"
        most = f", takes the most of the {len(real)}" if len(real) > 1 else ""
        yield f"{seeds} seeds would settle it, if the differences that were seen are real: {seen}{most}."
    small = len(several) - len(real)
    if small:
        verb = "differs" if small == 1 else "differ"
        yield f"{small} of them {verb} from it by less than {points(least, ranked)}."


def _far(best: Compared, tied: pd.DataFrame, told: pd.DataFrame, frame: pd.DataFrame, ranked: Measure) -> Iterator[str]:
    """Yield what is marked as tied with the best although it lies farther behind than something that is not."""
    if told.empty:
        return
    by = f"{ranked.name}_mean"
    first = told.iloc[0]
    far = tied[(tied[by] - best[by]).abs() > abs(first[by] - best[by])]
    if len(far):
        behind = [
            f"{name(row, frame)}, {points(abs(row[by] - best[by]), ranked)}" for _, row in far.iloc[:MANY].iterrows()
        ]
        others = f" and {len(far) - MANY} more" if len(far) > MANY else ""
        yield (
            f"A tie is no equality: behind {name(first, frame)}, which is told from the best, lie {'; '.join(behind)}"
            f"{others}, whose seeds differ too much for the test."
        )


def _next(best: Compared, told: pd.DataFrame, tied: bool, frame: pd.DataFrame, ranked: Measure) -> Iterator[str]:
    if told.empty:
        return
    row = told.iloc[0]
    gap = abs(row[f"{ranked.name}_mean"] - best[f"{ranked.name}_mean"])
    ends = (row["difference_low"], row["difference_high"])
    low, high = sorted(-end if ranked.larger else end for end in ends)
    whom = "the first that it is told from" if tied else "the next"
    yield f"It beats {whom}, {name(row, frame)}, by {points(gap, ranked)}{doubt(low, high, ranked)}."


def _default(rows: pd.DataFrame, frame: pd.DataFrame, ranked: Measure) -> Iterator[str]:
    """Yield by how much the best of a tuned study beats its own defaults, and how many gained from being tuned."""
    if "trials" not in labels(frame) or "defaults" not in set(rows["trials"]):
        return
    others = [key for key in labels(frame) if key not in ("trials", "setting")]
    gains = _gains(rows, others, frame, ranked)
    best = tuple(rows.iloc[0][key] for key in others)
    gap = gains.get(best)
    if gap is not None and len(gap):
        gained = gap.mean() >= 0
        moved = gap if gained else -gap
        size = points(float(moved.mean()), ranked)
        what = f"gained {size} over" if gained else f"lost {size} against"
        yield f"Tuning {rows.iloc[0]['optimizer']} {what} its defaults{doubt(*interval(moved), ranked)}."
    if len(gains) > 1:
        better = sum(_surely_positive(gap) for gap in gains.values())
        worse = sum(_surely_positive(-gap) for gap in gains.values())
        yield f"Of {len(gains)} contenders {better} gained by tuning and {worse} lost, as far as their intervals tell."


def _gains(
    rows: pd.DataFrame, keys: Sequence[str], frame: pd.DataFrame, ranked: Measure
) -> dict[tuple[Any, ...], Values]:
    """Return by how much each tuned setting is better than its defaults, seed by seed, by its labels."""
    values = by_setting(frame, ranked, worst=True)
    sign = 1 if ranked.larger else -1
    gains = {}
    for who, own in rows.groupby(list(keys), sort=False):
        is_default = own["trials"] == "defaults"
        tuned = own[~is_default]
        default = own[is_default]
        if len(tuned) and len(default):
            ours = values[_setting(tuned.iloc[0], frame)]
            theirs = values[_setting(default.iloc[0], frame)]
            gains[who] = sign * paired(ours, theirs)
    return gains


def _surely_positive(gap: Values) -> bool:
    """Return whether differences lie above zero as far as their interval tells, or the other one failed."""
    if np.isposinf(gap).any():
        return not np.isneginf(gap).any()
    return interval(gap)[0] > 0


def _sensitive(best: Compared, frame: pd.DataFrame) -> Iterator[str]:
    """Yield how wide the good range of each swept number is for the best setting's optimizer, and edges."""
    for by in swept(frame):
        found = best_values(frame, by)
        keys = [key for key in labels(frame) if key != by]
        mine = found[(found[keys] == best[keys]).all(axis=1)]
        if mine.empty or mine[by].isna().all():
            continue
        row = mine.iloc[0]
        known = found[found[by].notna()]
        if len(known) > 1:
            chosen = chooser(frame)
            each = [
                f"{_entry(one, keys)} {one[by]:g} ({amount(one[chosen.name], chosen)})" for _, one in known.iterrows()
            ]
            yield f"The best {by} of each by its {chosen.words}: {_listed(each[:MANY], len(each) - MANY)}."
        wide = f"from {row['low']:g} to {row['high']:g}" if row["high"] > row["low"] else f"at {row[by]:g} alone"
        yield f"Of the {row['values']} values of {by} that were tried it is within 5 % of its best {wide}."
        edges = found[found["edge"] & found[by].notna()]
        if len(edges):
            some = _listed(list(dict.fromkeys(edges["optimizer"]))[:MANY], 0)
            yield f"The best {by} lies at the edge of the range for {some}: a wider one may be better."


def _entry(row: Compared, keys: Sequence[str]) -> str:
    """Return what a row of best values is called, by its labels."""
    return ", ".join([str(row[keys[0]]), *details(row, keys[1:])])


def _failures(table: pd.DataFrame) -> str:
    keys = list(table.columns[: table.columns.get_loc("runs")])
    rows = table[table["done"] < table["runs"]]
    some = [
        f"{' '.join([str(row[keys[0]]), *details(row, keys[1:])])} "
        f"({row['runs'] - row['done']} of {row['runs']} {row['reasons']})"
        for _, row in rows.iloc[:MANY].iterrows()
    ]
    return _listed(some, len(rows) - len(some))


def _smallest(best: Compared, ranked: Measure) -> float:
    """Return the smallest difference that a sentence speaks of."""
    share = SMALLEST[ranked.larger]
    return share if ranked.larger else share * abs(float(best[f"{ranked.name}_mean"]))


def _setting(row: Compared, frame: pd.DataFrame) -> tuple[Any, ...]:
    return tuple(row[key] for key in labels(frame))


def _listed(some: Sequence[str], more: int) -> str:
    if more > 0:
        return f"{', '.join(some)} and {more} more"
    return " and ".join(filter(None, [", ".join(some[:-1]), some[-1] if some else ""]))
