"""The base of every error that a person can mend, and the hints in such errors."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something outside the program is wrong: commands print it without a traceback."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the known word that is closest, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f' Did you mean {close[0]}?' if close else ''
