"""The publishers of the node's outputs."""

from collections.abc import Callable, Iterable
from typing import Any

from .outputs import Frame, Output
from .parameters import Settings


class Publishers:
    """One publisher for each output, below the node's own name. A message is made only while it has subscribers."""

    def __init__(self, node, outputs: Iterable[Output], settings: Settings):
        self._node = node
        self.settings = settings
        """For the frames from now on; may be replaced at any time."""
        self._outputs: list[tuple[Any, Callable[[Frame, Settings], Any]]] = []
        try:
            for output in outputs:
                publisher = node.create_publisher(output.message, f"~/{output.name}", output.qos)
                self._outputs.append((publisher, output.make))
        except Exception:
            self.destroy()
            raise

    def wanted(self) -> bool:
        """Whether any output has a subscriber."""
        return any(publisher.get_subscription_count() for publisher, _ in self._outputs)

    def publish(self, frame: Frame) -> None:
        """All outputs with subscribers, in the order given; see `outputs.OUTPUTS` for why it matters."""
        for publisher, make in self._outputs:
            if publisher.get_subscription_count():
                publisher.publish(make(frame, self.settings))

    def warm_up(self, frame: Frame) -> None:
        """Make one message of each, so that everything is compiled; nothing is published."""
        for _, make in self._outputs:
            make(frame, self.settings)

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher, _ in self._outputs:
            self._node.destroy_publisher(publisher)
