"""Runs in turns, and what is made of their figures: medians, and ratios within one turn, so that a slow minute of the machine meets both
sides. It must not know what is run."""

from statistics import median


def in_turns(contestants: dict, n_repeats: int) -> dict:
    """Figures of every repeat by contestant; each repeat begins with another one."""
    figures = {name: [] for name in contestants}
    names = list(contestants)
    for repeat in range(n_repeats):
        start = repeat % len(names)
        for name in names[start:] + names[:start]:
            figures[name].append(contestants[name]())
    return figures


def ratio(numerators: list, denominators: list, figure: str) -> float:
    return median(n[figure] / d[figure] for n, d in zip(numerators, denominators, strict=True))


def middle(runs: list, figure: str) -> float:
    return median(run[figure] for run in runs)


def stage_seconds(job: dict) -> dict:
    # A stage shorter than a millisecond is told as 0.
    return {stage["name"]: max(stage["duration_ms"], 1) / 1000 for stage in job["stages"]}
