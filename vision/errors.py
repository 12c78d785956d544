"""The base class of errors that the user can correct, and suggestions in messages."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something outside the program is wrong: commands print it without a traceback.

    Attributes:
        parameters: names of the arguments or settings that the user could change, such
            as 'data_dir'. Commands append those that they have flags for.
    """

    def __init__(self, message: str, *parameters: str):
        super().__init__(message)
        self.parameters = parameters


def suggestion(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the known word that is closest, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f' Did you mean {close[0]}?' if close else ''
