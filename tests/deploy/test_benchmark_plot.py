"""The plot of the comparison."""

from benchmarks.comparison import BARE, COLUMNS, OURS, Comparison, Entry
from benchmarks.plot import draw
from pi_detector.bench.machine import machine_of, observe
from pi_detector.bench.results import figure_of
from pi_detector.core.clock import utc_now


def test_the_same_figures_give_the_same_plot_of_what_was_measured(tmp_path):
    now = observe()
    figures = {name: figure_of([20.0, 21.0]) for name in COLUMNS}
    entries = [Entry(OURS, figures), Entry(BARE, figures), Entry("absent", {})]
    measured = Comparison(
        utc_now(), machine_of(now, now), [], "clip.mp4", 1, 2, 30, 10.0, entries
    )  # fmt: skip
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    draw(measured, one)
    draw(measured, other)
    assert one.read_bytes() == other.read_bytes()
    assert OURS in one.read_text()
    assert "absent" not in one.read_text()
