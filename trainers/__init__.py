"""How a network learns, and the Python API: `from trainers import Config, train, load`.

Nothing is imported before it is used: `import trainers` imports no TensorFlow.
"""

import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.evaluation.evaluation import evaluate
    from trainers.inference.classifier import from_run as load
    from trainers.inference.prediction import predict
    from trainers.run.train import train
    from trainers.settings.config import Config
    from trainers.settings.recipes import configure

__all__ = ['Config', 'configure', 'evaluate', 'load', 'predict', 'train']

_TARGETS = {
    'Config': 'trainers.settings.config:Config',
    'configure': 'trainers.settings.recipes:configure',
    'evaluate': 'trainers.evaluation.evaluation:evaluate',
    'load': 'trainers.inference.classifier:from_run',
    'predict': 'trainers.inference.prediction:predict',
    'train': 'trainers.run.train:train',
}


def __getattr__(name: str) -> Any:
    if name not in _TARGETS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return pkgutil.resolve_name(_TARGETS[name])
