from __future__ import annotations

import numpy as np
import pytest

from pi_detector.events.kalman import _ACCELERATION as ACCELERATION
from pi_detector.events.kalman import _MEASURED as MEASURED
from pi_detector.events.kalman import _VELOCITY as VELOCITY
from pi_detector.events.kalman import KalmanBoxes, centred


def textbook(boxes: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The filter with its matrices of eight by eight, for one object."""

    def size(state: np.ndarray) -> float:
        return float(np.sqrt(max(state[2], 1) * max(state[3], 1)))

    first = centred(boxes[:1])[0]
    state = np.concatenate([first, np.zeros(4)])
    covariance = np.diag(np.concatenate([MEASURED, VELOCITY]) * size(first)) ** 2
    sees = np.eye(4, 8)
    for box, dt in zip(boxes[1:], steps, strict=True):
        goes = np.eye(8) + dt * np.eye(8, k=4)
        density = np.diag((ACCELERATION * size(state)) ** 2)
        noise = np.block(
            [[density * dt**3 / 3, density * dt**2 / 2], [density * dt**2 / 2, density * dt]]
        )
        state, covariance = goes @ state, goes @ covariance @ goes.T + noise
        measured = centred(box[None])[0]
        variance = sees @ covariance @ sees.T + np.diag((MEASURED * size(measured)) ** 2)
        gain = covariance @ sees.T @ np.linalg.inv(variance)
        state = state + gain @ (measured - sees @ state)
        covariance = (np.eye(8) - gain @ sees) @ covariance
    return state, covariance


def test_it_is_the_filter_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([10.0, 20, 60, 140]) + np.cumsum(rng.normal(2, 4, (30, 4)), axis=0)
    steps = rng.choice([0.0, 0.033, 0.1, 0.5], 29)
    ours = KalmanBoxes()
    ours.add(boxes[:1])
    for box, dt in zip(boxes[1:], steps, strict=True):
        ours.predict(np.array([dt]))
        ours.update(np.array([0]), box[None])
    state, covariance = textbook(boxes, steps)
    assert np.allclose(ours.mean[0, :, 0], state[:4])
    assert np.allclose(ours.mean[0, :, 1], state[4:])
    assert np.allclose(ours.covariance[0, :, 0], np.diag(covariance)[:4])
    assert np.allclose(ours.covariance[0, :, 1], np.diag(covariance[:4, 4:]))
    assert np.allclose(ours.covariance[0, :, 2], np.diag(covariance)[4:])


@pytest.mark.parametrize("fps", [2, 5, 30])
def test_it_learns_a_velocity_at_any_frame_rate(fps: int) -> None:
    ours = KalmanBoxes()
    ours.add(np.array([[0.0, 0, 50, 100]]))
    for number in range(1, 5 * fps):
        ours.predict(np.array([1 / fps]))
        x = 40 * number / fps
        ours.update(np.array([0]), np.array([[x, 0, x + 50, 100]]))
    assert ours.mean[0, 0, 1] == pytest.approx(40, rel=0.05)
    assert ours.mean[0, 1, 1] == pytest.approx(0, abs=1)


def test_uncertainty_grows_with_the_time_unseen() -> None:
    ours = KalmanBoxes()
    ours.add(np.array([[0.0, 0, 50, 100]]))
    before = ours.spread()
    ours.predict(np.array([0.0]))
    assert np.allclose(ours.spread(), before)
    ours.predict(np.array([0.5]))
    assert (ours.spread() > before).all()


def test_rows_come_and_go() -> None:
    ours = KalmanBoxes()
    ours.add(np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]))
    ours.keep(np.array([True, False, True]))
    assert len(ours) == 2
    assert ours.xyxy().tolist() == [[0, 0, 10, 10], [40, 0, 50, 10]]


def test_a_box_that_shrinks_stays_a_box() -> None:
    ours = KalmanBoxes()
    ours.add(np.array([[0.0, 0, 10, 10]]))
    ours.mean[0, 2:, 1] = -100
    ours.predict(np.array([3.0]))
    assert (ours.xyxy()[:, 2:] > ours.xyxy()[:, :2]).all()
