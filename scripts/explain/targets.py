"""The class that `--target` names."""

from trainers.inference.classifier import Classifier
from trainers.settings.config import ConfigError
from vision.errors import suggestion


def find(classifier: Classifier, word: str) -> int:
    """The label of the class with this id, name or synonym.

    Ids precede names, and names precede synonyms (the parts of a name between commas).
    Case is ignored where no spelling matches exactly.

    Raises:
        ConfigError: there is no such class, or there are several.
    """
    synonyms = [
        (synonym.strip(), label)
        for label, name in enumerate(classifier.classes)
        for synonym in name.split(',')
    ]
    levels = [
        [(identifier, label) for label, identifier in enumerate(classifier.ids)],
        [(name, label) for label, name in enumerate(classifier.classes)],
        synonyms,
    ]
    for spellings in levels:
        labels = {label for spelling, label in spellings if spelling == word}
        if not labels:
            lowered = [(spelling.lower(), label) for spelling, label in spellings]
            labels = {label for spelling, label in lowered if spelling == word.lower()}
        if len(labels) == 1:
            return labels.pop()
        if labels:
            ids = ' or '.join(classifier.ids[label] for label in sorted(labels))
            raise ConfigError(
                f'Expected --target to name one class, received {word!r} of '
                f'{len(labels)} classes. Pass an id: {ids}.'
            )
    known = [spelling for spellings in levels for spelling, _ in spellings]
    raise ConfigError(
        f'Expected --target to be the name or id of one of {len(classifier.classes):,} '
        f'classes, such as {classifier.classes[0]}; received {word!r}.'
        f'{suggestion(word, known)}'
    )
