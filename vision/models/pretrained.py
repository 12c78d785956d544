"""Weights that others trained: the GoogLeNet of Caffe's model zoo.

https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet; released for
unrestricted use.
"""

import os
import zipfile
import zlib

import numpy as np
import tensorflow as tf

from vision.errors import UserError
from vision.layers import InceptionBlock
from vision.models.network import Network

# Caffe's names of the layers and ours: in the stem, and in each Inception block.
STEM = {
    'conv1/7x7_s2': 'conv1',
    'conv2/3x3_reduce': 'conv2_reduce',
    'conv2/3x3': 'conv2',
}
BRANCHES = {
    '1x1': 'conv1',
    '3x3_reduce': 'reduce3',
    '3x3': 'conv3',
    '5x5_reduce': 'reduce5',
    '5x5': 'conv5',
    'pool_proj': 'project',
}


class PretrainedError(UserError):
    """The file or the model is not the one that the weights belong to."""


def load_googlenet(model: Network, path: str | os.PathLike[str]) -> None:
    """Gives a GoogLeNet of 1000 classes the weights of BVLC's, trained on ImageNet.

    The file has no auxiliary heads: those of the model keep their values. Either all
    other weights are assigned or, where anything does not fit, none.

    Args:
        model: `create('googlenet')`, with its own classes and normalization.
        path: an .npz of 116 float32 arrays, `<layer>/kernel` and `<layer>/bias` by
            the layers' names in Caffe; kernels as `[height, width, in, out]`, and the
            classifier's as `[in, out]`.

    Raises:
        PretrainedError: the model is another one; the file cannot be read; or arrays
            are missing, unknown, of another shape or type, or not finite, each named.
    """
    if (model.name, model.normalization) != ('googlenet', 'caffe'):
        raise PretrainedError(
            "Expected the model 'googlenet' with normalization 'caffe', which these "
            f'weights were trained with, received {model.name!r} with '
            f'{model.normalization!r}.')
    variables = _variables(model)
    arrays = _read(path)
    problems = _problems(variables, arrays)
    if problems:
        lines = '\n  '.join(problems)
        raise PretrainedError(f"Expected BVLC's GoogLeNet in {path}, but:\n  {lines}")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(model: Network) -> dict[str, tf.Variable]:
    """The model's variables without the auxiliary heads', by Caffe's names."""
    layers = {name: model.stages[ours].conv for name, ours in STEM.items()}
    for block, stage in model.stages.items():
        if isinstance(stage, InceptionBlock):
            for name, ours in BRANCHES.items():
                layers[f'{block}/{name}'] = getattr(stage, ours).conv
    layers['loss3/classifier'] = model.head.classifier
    return {
        f'{name}/{part}': getattr(layer, part) for name, layer in layers.items()
        for part in ('kernel', 'bias')
    }


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, none of them pickled."""
    try:
        # Opened here, so that it is closed too where it turns out to be no archive.
        with open(path, 'rb') as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError('it holds a single array')
            return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, zlib.error,
            zipfile.BadZipFile) as error:
        raise PretrainedError(f'Expected an .npz file of plain arrays at {path}, which '
                              f'could not be read: {error}') from error


def _problems(variables: dict[str, tf.Variable], arrays: dict[str,
                                                              np.ndarray]) -> list[str]:
    """What keeps the arrays from being assigned to the variables, a line each."""
    problems = [f'{name} is missing' for name in variables if name not in arrays]
    for name, array in arrays.items():
        if name not in variables:
            problems.append(f'{name} is unknown')
        elif array.shape != tuple(variables[name].shape):
            problems.append(f'{name} has shape {array.shape}, the model has '
                            f'{tuple(variables[name].shape)}')
        elif array.dtype != np.float32:
            problems.append(f'{name} is {array.dtype}, not float32')
        elif not np.isfinite(array).all():
            problems.append(f'{name} has values that are not finite')
    return problems
