"""Fixtures for the tests of models."""

import pytest

from vision.layers import convolution
from vision.layers.initializers import he_normal


@pytest.fixture(scope='module', autouse=True)
def plain_kernels():
    """Kernels that are not centered.

    Behind centered ones the features of a fresh network are small differences of large
    numbers, which magnifies rounding; two computations of the same thing are compared
    more strictly without.
    """
    with pytest.MonkeyPatch.context() as patch:
        # SeparableConv2D reads the name, ConvBlock has the function as a default.
        patch.setattr(convolution, 'centered_he_normal', he_normal)
        defaults = convolution.ConvBlock.__init__.__kwdefaults__
        patch.setitem(defaults, 'initializer', he_normal)
        yield
