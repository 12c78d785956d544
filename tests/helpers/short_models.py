"""Registered models with fewer and narrower blocks of the same kinds."""

import pytest

from vision.models import Network, create, inception_v1, mobilenet_v2, xception

_OPTIONS: dict[str, dict] = {
    'mobilenet_v2': {'alpha': 0.35},
    'cifar_cnn': {'filters': (4, 8), 'dense': (64,)},
    'small_cnn': {'filters': (4, 8)},
}
_WIDTHS = inception_v1.Widths(8, 12, 16, 2, 4, 4)
# A block with each auxiliary head, and one without.
BODY = (
    ('inception_3a', _WIDTHS),
    inception_v1.Pool(2),
    ('inception_4a', _WIDTHS),
    ('inception_4d', _WIDTHS),
)
_TABLE = (
    xception.Row((16, 16), True),
    xception.Row((16, 16, 16), False),
    xception.Row((16, 24), True),
)
_ROWS = (
    mobilenet_v2.Row(1, 16, 1, 1),
    mobilenet_v2.Row(6, 24, 2, 2),
    *(mobilenet_v2.Row(6, channels, 1, 2) for channels in (32, 64, 96)),
)
_EXIT_CHANNELS = dict.fromkeys(xception.EXIT_CHANNELS, 24)


def short(name: str, classes: int, image_size: int) -> Network:
    """The model of this name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception_v1, 'BODY', BODY)
        patch.setattr(mobilenet_v2, 'TABLE', _ROWS)
        patch.setattr(xception, 'TABLE', _TABLE)
        patch.setattr(xception, 'EXIT_CHANNELS', _EXIT_CHANNELS)
        return create(
            name, classes=classes, image_size=image_size, **_OPTIONS.get(name, {})
        )
