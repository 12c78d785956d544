"""The weights for ImageNet that Keras publishes, and their download."""

from pathlib import Path
from typing import NamedTuple

from vision.data.download.download import Progress, digest_of, download
from vision.models.network import Network
from vision.models.pretrained.names import KERAS_LAYERS
from vision.models.pretrained.reading import HDF5, PretrainedError

_SITE = 'https://storage.googleapis.com/tensorflow/keras-applications'
_KERNELS = 'weights_tf_dim_ordering_tf_kernels'
_CLASSES = 1000

# From keras/src/applications/xception.py; there are no published ones of MobileNetV2.
_XCEPTION_MD5 = '0a58e3b7378bc2990ea3b43d5981f1f6'
_XCEPTION_NO_TOP_MD5 = 'b0042744bf5b25fce3cb969f33bebb97'

# Of MobileNetV2: alpha by the output channels of the last block, and the sizes of the
# training images in pixels. For alpha above 1 there is only the largest size
# (https://github.com/keras-team/keras/issues/16452).
_ALPHAS = {112: 0.35, 160: 0.5, 240: 0.75, 320: 1.0, 416: 1.3, 448: 1.4}
_SIZES = (96, 128, 160, 192, 224)


class Published(NamedTuple):
    """A file of weights; its MD5 as hexadecimal, None if none is published."""

    url: str
    md5: str | None

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition('/')[2]


def published(model: Network) -> Published:
    """The file of ImageNet weights for a network.

    It includes the classifier only for a network of 1000 classes whose head is that of
    Keras. Of MobileNetV2 there are weights for several image sizes: the file is for the
    network's size or the next larger one, or else the largest.

    Raises:
        PretrainedError: there are no published weights for such a network.
    """
    top = (
        model.classes == _CLASSES
        and not model.head.dense
        and model.head.pooling == 'average'
    )
    if model.name == 'mobilenet_v2':
        return _mobilenet_v2(model, top)
    if model.name == 'xception':
        ending, md5 = ('', _XCEPTION_MD5) if top else ('_notop', _XCEPTION_NO_TOP_MD5)
        return Published(f'{_SITE}/xception/xception_{_KERNELS}{ending}.h5', md5)
    hint = (
        " Pass the path of an .npz of BVLC's weights by their names in Caffe."
        if model.name == 'googlenet'
        else ''
    )
    raise PretrainedError(
        'Expected a model with ImageNet weights to download, '
        f'{" or ".join(KERAS_LAYERS)}; received {model.name!r}.{hint}',
        'model',
        'pretrained',
    )


def fetch_published(
    model: Network, folder: Path, progress: Progress | None = None
) -> Path:
    """Downloads `published(model)` into a folder, unless it exists; returns its path.

    Raises:
        PretrainedError: there is no such file, or the server sent something else.
        DatasetError: it cannot be downloaded or written.
    """
    file = published(model)
    path = download(file.url, folder / file.file, md5=file.md5, progress=progress)
    check_published(file, path)
    return path


def check_published(expected: Published, path: Path) -> None:
    """Checks a file with the name of a published one.

    Raises:
        PretrainedError: it is not an HDF5 file, or has another MD5.
        OSError: it cannot be read.
    """
    with path.open('rb') as file:
        start = file.read(len(HDF5))
    problem = ''
    if start != HDF5:
        problem = f'a file that begins with {HDF5!r}; it begins with {start!r}'
    elif expected.md5 and (digest := digest_of(path, 'md5')) != expected.md5:
        problem = f'with the MD5 {expected.md5}; it has {digest}'
    if problem:
        raise PretrainedError(
            f'Expected weights from {expected.url} at {path}, {problem}. Remove the '
            'file and download it again.',
            'download',
        )


def _mobilenet_v2(model: Network, top: bool) -> Published:
    channels = KERAS_LAYERS[model.name](model)['block_16_project'].kernel.shape[-1]
    if channels not in _ALPHAS:
        raise PretrainedError(
            f'Expected alpha as one of {", ".join(map(str, _ALPHAS.values()))}, for '
            'which MobileNetV2 has ImageNet weights; received a model of another '
            'width.',
            'model_options',
        )
    alpha = _ALPHAS[channels]
    sizes = _SIZES if alpha <= 1 else _SIZES[-1:]
    size = next((size for size in sizes if size >= model.image_size), sizes[-1])
    name = f'mobilenet_v2_{_KERNELS}_{alpha}_{size}{"" if top else "_no_top"}.h5'
    return Published(f'{_SITE}/mobilenet_v2/{name}', md5=None)
