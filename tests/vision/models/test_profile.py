"""Counts of parameters and operations, compared with the published table."""

import functools

import pytest
import tensorflow as tf
from tiny_network import tiny_network

from vision.layers import InceptionBlock
from vision.models import Network, create
from vision.models.inception_v1 import BODY
from vision.models.profile import count_macs, count_parameters

# Input channels, then 1×1 | 3×3 reduce, 3×3 | 5×5 reduce, 5×5 | pool projection, and
# the side of the map at 56 pixels. Copied from the paper, not from the code.
BLOCKS = {
    'inception_3a': (192, 64, 96, 128, 16, 32, 32, 28),
    'inception_3b': (256, 128, 128, 192, 32, 96, 64, 28),
    'inception_4a': (480, 192, 96, 208, 16, 48, 64, 14),
    'inception_4b': (512, 160, 112, 224, 24, 64, 64, 14),
    'inception_4c': (512, 128, 128, 256, 24, 64, 64, 14),
    'inception_4d': (512, 112, 144, 288, 32, 64, 64, 14),
    'inception_4e': (528, 256, 160, 320, 32, 128, 128, 14),
    'inception_5a': (832, 256, 160, 320, 32, 128, 128, 7),
    'inception_5b': (832, 384, 192, 384, 48, 128, 128, 7),
}


def _block_weights(
    inputs: int,
    conv1: int,
    reduce3: int,
    conv3: int,
    reduce5: int,
    conv5: int,
    pool: int,
) -> int:
    """The number of values in the six kernels of a block."""
    return (
        inputs * (conv1 + reduce3 + reduce5 + pool)
        + 9 * reduce3 * conv3
        + 25 * reduce5 * conv5
    )


@functools.cache
def _model(name: str, classes: int = 200, image_size: int = 56) -> Network:
    """A model for all tests of the file, which leave it as it is."""
    return create(name, classes=classes, image_size=image_size)


def _counts(name: str, classes: int, image_size: int) -> tuple[int, int]:
    """Parameters without and with the auxiliary heads."""
    model = _model(name, classes, image_size)
    heads = sum(count_parameters(head) for head in model.heads.values())
    return count_parameters(model) - heads, count_parameters(model)


@pytest.mark.parametrize(
    'name, classes, image_size, main, whole',
    [
        ('googlenet', 1000, 224, 6_998_552, 13_378_280),
        ('inception_v1', 200, 56, 6_178_552, 10_918_280),
        ('inception_v1_bn', 1000, 112, 7_005_832, 13_385_816),
    ],
)
def test_parameters(name, classes, image_size, main, whole):
    assert _counts(name, classes, image_size) == (main, whole)


def test_the_compact_stem_has_the_parameters_of_the_other_one():
    assert _counts('inception_v1_compact', 200, 56)[0] == 6_178_552


def test_parameters_of_block_3a():
    model = _model('inception_v1')
    assert count_parameters(model.stages['inception_3a']) == 163_696


def test_the_table_is_the_paper_s():
    model = _model('inception_v1')
    blocks = [row[0] for row in BODY if not hasattr(row, 'stride')]
    assert blocks == list(BLOCKS)
    for name, (*numbers, _) in BLOCKS.items():
        assert isinstance(model.stages[name], InceptionBlock)
        biases = sum(numbers[1:])
        assert count_parameters(model.stages[name]) == _block_weights(*numbers) + biases


def test_moving_averages_are_no_parameters():
    norm = tiny_network(batch_norm=True).stages['conv1'].norm
    assert len(norm.variables) == 4
    assert count_parameters(norm) == 2 * 6


def test_macs_of_inception_v1_at_56_pixels():
    stem = 56**2 * 49 * 3 * 64 + 28**2 * (64 * 64 + 9 * 64 * 192)
    body = sum(side**2 * _block_weights(*numbers) for *numbers, side in BLOCKS.values())
    classifier = 1024 * 200
    model = _model('inception_v1')
    assert stem + body + classifier == 1_223_596_032
    assert count_macs(model, 56) == 1_223_596_032


def test_macs_without_local_response_norm():
    # At a quarter of the area everything behind the stem costs a quarter.
    model = _model('inception_v1_compact')
    stem = 56**2 * 49 * 3 * 64 + 28**2 * (64 * 64 + 9 * 64 * 192)
    sides = [14] * 2 + [7] * 5 + [4] * 2
    body = sum(
        side**2 * _block_weights(*numbers)
        for side, (*numbers, _) in zip(sides, BLOCKS.values())
    )
    assert count_macs(model, 56) == stem + body + 1024 * 200


@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16])
@pytest.mark.parametrize('batch_norm', [True, False])
def test_macs_depend_neither_on_the_type_nor_on_norms(dtype, batch_norm):
    model = tiny_network(dtype=dtype, batch_norm=batch_norm)
    conv1 = 8**2 * 9 * 3 * 6
    blocks = 4**2 * (
        _block_weights(6, 3, 2, 4, 2, 3, 2) + _block_weights(12, 4, 3, 5, 2, 3, 4)
    )
    assert count_macs(model, 8) == conv1 + blocks + 16 * 3
