"""What a verb tells its user in one line."""


class CommandError(ValueError):
    """Input that a verb cannot work with; the message says what was wrong and what was expected. Exit code 2."""


class RunFailed(RuntimeError):
    """Something that the input is not to blame for: a process died, a condition was not met in time. Exit code 1."""
