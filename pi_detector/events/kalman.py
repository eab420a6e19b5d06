"""A Kalman filter of many boxes at once, for frames that come at any interval.

R. E. Kalman, "A New Approach to Linear Filtering and Prediction Problems", 1960; as a model of
boxes after A. Bewley et al., "Simple Online and Realtime Tracking" (SORT), 2016,
https://arxiv.org/abs/1602.00763, and Y. Zhang et al., "ByteTrack", 2022,
https://arxiv.org/abs/2110.06864.

Each of a box's centre x, centre y, width and height moves at a constant velocity that white noise
accelerates. In that model the four do not depend on each other, so the filter of eight states is
four filters of two (position, velocity), and all of them are computed together, without a matrix.
All noise grows with the size of the box: what is near moves more pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# In sizes of the box, the square root of its area; by centre x, centre y, width, height.
_MEASURED = np.array([0.09, 0.09, 0.1, 0.1])  # standard deviation of a detector's box
_VELOCITY = np.array([1.0, 1.0, 0.3, 0.3])  # of a new object's velocity, a second
_ACCELERATION = np.array([2.0, 2.0, 0.2, 0.2])  # density of the noise, a second to the power 1.5


class KalmanBoxes:
    """Where boxes are and how they move: one row a box.

    Attributes:
        mean: (T, 4, 2) position and velocity (a second) of centre x, centre y, width and height,
            in pixels.
        covariance: (T, 4, 3) variance of the position, covariance of the two, variance of the
            velocity.
    """

    def __init__(self) -> None:
        self.mean: Array = np.zeros((0, 4, 2))
        self.covariance: Array = np.zeros((0, 4, 3))

    def __len__(self) -> int:
        return len(self.mean)

    def add(self, xyxy: Array) -> None:
        """Append boxes (K, 4) ``x1, y1, x2, y2`` whose velocity is not known."""
        measured = centred(xyxy)
        size = _size(measured)
        mean = np.stack([measured, np.zeros_like(measured)], axis=2)
        covariance = np.zeros((len(xyxy), 4, 3))
        covariance[..., 0] = (_MEASURED * size) ** 2
        covariance[..., 2] = (_VELOCITY * size) ** 2
        self.mean = np.concatenate([self.mean, mean])
        self.covariance = np.concatenate([self.covariance, covariance])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget the rows where the mask is False."""
        self.mean = self.mean[rows]
        self.covariance = self.covariance[rows]

    def predict(self, dt_s: Array) -> None:
        """Let time pass: ``dt_s`` (T,) seconds for each box."""
        dt = dt_s[:, None]
        noise = (_ACCELERATION * _size(self.mean[..., 0])) ** 2
        self.mean[..., 0] += dt * self.mean[..., 1]
        self.mean[:, 2:, 0] = np.maximum(self.mean[:, 2:, 0], 1.0)
        position, both, velocity = (self.covariance[..., i] for i in range(3))
        position += dt * (2 * both + dt * velocity) + noise * dt**3 / 3
        both += dt * velocity + noise * dt**2 / 2
        velocity += noise * dt

    def update(self, rows: NDArray[np.int64], xyxy: Array) -> None:
        """Take measured boxes (K, 4) ``x1, y1, x2, y2`` of the given rows (K,)."""
        measured = centred(xyxy)
        position, both, velocity = (self.covariance[rows, :, i] for i in range(3))
        variance = position + (_MEASURED * _size(measured)) ** 2
        gain, gain_velocity = position / variance, both / variance
        surprise = measured - self.mean[rows, :, 0]
        self.mean[rows, :, 0] += gain * surprise
        self.mean[rows, :, 1] += gain_velocity * surprise
        self.covariance[rows, :, 0] = position * (1 - gain)
        self.covariance[rows, :, 1] = both * (1 - gain)
        self.covariance[rows, :, 2] = velocity - gain_velocity * both

    def xyxy(self) -> Array:
        """Where the boxes are: (T, 4) ``x1, y1, x2, y2`` in pixels."""
        centre, half = self.mean[:, :2, 0], self.mean[:, 2:, 0] / 2
        return np.concatenate([centre - half, centre + half], axis=1)

    def spread(self) -> Array:
        """Standard deviation of the centres, (T, 2) in pixels."""
        return np.sqrt(self.covariance[:, :2, 0])


def centred(xyxy: Array) -> Array:
    """Corners (K, 4) as centre x, centre y, width, height."""
    corner, opposite = xyxy[:, :2], xyxy[:, 2:]
    return np.concatenate([(corner + opposite) / 2, opposite - corner], axis=1)


def _size(centred_boxes: Array) -> Array:
    """(K, 1): the square root of the area of (K, 4), at least a pixel."""
    sides = np.maximum(centred_boxes[:, 2:], 1.0)
    size: Array = np.sqrt(sides[:, :1] * sides[:, 1:])
    return size
