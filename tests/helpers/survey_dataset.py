"""A dataset with everything in it that there is to find."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision.data import SPLITS, FileSplit, RangeSplit, Source, Split
from vision.survey.survey import Survey, survey

CAT, DOG = 'cat', '<b>dog'
# No UTF-8, a code that colours terminals, and a line break.
ODD = 'odd\udcff\x1b[31m\n.jpg'
CLASSES = (DOG, CAT)  # Sorted, as folders are.


def photograph(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """Soft random colours: no two resemble each other."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, [6, 6, 3], np.uint8))
    return noise.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def planted() -> dict[str, bytes]:
    """Path -> contents."""
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg = {i: encoded(photograph(i), 'JPEG', quality=92) for i in range(12)}
    png = encoded(photograph(20), 'PNG')
    return {
        # 7 dogs and 8 cats, of which one is broken, to train on.
        f'train/{DOG}/same.png': encoded(photograph(20), 'PNG', compress_level=1),
        f'train/{DOG}/{ODD}': jpeg[0],
        f'train/{DOG}/<script>alert(1)<script>.jpg': jpeg[1],
        f'train/{DOG}/turned.jpg': encoded(photograph(30), 'JPEG', exif=turned),
        f'train/{DOG}/flat.png': encoded(Image.new('RGB', (64, 64), 'teal'), 'PNG'),
        f'train/{DOG}/2.jpg': jpeg[2],
        f'train/{DOG}/3.jpg': jpeg[3],
        f'train/{CAT}/original.png': png,
        f'train/{CAT}/4.jpg': jpeg[4],
        f'train/{CAT}/5.jpg': jpeg[5],
        f'train/{CAT}/broken.jpg': jpeg[6][: len(jpeg[6]) // 2],
        f'train/{CAT}/wrong.png': jpeg[7],
        f'train/{CAT}/grey.jpg': encoded(photograph(31).convert('L'), 'JPEG'),
        f'train/{CAT}/8.jpg': jpeg[8],
        f'train/{CAT}/9.jpg': jpeg[9],
        f'validation/{DOG}/flat.png': encoded(
            Image.new('RGB', (64, 64), 'navy'), 'PNG'
        ),
        f'validation/{DOG}/10.jpg': jpeg[10],
        f'validation/{CAT}/copy.jpg': jpeg[4],
        f'validation/{CAT}/thin.png': encoded(photograph(32, 120, 12), 'PNG'),
        f'test/{DOG}/small.png': encoded(photograph(0).resize((48, 40)), 'PNG'),
        f'test/{DOG}/clear.png': encoded(photograph(33).convert('RGBA'), 'PNG'),
        f'test/{CAT}/again.jpg': encoded(photograph(5), 'JPEG', quality=40),
    }


@pytest.fixture(scope='session')
def folder(tmp_path_factory) -> Path:
    """The planted images as <split>/<class>/<file>."""
    root = tmp_path_factory.mktemp('planted')
    for name, contents in planted().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return root


def label(path: str) -> int:
    return CLASSES.index(path.split('/')[1])


def make_source(splits: dict[str, Split]) -> Source:
    return Source('planted', CLASSES, splits, 32, fixed_size=False)


@pytest.fixture(scope='session')
def source(folder) -> Source:
    """The same images as files, in the order of `planted`."""
    splits = {}
    for name in SPLITS:
        paths = [path for path in planted() if path.startswith(f'{name}/')]
        labels = np.array([label(path) for path in paths], np.int32)
        splits[name] = FileSplit(labels, paths, paths=[f'{folder}/{p}' for p in paths])
    return make_source(splits)


@pytest.fixture(scope='session')
def seen(source) -> Survey:
    """A survey of them."""
    return survey(source)


@pytest.fixture(scope='session')
def ranges(folder) -> Source:
    """The same images within one file for each split."""
    splits = {}
    for name in SPLITS:
        blobs = {k: v for k, v in planted().items() if k.startswith(f'{name}/')}
        archive = folder / f'{name}.bin'
        archive.write_bytes(b'start' + b''.join(blobs.values()))
        lengths = np.array([len(blob) for blob in blobs.values()], np.int64)
        offsets = len(b'start') + np.cumsum(lengths) - lengths
        splits[name] = RangeSplit(
            np.array([label(path) for path in blobs], np.int32),
            list(blobs),
            paths=[os.fspath(archive)] * len(blobs),
            ranges=np.stack([offsets, lengths], 1),
        )
    return make_source(splits)
