"""Images in folders named after their classes."""

from pathlib import Path

from vision.data.datasets.layout import (
    SPLIT_NAMES,
    class_splits,
    complete,
    contents,
    shorten,
    subfolders,
    typical_size,
)
from vision.data.source import DatasetError, HeldOut, Source

_LAYOUT = (
    'Put the images into DIR/<class>/, or into DIR/train/<class>/, '
    'DIR/validation/<class>/ and DIR/test/<class>/, and pass DIR as data_dir.'
)


def load(data_dir: str, held_out: HeldOut) -> Source:
    """Your own images, in folders named after their classes.

    Either `<class>/**`, or splits `train/<class>/**`, `validation/...`, `test/...`;
    these are also found under the names training, val, valid and testing, in any case,
    and in the only folder of data_dir. What is missing is taken from each class of
    train. The classes are the sorted names of the folders in train; a class may be
    missing in the other splits. Images outside the folders are not used.

    Raises:
        DatasetError: the folders are not laid out like that.
    """
    if not data_dir:
        raise DatasetError(
            f'image_folder needs a data directory, got none. {_LAYOUT}', 'data_dir'
        )
    root = _unwrap(Path(data_dir))
    folders = _split_folders(root)
    train = root / folders['train']
    classes = tuple(subfolders(train))
    if len(classes) < 2:
        raise DatasetError(
            f'Expected two class folders or more in {train}, got '
            f'{contents(train)}. {_LAYOUT}',
            'data_dir',
        )
    ready = class_splits(root, folders, classes)
    return Source(
        'image_folder',
        classes,
        image_size=typical_size(ready['train']),
        splits=complete(ready, held_out),
        fixed_size=False,
    )


def _unwrap(root: Path) -> Path:
    """The folder itself, or the only one in it where that is what holds the splits."""
    if not root.is_dir():
        raise DatasetError(
            f'Expected a folder, got {root}: {contents(root)}. {_LAYOUT}', 'data_dir'
        )
    inside = subfolders(root)
    if len(inside) != 1 or inside[0].lower() in SPLIT_NAMES:
        return root
    splits = [SPLIT_NAMES.get(name.lower()) for name in subfolders(root / inside[0])]
    return root / inside[0] if 'train' in splits else root


def _split_folders(root: Path) -> dict[str, str]:
    """The folder of each split that is ready; {'train': ''} where there is none."""
    names = subfolders(root)
    folders: dict[str, str] = {}
    for name in names:
        split = SPLIT_NAMES.get(name.lower(), '')
        if split in folders:
            raise DatasetError(
                f'{root}: expected one folder for the {split} split, '
                f'got {folders[split]} and {name}. Merge them.'
            )
        if split:
            folders[split] = name
    others = len(names) > len(folders)
    has_classes = 'train' in folders and bool(subfolders(root / folders['train']))
    if has_classes and not others:
        return folders
    if not folders or (list(folders) == ['train'] and not has_classes and others):
        return {'train': ''}  # Where one is called train, it is a class of trains.
    raise DatasetError(
        f'{root}: expected classes, or the folders train, validation '
        'and test with classes in them, got '
        f'{shorten(names)}. {_LAYOUT}',
        'data_dir',
    )
