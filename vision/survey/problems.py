"""Images that training cannot use, or that a person should look at first."""

import functools
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from PIL import Image

from vision.survey.survey import Survey

TINY = 16  # Pixels.
EXTREME = 4.0  # The longer side in units of the shorter one.

KINDS = {
    'undecodable': 'TensorFlow cannot decode them; training leaves them out',
    'refused by Pillow': 'TensorFlow decodes them, other programs may not',
    'wrong extension': 'the name says one format, the content is another',
    'tiny': f'a side shorter than {TINY} pixels',
    'extreme aspect': f'one side more than {EXTREME:g} times the other',
    'single colour': 'every pixel has the same colour',
    'converted': 'palette, alpha, CMYK, 16 or 1 bit: converted to 8-bit RGB',
    'rotated': 'EXIF says that the image is to be turned or mirrored',
    'animated': 'only the first of several frames counts',
}
_PLAIN_MODES = ('RGB', 'L', '')
# What Pillow tells apart and a file name does not.
_SAME_FORMAT = {'MPO': 'JPEG', 'DIB': 'BMP'}


class Problem(NamedTuple):
    """Something about one image of the survey; kind is one of KINDS."""

    kind: str
    image: int
    detail: str


def find(survey: Survey) -> list[Problem]:
    """All problems, by kind in the order of KINDS, then by image."""
    facts = survey.facts
    height, width = facts['height'], facts['width']
    short, long = np.minimum(height, width), np.maximum(height, width)

    def size(i: int) -> str:
        return f'{width[i]}x{height[i]}'

    found = [Problem('undecodable', *i) for i in sorted(survey.undecodable.items())]
    found += [
        Problem('refused by Pillow', *item) for item in sorted(survey.refused.items())
    ]
    found += _extensions(survey)
    found += _where('tiny', survey.good & (short < TINY), size)
    found += _where('extreme aspect', survey.good & (long > EXTREME * short), size)
    found += _where('single colour', facts['single_colour'], size)
    unusual = ~np.isin(facts['mode'], [mode.encode() for mode in _PLAIN_MODES])
    found += _where(
        'converted', survey.good & unusual, lambda i: bytes(facts['mode'][i]).decode()
    )
    found += _where(
        'rotated',
        facts['orientation'] > 1,
        lambda i: f'orientation {facts["orientation"][i]}',
    )
    found += _where('animated', survey.good & facts['animated'], size)
    return found


def _where(kind: str, mask: np.ndarray, detail) -> list[Problem]:
    return [Problem(kind, i, detail(i)) for i in np.flatnonzero(mask).tolist()]


def _extensions(survey: Survey) -> list[Problem]:
    found: list[Problem] = []
    formats = survey.facts['format'].tolist()
    for image, content in enumerate(formats):
        if not content:
            continue
        content = content.decode()
        content = _SAME_FORMAT.get(content, content)
        suffix = PurePath(survey.name(image)).suffix.lower()
        named = _formats().get(suffix, content)
        if _SAME_FORMAT.get(named, named) != content:
            found.append(
                Problem('wrong extension', image, f'a {content} file named {suffix}')
            )
    return found


@functools.cache
def _formats() -> dict[str, str]:
    """'.jpeg' -> 'JPEG' and so on."""
    return Image.registered_extensions()
