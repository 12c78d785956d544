"""What must be known of an export beside its weights."""

from typing import Any

from vision.export.formats import Bundle


def describe(bundle: Bundle) -> dict[str, Any]:
    """Classes, and how images become what a network takes, in JSON values.

    All of that but cutting and resizing is part of each export already.
    """
    specification = bundle.specification
    return {
        'model': specification.model,
        'classes': list(specification.classes),
        'ids': list(bundle.ids),
        'image_size': specification.image_size,
        'channels': specification.channels,
        'range': [0, 255],
        'resize': 'the largest centred square, bilinearly, antialiased where it '
        'shrinks to less than half',
        'normalization': specification.normalization,
        'temperature': bundle.temperature,
    }
