import numpy as np
import pytest
import tensorflow as tf

from vision.layers import MaxPool


@pytest.mark.parametrize('height, width, stride', [(7, 8, 1), (7, 8, 2), (2, 1, 2)])
def test_the_largest_value_of_each_window(height, width, stride):
    x = np.random.default_rng(1).normal(size=[2, height, width, 3]).astype(np.float32)
    y = MaxPool(3, stride)(x).numpy()
    assert y.shape == (2, -(-height // stride), -(-width // stride), 3)

    def start(index: int, size: int) -> int:
        padding = max((-(-size // stride) - 1) * stride + 3 - size, 0)
        return index * stride - padding // 2

    for row, column in np.ndindex(y.shape[1:3]):
        top, left = start(row, height), start(column, width)
        window = x[:, max(top, 0) : top + 3, max(left, 0) : left + 3]
        np.testing.assert_array_equal(y[:, row, column], window.max((1, 2)))


@pytest.mark.parametrize(
    'height, width, window, stride', [(7, 8, 2, 2), (7, 8, 3, 2), (5, 4, 2, 1)]
)
def test_without_padding_only_whole_windows_count(height, width, window, stride):
    x = np.random.default_rng(1).normal(size=[2, height, width, 3]).astype(np.float32)
    y = MaxPool(window, stride, 'VALID')(x).numpy()
    shape = ((height - window) // stride + 1, (width - window) // stride + 1)
    assert y.shape == (2, *shape, 3)
    for row, column in np.ndindex(shape):
        top, left = row * stride, column * stride
        whole = x[:, top : top + window, left : left + window]
        np.testing.assert_array_equal(y[:, row, column], whole.max((1, 2)))


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_keeps_the_type(dtype):
    assert MaxPool(3, 2)(tf.zeros([1, 8, 8, 2], dtype)).dtype == dtype
