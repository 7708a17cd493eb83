"""Errors that the user can mend: shown as a message, without a traceback."""


class UserError(ValueError):
    """Something outside the program is not as it should be; the message says what, where, and what to do."""
