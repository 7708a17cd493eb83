"""Errors that the user can mend: shown as a message, without a traceback."""

STOPPED = 75  # exit code of a job that a signal ended: EX_TEMPFAIL of sysexits.h, "try again later"


class UserError(ValueError):
    """Something outside the program is not as it should be; the message says what, where, and what to do."""


class Interrupted(UserError):
    """A signal ended the work at a point from which the same command goes on."""
