"""The publishers of the node's outputs."""

from collections.abc import Iterable

from .outputs import Frame, Output
from .parameters import Settings


class Publishers:
    """One publisher for each output, below the node's own name. A message is made only while it has subscribers."""

    def __init__(self, node, outputs: Iterable[Output], settings: Settings):
        self._node = node
        self._settings = settings
        self._outputs = [(node.create_publisher(o.message, f"~/{o.name}", o.qos), o.make) for o in outputs]

    def wanted(self) -> bool:
        """Whether any output has a subscriber."""
        return any(publisher.get_subscription_count() for publisher, _ in self._outputs)

    def publish(self, frame: Frame) -> None:
        """All outputs with subscribers, in the order given; see `outputs.OUTPUTS` for why it matters."""
        for publisher, make in self._outputs:
            if publisher.get_subscription_count():
                publisher.publish(make(frame, self._settings))

    def warm_up(self, frame: Frame) -> None:
        """Make one message of each, so that everything is compiled; nothing is published."""
        for _, make in self._outputs:
            make(frame, self._settings)

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher, _ in self._outputs:
            self._node.destroy_publisher(publisher)
