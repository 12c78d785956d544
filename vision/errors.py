"""The base of every error that a person can mend."""


class UserError(Exception):
    """Something outside the program is wrong: commands print it without a traceback."""
