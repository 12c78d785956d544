"""What is explained, by which methods, and where the result goes."""

import dataclasses

from trainers.settings.config import ConfigError
from trainers.settings.fields import CheckedSettings, setting
from vision.errors import suggestion

# The keys of vision.explain.METHODS and BASELINES, which cannot be had without
# TensorFlow.
METHODS = ('grad_cam', 'grad_cam_plus_plus', 'guided', 'integrated_gradients')
BASELINES = ('black', 'mean')
_EXPLAINING = 'Explaining'


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """What is explained and how.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    method: tuple[str, ...] = setting(
        ('grad_cam',), _EXPLAINING, f'Any of {", ".join(METHODS)}; or all.'
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
        'List the stages with their maps and parameters, and '
        'leave; --model=NAME alone will do.',
    )
    target: str = setting(
        '',
        _EXPLAINING,
        'Name or id of the class to explain; by default the predicted '
        'one, and for mistakes on known images the right one, too.',
    )
    baseline: str = setting(
        'black',
        _EXPLAINING,
        'Where integrated gradients start: at black, or at the '
        'mean colour of each image.',
        choices=BASELINES,
    )
    steps: int = setting(
        32, _EXPLAINING, 'Steps of integrated gradients.', minimum=1, maximum=1000
    )
    samples: int = setting(
        8,
        _EXPLAINING,
        'Validation images of the run to explain where none are '
        'given: spread over the classes, mistakes and others by halves.',
        minimum=1,
    )
    seed: int = setting(
        0,
        _EXPLAINING,
        'Seed of that choice, and of the random regions of the occlusion check.',
        minimum=0,
        maximum=2**31 - 1,
    )
    output: str = setting(
        '',
        _EXPLAINING,
        'Folder for what is written; by default explanations in the '
        'folder of the run, or explanations/<model>.',
    )

    def __post_init__(self):
        super().__post_init__()
        known = (*METHODS, 'all')
        for name in self.method:
            if name not in known:
                raise ConfigError(
                    f'Expected --method to be of {", ".join(known)}; '
                    f'received {name!r}.{suggestion(name, known)}'
                )
        if not self.method:
            raise ConfigError('Expected --method to name at least one, received none.')

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods asked for, each once, in the order of `METHODS`."""
        return tuple(m for m in METHODS if m in self.method or 'all' in self.method)
