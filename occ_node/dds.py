"""DDS for processes on this machine only: a Fast DDS profile for large messages, and ROS domains that are free."""

import os
import random
import socket
from pathlib import Path

from occ_core.errors import ReportedError

LOOPBACK_PROFILE = Path(__file__).parent / "config" / "fastdds_loopback.xml"
_LAST_DOMAIN = 101
"""The ports of higher domains are among the ephemeral ones. Domain 0 is the default, used by everyone else."""


def use_loopback_profile() -> None:
    """Set it for this process and its children. Call before rclpy is imported; processes that talk must share it."""
    # Jazzy's Fast DDS reads the old name, later ones the new.
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(LOOPBACK_PROFILE)
    os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(LOOPBACK_PROFILE)


def free_domain() -> int:
    """A ROS domain, 1 to 101, that no process on this machine uses; a random one, so that two processes that search at
    the same time rarely find the same. Raises ReportedError where all are in use.
    """
    domains = list(range(1, _LAST_DOMAIN + 1))
    random.shuffle(domains)
    for domain in domains:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", 7400 + 250 * domain + 10))  # the first participant's discovery port
            except OSError:
                continue
            return domain
    raise ReportedError(f"every ROS domain from 1 to {_LAST_DOMAIN} is in use on this machine")
