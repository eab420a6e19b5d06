"""From a frame to the model's input."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pi_detector.core.frame import Frame
from pi_detector.detector.preprocess import InputCoding, scale_to_input
from pi_detector.detector.preprocess import staged_input as staged_image
from pi_detector.detector.tensors import TensorInfo
from pi_detector.errors import BadModelError

BYTES = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)


def info(dtype, scale=0.0, zero_point=0):
    return TensorInfo(0, "image", (1, 16, 16, 3), np.dtype(dtype), scale, zero_point)


def coded(tensor, mean=None, deviation=None):
    view = np.zeros(tensor.shape, tensor.dtype)
    InputCoding(tensor, mean, deviation).fill(BYTES, view)
    return view.reshape(256, 3)[:, 0]


def frame(height, width, model_input=None):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image.setflags(write=False)
    return Frame(image, 0, 0, datetime.now(UTC), "test", model_input)


@pytest.mark.parametrize(
    ("tensor", "mean"),
    [
        (info(np.int8, 1 / 128), 128.0),
        (info(np.int8, 1 / 128), None),
        (info(np.int8), None),
        (info(np.int16, 1 / 128), 128.0),
        (info(np.int16), None),
    ],
)
def test_signed_integers_take_the_byte_less_128(tensor, mean):
    assert coded(tensor, mean, mean).tolist() == list(range(-128, 128))


@pytest.mark.parametrize("mean", [None, 128.0])
def test_uint8_takes_the_byte(mean):
    assert coded(info(np.uint8, 1 / 128, 128), mean, mean).tolist() == list(range(256))


def test_float_is_minus_one_to_one_unless_the_manifest_says_otherwise():
    assert coded(info(np.float32))[[0, 255]].tolist() == [-1.0, 1.0]
    assert coded(info(np.float32), 0.0, 255.0)[[0, 255]].tolist() == [0.0, 1.0]


def test_another_quantization_is_honoured():
    tensor = info(np.int8, 0.0074, -6)
    real = tensor.dequantize(coded(tensor, 128.0, 128.0))
    expected = (np.arange(256) - 128) / 128
    inside = (expected > -0.9) & (expected < 0.98)
    np.testing.assert_allclose(real[inside], expected[inside], atol=0.0038)
    assert coded(tensor, 128.0, 128.0)[0] == -128


def test_an_unknown_type_is_refused():
    with pytest.raises(BadModelError, match="int32"):
        InputCoding(info(np.int32, 0.1), None, None)


def test_stretches_to_the_input():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:, 0] = 200
    out = np.empty((20, 20, 3), np.uint8)
    scale_to_input(image, out)
    assert (out[:, :9] == 0).all()
    assert (out[:, 11:, 0] == 200).all()
    assert (out[:, :, 1:] == 0).all()


def staged_input(frame, size):
    return staged_image(frame.image, size, frame.model_input)


def test_takes_what_the_camera_scaled():
    ready = np.zeros((30, 30, 3), np.uint8)
    assert staged_input(frame(60, 80, ready), (30, 30)) is ready


def test_scales_when_what_the_camera_scaled_has_another_size():
    staged = staged_input(frame(60, 80, np.zeros((32, 32, 3), np.uint8)), (30, 30))
    assert staged.shape == (30, 30, 3)
    assert staged.any()


def test_a_frame_of_the_right_size_is_not_copied():
    exact = frame(30, 30)
    assert staged_input(exact, (30, 30)) is exact.image


def test_each_frame_has_a_buffer_of_its_own():
    first, second = (staged_input(frame(60, 80), (30, 30)) for _ in range(2))
    assert not np.shares_memory(first, second)
