from __future__ import annotations

from pi_detector.bench.choose import choose
from pi_detector.bench.results import Case, figure_of


def case(
    threads: int, fps: float, invoke_ms: float, cpu_ms: float, runtime: str = "litert", spread=0.01
) -> Case:
    figures = {"pipeline_fps": fps, "invoke_ms": invoke_ms, "pipeline_cpu_ms": cpu_ms}
    return Case(
        "street",
        "",
        runtime,
        threads,
        640,
        480,
        {
            name: figure_of([value * (1 - spread), value, value * (1 + spread)])
            for name, value in figures.items()
        },
    )


ONE, TWO, FOUR = case(1, 5, 190, 195), case(2, 9, 100, 210), case(4, 14, 60, 260)


def test_each_objective_has_its_winner() -> None:
    cases = [ONE, TWO, FOUR]
    assert choose(cases, "throughput").case is FOUR
    assert choose(cases, "latency").case is FOUR
    assert choose(cases, "efficiency", 3).case is ONE
    assert choose(cases, "efficiency", 6).case is TWO


def test_where_nothing_is_fast_enough_the_fastest_is_taken_and_that_is_told() -> None:
    choice = choose([ONE, TWO, FOUR], "efficiency", 20)
    assert choice.case is FOUR
    assert not choice.fast_enough


def test_fewer_threads_win_within_the_noise() -> None:
    three = case(3, 13.7, 61, 240)
    choice = choose([ONE, TWO, three, FOUR], "throughput")
    assert choice.case is three
    assert choice.best is FOUR
    restless = case(3, 12, 61, 240, spread=0.5)
    assert choose([ONE, TWO, restless, FOUR], "throughput").case is restless


def test_the_preferred_runtime_wins_a_draw() -> None:
    other = case(4, 14.1, 60, 260, runtime="tflite")
    assert choose([FOUR, other], "throughput").case is FOUR
    assert choose([FOUR, case(4, 20, 60, 260, runtime="tflite")], "throughput").case.runtime == (
        "tflite"
    )
