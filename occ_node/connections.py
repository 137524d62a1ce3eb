"""What keeps frames from coming: wrong topic names, no publisher, another type or QoS, no extrinsics."""

import time
from collections.abc import Callable, Mapping

from rclpy.qos import QoSCompatibility, qos_check_compatible

from .calibration_source import CalibrationSource
from .log import Log
from .topics import CAMERA_INFO, IMAGE, POINTS

SILENCE = 5.0
"""Seconds without a message, or without extrinsics, after which it is reported."""
TF_STATIC = "/tf_static"
_NAMED = 3
_IMAGE_TYPES = {"sensor_msgs/msg/CompressedImage": "true", "sensor_msgs/msg/Image": "false"}
"""The parameter `compressed` that goes with the type of `image`."""


class Connections:
    """Notes which inputs arrive and finds out why the others do not. Used on the executor's thread only."""

    def __init__(
        self,
        node,
        subscriptions: Mapping,
        calibration: CalibrationSource,
        frame: str,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
        clouds: tuple[str, ...] = (POINTS,),
    ):
        """subscriptions : of rclpy, by the names of the inputs; frame : that of the robot, where there are no clouds;
        clouds : the names of those that are clouds
        """
        self._node, self._subscriptions, self._calibration = node, subscriptions, calibration
        self._log, self._clock = log, clock
        self._heard = dict.fromkeys(subscriptions, clock())
        self._clouds = clouds
        self._frames: dict[str, str] = {} if clouds[0] in subscriptions else {clouds[0]: frame}
        self._extrinsics_missed: float | None = None
        self._logged: set[str] = set()

    def heard(self, name: str, frame: str) -> None:
        """A message came; `frame` of its header."""
        self._heard[name] = self._clock()
        self._frames[name] = frame

    def silence(self) -> float:
        """Seconds since the last image or cloud, or since the activation."""
        return self._clock() - max(time for name, time in self._heard.items() if name in (IMAGE, *self._clouds))

    def problems(self) -> list[str]:
        """One line for each input that has been missing for SILENCE seconds; each goes to the log when it begins."""
        now = self._clock()
        found = {name: self._why(name) for name in self._needed() if now - self._heard[name] >= SILENCE}
        if missing := self._missing_extrinsics():
            self._extrinsics_missed = self._extrinsics_missed or now
            if now - self._extrinsics_missed >= SILENCE:
                found[TF_STATIC] = missing + self._tf_problem()
        else:
            self._extrinsics_missed = None
        for name, text in found.items():
            if name not in self._logged:
                self._log.warn(text)
        self._logged = set(found)
        return list(found.values())

    def _missing_extrinsics(self) -> str:
        """Of the first cloud that has none."""
        camera = self._frames.get(IMAGE)
        found = (self._calibration.missing_extrinsics(camera, self._frames.get(cloud)) for cloud in self._clouds)
        return next(filter(None, found), "")

    def _needed(self) -> list[str]:
        names = [name for name in (IMAGE, *self._clouds) if name in self._subscriptions]
        return names if self._calibration.has_intrinsics else [*names, CAMERA_INFO]

    def _why(self, name: str) -> str:
        subscription = self._subscriptions[name]
        topic, wanted = subscription.topic_name, _type(subscription)
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            return f"{name}: nobody publishes on {topic}; {self._alternatives(name, wanted)}"
        other = [info.topic_type for info in publishers if info.topic_type != wanted]
        if len(other) == len(publishers):
            hint = f"; set compressed:={_IMAGE_TYPES[other[0]]}" if name == IMAGE and other[0] in _IMAGE_TYPES else ""
            return f"{name}: {topic} carries {other[0]}, expected {wanted}{hint}"
        if reason := _mismatch(publishers, subscription):
            return f"{name}: the QoS of the publisher on {topic} does not match: {reason}"
        return f"{name}: no message on {topic} for {SILENCE:g} s, though it has a publisher ({len(publishers)})"

    def _alternatives(self, name: str, wanted: str) -> str:
        """What is there instead, and what to set."""
        if topics := self._published(wanted):
            return f"{wanted} is on {', '.join(topics[:_NAMED])}: remap {name}:={topics[0]}"
        other = next((kind for kind in _IMAGE_TYPES if kind != wanted), "") if name == IMAGE else ""
        if other and (topics := self._published(other)):
            hint = f"remap {name}:={topics[0]} and set compressed:={_IMAGE_TYPES[other]}"
            return f"{other} is on {', '.join(topics[:_NAMED])}: {hint}"
        return f"no topic has a publisher of {wanted}"

    def _published(self, kind: str) -> list[str]:
        """Topics of a type that others publish."""
        own = self._node.get_fully_qualified_name() + "/"
        names = [name for name, kinds in self._node.get_topic_names_and_types() if kind in kinds]
        return [name for name in names if not name.startswith(own) and self._node.count_publishers(name)]

    def _tf_problem(self) -> str:
        subscription = self._subscriptions.get(TF_STATIC)
        if subscription is None:
            return ""
        publishers = self._node.get_publishers_info_by_topic(TF_STATIC)
        if not publishers:
            return f" (nobody publishes on {TF_STATIC})"
        reason = _mismatch(publishers, subscription)
        return f" (the QoS of the publisher on {TF_STATIC} does not match: {reason})" if reason else ""


def _mismatch(publishers: list, subscription) -> str:
    """Why none of the publishers can reach the subscription; empty where one can."""
    reasons = []
    for info in publishers:
        compatible, reason = qos_check_compatible(info.qos_profile, subscription.qos_profile)
        if compatible != QoSCompatibility.ERROR:
            return ""
        reasons.append(reason.removeprefix("ERROR: ").rstrip("; "))
    return reasons[0]


def _type(subscription) -> str:
    package = subscription.msg_type.__module__.partition(".")[0]
    return f"{package}/msg/{subscription.msg_type.__name__}"
