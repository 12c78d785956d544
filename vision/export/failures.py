"""What a person is told when a converter of somebody else fails."""

import contextlib
from collections.abc import Iterator

from vision.errors import UserError


@contextlib.contextmanager
def explained(converter: str, form: str) -> Iterator[None]:
    """Turns whatever a converter raises into a UserError that says what to do."""
    try:
        yield
    except Exception as error:  # theirs have no common base, and some no public name
        reason = str(error).strip() or type(error).__name__
        raise UserError(
            f'Expected {converter} to have all operations of the network, '
            f'but its converter failed. Leave {form} out of --formats. '
            f'It said: {reason}'
        ) from error
