"""The performance profile: on how many workloads each contender is nearly as fast as the fastest."""

import numpy as np
from matplotlib.figure import Figure

from optbench.checks import UserError
from optbench.plots import style
from optbench.plots.panels import entitle
from optbench.results import Results, performance_profile, workload_scores, workload_times

TAUS = np.linspace(1, 4, 301)
MOST = 12
"""Lines that have a colour and a name; the others are grey."""


def profile(results: Results, title: str) -> Figure:
    """Return the share of workloads whose target each contender reached within tau times the fastest's time.

    Raises:
        UserError: No run belongs to a workload that states a target.
    """
    times = workload_times(results)
    if times.empty:
        raise UserError("no run belongs to a workload that states a target; sweep with workloads=[...]")
    scores, shares = workload_scores(times), performance_profile(times, TAUS)
    figure = Figure(figsize=(7.5, 4.2))
    ax = figure.subplots()
    for place, name in reversed(list(enumerate(scores.index))):
        look = style.look(str(name).partition(",")[0])
        default = str(name).endswith("defaults")
        label = f"{name}: {scores.loc[name, 'score']:.2f}" if place < MOST else None
        colour, width = (look.colour, 1.6) if place < MOST else ("0.85", 0.8)
        style_of = "--" if default else "-"
        ax.step(TAUS, 100 * shares[name], where="post", ls=style_of, color=colour, lw=width, label=label)
    ax.set(xlim=(1, 4), ylim=(-2, 102), xlabel="tau: times the gradient evaluations of the fastest")
    ax.set_ylabel("workloads solved, %")
    handles, names = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5), title="score", frameon=False)
    caption = (
        f"Share of the {scores['workloads'].iloc[0]} workloads whose target was reached, in the median over the seeds, "
        "within tau times the gradient evaluations of the fastest. The score is the area below, from 0 to 1."
    )
    entitle(figure, title, caption)
    return figure
