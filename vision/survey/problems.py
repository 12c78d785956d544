"""Images that training cannot use, and suspicious images."""

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from PIL import Image

from vision.survey.survey import Survey

TINY = 16  # Pixels.
EXTREME = 4.0  # The longer side in units of the shorter one.

KINDS = {
    'undecodable': 'TensorFlow cannot decode them; training omits them',
    'refused by Pillow': 'TensorFlow decodes them, Pillow does not',
    'wrong extension': 'the format differs from that of the file name',
    'tiny': f'a side shorter than {TINY} pixels',
    'extreme aspect': f'one side is more than {EXTREME:g} times the other',
    'single colour': 'every pixel has the same colour',
    'converted': 'palette, alpha, CMYK, 16 or 1 bit: converted to 8-bit RGB',
    'rotated': 'rotated or mirrored by their EXIF orientation',
    'animated': 'only the first of several frames is used',
}
_PLAIN_MODES = (b'RGB', b'L', b'')
# Formats of Pillow that share file name extensions.
_SAME_FORMAT = {'MPO': 'JPEG', 'DIB': 'BMP'}


class Problem(NamedTuple):
    """A problem of one image.

    Attributes:
        kind: a key of KINDS.
        image: the index in the survey.
        detail: what is wrong, in words or numbers.
    """

    kind: str
    image: int
    detail: str


def find(survey: Survey) -> list[Problem]:
    """All problems, ordered by kind as in KINDS, then by image."""
    facts = survey.facts
    height, width = facts['height'], facts['width']
    short, long = np.minimum(height, width), np.maximum(height, width)

    def size(i: int) -> str:
        return f'{width[i]}x{height[i]}'

    return [
        *_where('undecodable', ~survey.good, lambda i: survey.reasons[i]),
        *_where(
            'refused by Pillow',
            survey.good & [bool(reason) for reason in survey.reasons],
            lambda i: survey.reasons[i],
        ),
        *_extensions(survey),
        *_where('tiny', survey.good & (short < TINY), size),
        *_where('extreme aspect', survey.good & (long > EXTREME * short), size),
        *_where('single colour', facts['single_colour'], size),
        *_where(
            'converted',
            survey.good & ~np.isin(facts['mode'], _PLAIN_MODES),
            lambda i: facts['mode'][i].decode(),
        ),
        *_where(
            'rotated',
            facts['orientation'] > 1,
            lambda i: f'orientation {facts["orientation"][i]}',
        ),
        *_where('animated', survey.good & facts['animated'], size),
    ]


def _where(kind: str, mask: np.ndarray, detail: Callable[[int], str]) -> list[Problem]:
    return [Problem(kind, i, detail(i)) for i in np.flatnonzero(mask).tolist()]


def _extensions(survey: Survey) -> Iterator[Problem]:
    formats = Image.registered_extensions()  # '.jpeg' -> 'JPEG'
    for image, name in enumerate(survey.facts['format'].tolist()):
        content = name.decode()
        suffix = PurePath(survey.name(image)).suffix.lower()
        expected = formats.get(suffix, content)
        if content and _same(expected) != _same(content):
            yield Problem(
                'wrong extension', image, f'a {_same(content)} file named {suffix}'
            )


def _same(name: str) -> str:
    return _SAME_FORMAT.get(name, name)
