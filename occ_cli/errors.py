"""Errors of the verbs themselves; a command line prints each as one line."""

from occ_core.errors import InputError, ReportedError


class CommandError(InputError):
    """Arguments or input that a verb cannot work with; the message says what was wrong and what was expected."""


class RunFailed(ReportedError, RuntimeError):
    """A run that failed though its input is usable: a process died, a condition was not met in time."""
