"""Errors whose message is written for the user: a command line prints it as one line, without a traceback."""


class ReportedError(Exception):
    """Something failed, and not by a fault in the program.

    exit_code : of the command that it ends
    """

    exit_code = 1


class InputError(ReportedError, ValueError):
    """A file, message, argument or setting that cannot be used; the text says what is wrong and what was expected."""

    exit_code = 2
