# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong, in one sentence: which object, in which state, and the way out.

Modules turn a `CrossvisorError` into `fail_json(msg=...)`; everything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_END_OF_SENTENCE = re.compile(r"[.!?]\s+(?=(\()?)")


class CrossvisorError(Exception):
    """A foreseeable failure. Its text is one sentence for the person at the keyboard."""


class InvalidInput(CrossvisorError):
    """A value given by the user cannot mean anything: a malformed name, an impossible combination."""


class MissingLibrary(CrossvisorError):
    """A Python library that this backend needs is not installed."""


class ConnectionFailed(CrossvisorError):
    """The endpoint cannot be reached, or its certificate is not trusted; nothing was changed."""


class AuthenticationFailed(CrossvisorError):
    """The endpoint refuses the user name, password or privilege."""


class MissingRight(AuthenticationFailed):
    """The endpoint knows the user, who lacks the right for this one request."""


class NotFound(CrossvisorError):
    """An object that the user named does not exist."""


class Ambiguous(CrossvisorError):
    """A name fits several objects; the text lists them."""


class Refused(CrossvisorError):
    """One of the design's safety rules forbids the change; no option overrides it silently."""


class Overtaken(Refused):
    """What a plan was made from is no longer so, and the failing step did nothing: whoever observes and plans anew may succeed.

    `code` is the endpoint's own word for it, where it was the endpoint that noticed.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TimedOut(CrossvisorError):
    """Something did not happen within the time that the user allowed."""


class RemoteError(CrossvisorError):
    """The endpoint understood the request and said no; `code` is its own word for the reason."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class OutcomeUnknown(CrossvisorError):
    """The connection was lost after a request was sent: whether it was carried out must be read back."""


def in_one_sentence(told: str) -> str:
    """What somebody else says, in however many sentences and lines, as a part of one of ours without its full stop."""
    text = " ".join(told.split()).rstrip(".")
    return _END_OF_SENTENCE.sub(lambda end: " " if end[1] else "; ", text)


def option(name: str, value: str = "") -> str:
    """An option of a module as a way out names it, and how a user of a role finds the variable for it."""
    return f"{name}{f'={value}' if value else ''} (in a role, the variable that ends in _{name})"


class StepFailed(CrossvisorError):
    """A plan stopped; the text names the failing step, what was undone, and what could not be.

    With `overtaken`, the failing step was overtaken by somebody else and all that could matter was undone, so that planning anew is safe;
    `kept` are the titles of steps that ran and have nothing to undo.
    """

    def __init__(self, message: str, overtaken: bool = False, kept: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.overtaken = overtaken
        self.kept = kept
