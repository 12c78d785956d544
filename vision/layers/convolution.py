"""Convolutions, and blocks of a convolution, batch norm and activation."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from vision.layers.activations import relu
from vision.layers.initializers import (
    Initializer,
    centered_he_normal,
    glorot_uniform,
    he_normal,
)
from vision.layers.modes import Mode
from vision.layers.normalization import BatchNorm

Activation = Callable[[tf.Tensor], tf.Tensor]


class _Convolution(tf.Module):
    """What all kinds of convolutions have: a kernel, a bias, a stride and a padding."""

    def __init__(
        self,
        kernel: tf.Tensor,
        out_channels: int,
        stride: int,
        padding: str | int,
        bias: bool,
        dtype: tf.DType,
        name: str | None,
    ):
        super().__init__(name=name)
        self.kernel = tf.Variable(kernel, name='kernel')
        self.bias = tf.Variable(tf.zeros(out_channels), name='bias') if bias else None
        self.stride = stride
        self.padding: str | list[list[int]] = (
            padding
            if isinstance(padding, str)
            else [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        )
        self.dtype = dtype

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        y = self._convolve(x, tf.cast(self.kernel, self.dtype))
        if self.bias is None:
            return y
        return tf.nn.bias_add(y, tf.cast(self.bias, self.dtype))

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError


class Conv2D(_Convolution):
    """Two-dimensional convolution: `[B, H, W, in]` → `[B, H', W', out]` in `dtype`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel in pixels.
        stride: step of the kernel in pixels, the same in both directions.
        padding: 'SAME', 'VALID', or a number of zero pixels on each side, as in Caffe
            and PyTorch ('SAME' of TensorFlow pads a strided convolution more at the
            bottom and on the right).
        bias: whether a bias is added to each output channel.
        initializer: of the kernel `[kernel_size, kernel_size, in, out]`.
        dtype: floating-point type of the arithmetic; the variables stay float32.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: str | int = 'SAME',
        bias: bool = True,
        initializer: Initializer = glorot_uniform,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        kernel = initializer((kernel_size, kernel_size, in_channels, out_channels))
        super().__init__(kernel, out_channels, stride, padding, bias, dtype, name)

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel, self.stride, self.padding)


class DepthwiseConv2D(_Convolution):
    """Convolves each channel separately: `[B, H, W, C]` → `[B, H', W', C]` in `dtype`.

    Args:
        channels: channels of the input and of the output.
        kernel_size: side of the square kernel in pixels.
        stride: step of the kernel in pixels, the same in both directions.
        padding: as of `Conv2D`.
        bias: whether a bias is added to each channel.
        dtype: floating-point type of the arithmetic; the kernel
            `[kernel_size, kernel_size, channels, 1]` stays float32.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: str | int = 'SAME',
        bias: bool = False,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        # The fan-in of a channel is the number of pixels of its kernel. It is not
        # centered, since a centered kernel detects edges only.
        drawn = he_normal((kernel_size, kernel_size, 1, channels))
        kernel = tf.reshape(drawn, (kernel_size, kernel_size, channels, 1))
        super().__init__(kernel, channels, stride, padding, bias, dtype, name)

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.depthwise_conv2d(
            x, kernel, [1, self.stride, self.stride, 1], self.padding
        )


class SeparableConv2D(tf.Module):
    """Depthwise, then 1×1: `[B, H, W, in]` → `[B, H', W', out]` in `dtype`.

    There is no activation between the two. The other arguments are those of
    `DepthwiseConv2D`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        bias: whether a bias is added to each output channel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: str | int = 'SAME',
        bias: bool = False,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.depthwise = DepthwiseConv2D(
            in_channels, kernel_size, stride=stride, padding=padding, dtype=dtype
        )
        self.pointwise = Conv2D(
            in_channels,
            out_channels,
            1,
            bias=bias,
            initializer=centered_he_normal,
            dtype=dtype,
        )

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        return self.pointwise(self.depthwise(x, training), training)


class ConvNormActivation(tf.Module):
    """A convolution of any kind, optional batch norm and an activation.

    Args:
        conv: the convolution, called as `conv(x, training)`.
        channels: channels of its output.
        batch_norm: whether batch norm follows the convolution; as a mapping, its
            options.
        activation: the last operation, or None.
    """

    def __init__(
        self,
        conv: tf.Module,
        channels: int,
        *,
        batch_norm: bool | Mapping[str, float] = False,
        activation: Activation | None = relu,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.conv = conv
        self.norm = None
        if batch_norm is not False:
            options: Mapping[str, Any] = {} if batch_norm is True else batch_norm
            self.norm = BatchNorm(channels, **options)
        self.activation = activation

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        x = self.conv(x, training)
        if self.norm is not None:
            x = self.norm(x, training)
        return x if self.activation is None else self.activation(x)


class ConvBlock(ConvNormActivation):
    """`ConvNormActivation` of a `Conv2D`, with the arguments of both.

    With batch norm the convolution has no bias, since the norm adds an offset.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: str | int = 'SAME',
        batch_norm: bool | Mapping[str, float] = False,
        activation: Activation | None = relu,
        initializer: Initializer = centered_he_normal,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(
            Conv2D(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=padding,
                bias=batch_norm is False,
                initializer=initializer,
                dtype=dtype,
            ),
            out_channels,
            batch_norm=batch_norm,
            activation=activation,
            name=name,
        )
