"""The verbs of the command lines, one a file."""
