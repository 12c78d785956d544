"""Tiny ImageNet: 200 classes of 64x64 photographs (Stanford CS231n)."""

import os
from collections.abc import Sequence
from pathlib import Path

from vision.data.datasets.layout import file_split, find_root, no_archive
from vision.data.source import (
    DatasetError,
    FileSplit,
    HeldOut,
    Source,
    stratified_split,
    take,
)

IMAGE_SIZE = 64
FOLDER = 'tiny-imagenet-200'


def load(data_dir: str, held_out: HeldOut) -> Source:
    """200 classes of 64x64 photographs: tiny-imagenet-200, or the folder around it.

    Labels follow the sorted wnids, so they depend on the classes alone and not on the
    order of the lines in wnids.txt. The train folder is split by class into train and
    validation; the official val folder, whose labels are public, is the test split.

    Raises:
        DatasetError: the layout is not the archive's.
    """
    root = find_root(
        'tiny_imagenet',
        data_dir,
        [FOLDER],
        lambda root: (root / 'wnids.txt').is_file(),
        f'the folder {FOLDER} with its wnids.txt',
    )
    missing = [
        part
        for part in ('words.txt', 'train', 'val/images', 'val/val_annotations.txt')
        if not (root / part).exists()
    ]
    if missing:
        raise no_archive(
            'tiny_imagenet',
            f'{root} lacks {", ".join(missing)}; the archive was not extracted whole.',
        )
    wnids = sorted(filter(None, _lines(root, 'wnids.txt')))
    labelled = _index_train(root, wnids)
    kept, validation = stratified_split(
        labelled.labels, held_out.validation, held_out.seed
    )
    splits = {
        'train': take(labelled, kept),
        'validation': take(labelled, validation),
        'test': _index_test(root, wnids),
    }
    words = [line.partition('\t') for line in _lines(root, 'words.txt')]
    return Source(
        'tiny_imagenet',
        class_names(wnids, {wnid: synonyms for wnid, _, synonyms in words}),
        splits,
        IMAGE_SIZE,
        fixed_size=True,
        ids=tuple(wnids),
    )


def _lines(root: Path, name: str) -> list[str]:
    return (root / name).read_text(encoding='utf-8').split('\n')


def _index_train(root: Path, wnids: Sequence[str]) -> FileSplit:
    """All training images, class by class."""
    paths: list[str] = []
    labels: list[int] = []
    for label, wnid in enumerate(wnids):
        folder = f'train/{wnid}/images'
        names = _images(root / folder)
        if not names:
            raise DatasetError(
                f'Expected JPEG files in {root / folder}, got none; '
                f'extract {FOLDER}.zip again.'
            )
        paths += [f'{folder}/{name}' for name in names]
        labels += [label] * len(names)
    return file_split(root, paths, labels)


def _images(folder: Path) -> list[str]:
    """The sorted names of the JPEG files in a folder; none where there is no folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(name for name in names if name.endswith('.JPEG'))


def _index_test(root: Path, wnids: Sequence[str]) -> FileSplit:
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    labels: dict[str, int] = {}
    for number, line in enumerate(_lines(root, 'val/val_annotations.txt'), 1):
        if not line:
            continue
        name, wnid = (line.split('\t') + [''])[:2]
        if wnid not in label_of:
            raise DatasetError(
                f'{root}/val/val_annotations.txt, line {number}: '
                f'expected "file<tab>wnid" with a wnid of wnids.txt, '
                f'got {line!r}.'
            )
        labels[name] = label_of[wnid]
    present = set(_images(root / 'val/images'))
    missing, extra = sorted(labels.keys() - present), sorted(present - labels.keys())
    if missing or extra:
        raise DatasetError(
            f'{root}/val/images must hold exactly the files of val_annotations.txt; '
            f'{len(missing)} are missing {missing[:3]}, {len(extra)} are not annotated '
            f'{extra[:3]}. Extract {FOLDER}.zip again.'
        )
    names = sorted(labels)
    return file_split(
        root, [f'val/images/{name}' for name in names], [labels[name] for name in names]
    )


def class_names(wnids: Sequence[str], words: dict[str, str]) -> tuple[str, ...]:
    """The first synonym of each wnid; all of them, then the wnid, where it is shared.

    Args:
        words: the comma-separated synonyms of a wnid, as in words.txt.
    """
    synonyms = [words.get(wnid) or wnid for wnid in wnids]
    names = [s.split(',')[0] for s in synonyms]
    for longer in (synonyms, [f'{s} ({w})' for s, w in zip(synonyms, wnids)]):
        names = [
            name if names.count(name) == 1 else more
            for name, more in zip(names, longer)
        ]
    return tuple(names)
