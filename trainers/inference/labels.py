"""Text files that name the classes of a network."""

import re
from collections import Counter
from pathlib import Path

from vision.errors import UserError


def read_labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Reads the ids and names of classes, one class per line.

    If every line begins with a WordNet id, as in `n01440764 tench, Tinca tinca`, these
    are the ids; otherwise the names are.

    Returns:
        The ids and the names.

    Raises:
        UserError: the file cannot be read, has fewer than two classes, or has one
            twice.
    """
    try:
        lines = path.read_text(encoding='utf-8-sig').split('\n')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f'Expected --labels to be a text file in UTF-8 with a class a '
            f'line, got {path}: {error}.'
        ) from error
    names = ids = [line.strip() for line in lines if line.strip()]
    parts = [name.partition(' ') for name in names]
    if all(re.fullmatch(r'n\d{8}', wnid) and name for wnid, _, name in parts):
        ids, names = [wnid for wnid, _, _ in parts], [n.strip() for _, _, n in parts]
        # ImageNet has two classes called crane and two called maillot.
        times = Counter(names)
        names = [
            f'{name} ({wnid})' if times[name] > 1 else name
            for wnid, name in zip(ids, names)
        ]
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated or len(names) < 2:
        received = f'{repeated[0]!r} twice' if repeated else f'{len(names)} lines'
        raise UserError(
            f'Expected --labels to name two different classes or more, got '
            f'{received} in {path}.'
        )
    return tuple(ids), tuple(names)
