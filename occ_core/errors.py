"""Errors whose message is written for the user: a command line prints it as one line, without a traceback."""


class ReportedError(Exception):
    """Something went wrong that is no fault of the program; the message says what."""

    exit_code = 1


class InputError(ReportedError, ValueError):
    """A file, message, argument or setting that cannot be used; the message says what is wrong and what was expected."""

    exit_code = 2
