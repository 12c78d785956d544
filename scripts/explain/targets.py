"""The class that a person means by a name or an id."""

from trainers.inference.classifier import Classifier
from trainers.settings.config import ConfigError
from vision.errors import suggestion


def find(classifier: Classifier, word: str) -> int:
    """The class of that id or name; of one with synonyms, any of them in any case.

    Raises:
        ConfigError: there is no such class, or there are several.
    """
    for spellings in _spellings(classifier):
        found = sorted({label for label, spelling in spellings if spelling == word})
        if not found:
            lowered = [(label, spelling.lower()) for label, spelling in spellings]
            found = sorted({each for each, s in lowered if s == word.lower()})
        if len(found) == 1:
            return found[0]
        if found:
            which = ' or '.join(classifier.ids[label] for label in found)
            raise ConfigError(
                f'Expected --target to mean one class, received {word!r} '
                f'of {len(found)}. Say which by its id, {which}.'
            )
    known = [
        spelling for spellings in _spellings(classifier) for _, spelling in spellings
    ]
    raise ConfigError(
        f'Expected --target to be the name or id of one of {len(classifier.classes):,} '
        f'classes, such as {classifier.classes[0]}; received {word!r}.'
        f'{suggestion(word, known)}'
    )


def _spellings(classifier: Classifier) -> list[list[tuple[int, str]]]:
    """What each class is called: its id, its name, and the synonyms in it."""
    return [
        list(enumerate(classifier.ids)),
        list(enumerate(classifier.classes)),
        [
            (label, word.strip())
            for label, name in enumerate(classifier.classes)
            for word in name.split(',')
        ],
    ]
