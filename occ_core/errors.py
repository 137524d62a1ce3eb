"""Errors whose message is written for the user: a command line prints it as one line, without a traceback."""

_QUOTED = 80
_LINE = 500


def quoted(text: str) -> str:
    """Text from outside, such as a field of a message, for use in an error: in quotes, printable, and cut."""
    cut = f"... ({len(text)} characters)" if len(text) > _QUOTED else ""
    return repr(text[:_QUOTED]) + cut


def one_line(text: str) -> str:
    """A text of any origin for a log: one line of printable characters, and cut."""
    cut = f"... ({len(text)} characters)" if len(text) > _LINE else ""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_LINE]) + cut


class ReportedError(Exception):
    """Something failed, and not by a fault in the program.

    exit_code : of the command that it ends
    """

    exit_code = 1


class InputError(ReportedError, ValueError):
    """A file, message, argument or setting that cannot be used; the text says what is wrong and what was expected."""

    exit_code = 2
