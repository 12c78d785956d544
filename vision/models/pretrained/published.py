"""The weights for ImageNet that Keras publishes, and how to get them."""

from pathlib import Path
from typing import NamedTuple

from vision.data.download.download import Progress, digest_of, download
from vision.models.network import Network
from vision.models.pretrained.arrays import PretrainedError
from vision.models.pretrained.names import KERAS_LAYERS
from vision.models.pretrained.reading import HDF5

_SITE = 'https://storage.googleapis.com/tensorflow/keras-applications'
_KERNELS = 'weights_tf_dim_ordering_tf_kernels'
_CLASSES = 1000

# From keras/src/applications/xception.py; nobody has published hashes of MobileNetV2's.
_XCEPTION_MD5 = '0a58e3b7378bc2990ea3b43d5981f1f6'
_XCEPTION_NO_TOP_MD5 = 'b0042744bf5b25fce3cb969f33bebb97'

# Of MobileNetV2: alpha by the output channels of the last block, and the sizes in
# pixels of the images trained on. The wide ones are there for the largest alone
# (https://github.com/keras-team/keras/issues/16452).
_ALPHAS = {112: 0.35, 160: 0.5, 240: 0.75, 320: 1.0, 416: 1.3, 448: 1.4}
_SIZES = (96, 128, 160, 192, 224)


class Published(NamedTuple):
    """A file of weights; its MD5 as hexadecimal, None where nobody published one."""

    url: str
    md5: str | None

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition('/')[2]


def published(model: Network) -> Published:
    """The file of ImageNet weights for a network.

    It has the classifier only for a network of 1000 classes whose head is as plain as
    Keras's. Of MobileNetV2 there are weights for several sizes of images: those for
    the network's own size or the next larger are taken, and else the largest.

    Raises:
        PretrainedError: nobody has published weights for such a network.
    """
    plain = not model.head.dense and model.head.pooling == 'average'
    top = plain and model.classes == _CLASSES
    if model.name == 'mobilenet_v2':
        return _mobilenet_v2(model, top)
    if model.name == 'xception':
        ending, md5 = ('', _XCEPTION_MD5) if top else ('_notop', _XCEPTION_NO_TOP_MD5)
        return Published(f'{_SITE}/xception/xception_{_KERNELS}{ending}.h5', md5)
    hint = ''
    if model.name == 'googlenet':
        hint = (
            ": give the path of an .npz of BVLC's weights by their names in Caffe "
            'instead'
        )
    names = ' or '.join(KERAS_LAYERS)
    raise PretrainedError(
        'Expected a model with ImageNet weights to download, '
        f'{names}; received {model.name!r}{hint}.'
    )


def fetch_published(
    model: Network, folder: Path, progress: Progress | None = None
) -> Path:
    """Downloads `published(model)` into a folder, unless it is there; returns its path.

    `load` checks what is in it.

    Raises:
        PretrainedError: there is no such file, or what the server sent is none.
        DatasetError: it cannot be downloaded or written.
    """
    wanted = published(model)
    path = download(wanted.url, folder / wanted.file, md5=wanted.md5, progress=progress)
    check_published(wanted, path)
    return path


def check_published(wanted: Published, path: Path) -> None:
    """Looks at a file that was published under this name, however it came.

    Raises:
        PretrainedError: it is not that file, as far as that is known.
        OSError: it cannot be read.
    """
    with path.open('rb') as file:
        start = file.read(len(HDF5))
    if start != HDF5:
        raise PretrainedError(
            f'Expected weights from {wanted.url} at {path}, a file '
            f'that begins with {HDF5!r}; it begins with {start!r}. '
            'Remove it and run again with --download.'
        )
    found = digest_of(path, 'md5') if wanted.md5 else None
    if found != wanted.md5:
        raise PretrainedError(
            f'Expected weights from {wanted.url} at {path}, with the '
            f'MD5 {wanted.md5}; it has {found}. Remove it and run '
            'again with --download.'
        )


def _mobilenet_v2(model: Network, top: bool) -> Published:
    channels = KERAS_LAYERS[model.name](model)['block_16_project'].kernel.shape[-1]
    if channels not in _ALPHAS:
        raise PretrainedError(
            'Expected alpha as one of '
            f'{", ".join(str(a) for a in _ALPHAS.values())}, for '
            'which MobileNetV2 has ImageNet weights; received a '
            'model of another width.'
        )
    alpha = _ALPHAS[channels]
    sizes = _SIZES if alpha <= 1 else _SIZES[-1:]
    size = next((each for each in sizes if each >= model.image_size), sizes[-1])
    ending = '' if top else '_no_top'
    name = f'mobilenet_v2_{_KERNELS}_{alpha}_{size}{ending}.h5'
    return Published(f'{_SITE}/mobilenet_v2/{name}', md5=None)
