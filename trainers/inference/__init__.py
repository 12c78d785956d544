"""A trained network in use: Classifier, scoring of splits, prediction of images."""

from vision.registry import Entry, Registry

# Test-time augmentations: functions of uint8 images [B, S, S, 3] that return a list of
# such batches.
VIEWS = Registry(
    'views',
    {
        'none': Entry('trainers.inference.views:unchanged', 'The image.'),
        'flip': Entry(
            'trainers.inference.views:flipped', 'The image and its mirror image.'
        ),
        'crops': Entry(
            'trainers.inference.views:cropped',
            'The image, crops at its corners and in its centre, and their mirror '
            'images.',
        ),
    },
)
