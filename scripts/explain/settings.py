"""What is explained, by which methods, and where the results are written."""

import dataclasses

from trainers.settings.fields import CheckedSettings, setting
from vision.explain import BASELINES, METHODS

_EXPLAINING = 'Explanation'


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """What is explained and how.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    method: tuple[str, ...] = setting(
        ('grad_cam',),
        _EXPLAINING,
        'Methods of attribution with commas between.',
        choices=(*METHODS, 'all'),
    )
    endpoint: str = setting(
        '',
        _EXPLAINING,
        'Stage whose map is explained; by default the last one with '
        'more than one pixel, and for integrated_gradients the image itself.',
    )
    list_endpoints: bool = setting(
        False,
        _EXPLAINING,
        'List the stages with their maps and parameters, and exit; '
        '--model=NAME is enough.',
    )
    target: str = setting(
        '',
        _EXPLAINING,
        'Name or id of the class to explain; by default the predicted class, and the '
        'label of misclassified validation images.',
    )
    baseline: str = setting(
        'black',
        _EXPLAINING,
        'Baseline of integrated gradients: a black image, or the mean colour of each '
        'image.',
        choices=BASELINES,
    )
    steps: int = setting(
        32, _EXPLAINING, 'Steps of integrated gradients.', minimum=1, maximum=1000
    )
    samples: int = setting(
        8,
        _EXPLAINING,
        'Number of validation images of the run to explain without arguments, half of '
        'them misclassified, spread over the classes.',
        minimum=1,
    )
    seed: int = setting(
        0,
        _EXPLAINING,
        'Seed of the choice of images, and of the random regions of the deletion test.',
        minimum=0,
        maximum=2**31 - 1,
    )
    output: str = setting(
        '',
        _EXPLAINING,
        'Folder for the results; by default explanations in the folder of the run, or '
        'explanations/<model>.',
    )

    @property
    def methods(self) -> tuple[str, ...]:
        """The requested methods, each once, in the order of `METHODS`."""
        return tuple(m for m in METHODS if m in self.method or 'all' in self.method)
