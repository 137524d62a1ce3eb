"""ROS messages -> arrays, for live messages and bags alike: any object with the message's fields will do."""


class MessageError(ValueError):
    """A message that cannot be used; the text names the field, what it held and what was expected."""
