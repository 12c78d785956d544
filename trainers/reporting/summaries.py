"""What TensorBoard shows of a run: functions that write to one of its files."""

import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from trainers.settings.config import Config


def write_config(writer: Any, config: Config) -> None:
    """Writes the configuration as text and as hyperparameters."""
    values = config.to_dict()
    text = json.dumps(values, indent=2).replace('\n', '\n    ')
    with writer.as_default(step=0):
        tf.summary.text('configuration', '    ' + text)
        hparams.hparams(
            {
                name: ','.join(value) if isinstance(value, list) else value
                for name, value in values.items()
                if value is not None
            }
        )


def write_scalars(writer: Any, step: int, values: Mapping[str, float]) -> None:
    """Writes scalars by their tags."""
    with writer.as_default(step=step):
        for name, value in values.items():
            tf.summary.scalar(name, value)
