"""Errors that the user can mend. They are shown as a message, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

STOPPED = 75  # exit code of a job that a signal ended: EX_TEMPFAIL of sysexits.h, "try again later"


class UserError(ValueError):
    """Something outside the program is wrong. The message says what and where it is, and what to do."""


class Interrupted(UserError):
    """A signal ended the work. The command goes on from there when it is given again."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Give `; did you mean X?` for the known word that is most like a word, and nothing if no word is like it."""
    match = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {match[0]}?" if match else ""
