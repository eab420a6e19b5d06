"""Conclusions from figures: which model to take, and whether training with quantization pays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deploy.evaluation.bootstrap import Matches, difference
from deploy.evaluation.interval import Interval
from deploy.report.content import Choice, Comparison, Row

WITHIN = 0.01
"""Of the best AP50: what a choice may lose for speed."""


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """The models that none beats in both AP50 and time, fastest first."""
    timed = [row for row in rows if row.candidate and row.time is not None]
    return front(timed, lambda row: row.time.ratio, lambda row: row.metrics.ap50)


def front(
    rows: Sequence[Row], cost: Callable[[Row], float], value: Callable[[Row], float]
) -> list[Row]:
    """The rows that none beats in both cost and value, cheapest first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda r: (cost(r), -value(r))):
        if not best or value(row) > value(best[-1]):
            best.append(row)
    return best


def choose(rows: Sequence[Row]) -> Choice:
    """The fastest of the models within a point of the best AP50.

    Models whose time lies within the fastest's quartiles count as fast as it; of them it is the one
    with the largest AP50, then the smaller one.
    """
    candidates = [row for row in rows if row.candidate]
    best = max(row.metrics.ap50 for row in candidates)
    close = [row for row in candidates if row.metrics.ap50 >= best - WITHIN]
    timed = [row for row in close if row.time is not None]
    if not timed:
        chosen = min(close, key=lambda r: (r.bytes, -r.metrics.ap50))
        reason = f"Take {chosen.name}: nothing was timed, and it is the smallest of"
        return Choice(chosen.name, [], f"{reason} {_models(len(close))} of the best AP50.")
    fastest = min(timed, key=lambda r: r.time.ratio)
    equal = [row for row in timed if row.time.ratio <= fastest.time.high]
    chosen = max(equal, key=lambda r: (r.metrics.ap50, -r.bytes))
    front = [row.name for row in pareto_front(rows)]
    return Choice(chosen.name, front, _reason(chosen, rows[0], len(timed), len(equal)))


def _models(count: int) -> str:
    points = f"within {100 * WITHIN:g} point"
    return f"the {count} models {points}" if count > 1 else f"the only model {points}"


def _reason(chosen: Row, base: Row, close: int, equal: int) -> str:
    if close == 1:
        lead = (
            f"Take {chosen.name}: no other model comes within {100 * WITHIN:g} point of its AP50."
        )
    elif equal == 1:
        lead = f"Take {chosen.name}: it is the fastest of {_models(close)} of the best AP50."
    else:
        lead = (
            f"Take {chosen.name}: of {_models(close)} of the best AP50, {equal} are equally fast "
            "as far as the rounds show, and of these it has the largest AP50."
        )
    if chosen is base:
        return f"{lead} Quantization gains no speed here that its loss would be worth."
    size = f"{chosen.bytes / base.bytes:.2f} of its size"
    return f"{lead} It takes {chosen.time.ratio:.2f} of float32's time and {size}. {loss(chosen)}"


def loss(row: Row) -> str:
    """A sentence: what a model loses to float32."""
    drop = row.ap50_drop
    span = f"95 % interval {drop.low:.2f} to {drop.high:.2f}"
    if not drop.shown:
        return f"No loss of AP50 can be shown ({drop.points:.2f} points, {span})."
    if drop.points < 0:
        span = f"95 % interval {-drop.high:.2f} to {-drop.low:.2f}"
        return f"It gains {-drop.points:.2f} points of AP50 ({span})."
    return f"It loses {drop.points:.2f} points of AP50 ({span})."


def compare_training(
    rows: Sequence[Row], matches: Mapping[str, Matches]
) -> tuple[list[Comparison], str]:
    """Each model trained with quantization against its like that was not.

    Its like is the best one, by AP50, of the same types without such training.

    Returns:
        The comparisons; and a sentence for where there are none.
    """
    comparisons = []
    for row in (r for r in rows if r.qat and r.measured):
        likes = [r for r in rows if r.measured and r.kind == "recipe" and not r.qat]
        likes = [r for r in likes if r.types == row.types]
        if not likes:
            continue
        like = max(likes, key=lambda r: r.metrics.ap50)
        gain = difference(matches[row.name], matches[like.name])
        comparisons.append(Comparison(row.name, like.name, gain, verdict(row, like, gain)))
    if comparisons:
        return comparisons, ""
    return [], "No model that was trained with quantization was measured beside one that was not."


def verdict(qat: Row, ptq: Row, gain: Interval) -> str:
    """A sentence on a comparison, which says no more than its interval shows."""
    figures = (
        f"{gain.points:+.2f} points of AP50 (95 % interval {gain.low:+.2f} to {gain.high:+.2f})"
    )
    if not gain.shown:
        return (
            f"{qat.name} against {ptq.name}: {figures}. No difference can be shown with these "
            "photos: the training is not worth its time unless more photos say otherwise."
        )
    if gain.points > 0:
        return f"{qat.name} against {ptq.name}: {figures}. The training pays."
    return f"{qat.name} against {ptq.name}: {figures}. The training did harm."
