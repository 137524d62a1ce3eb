"""The Fast DDS profile that keeps large messages whole and all traffic on this machine."""

import os
from pathlib import Path

LOOPBACK_PROFILE = Path(__file__).parent / "config" / "fastdds_loopback.xml"


def use_loopback_profile() -> None:
    """Set it for this process and its children. Call before rclpy is imported; processes that talk must share it."""
    # Jazzy's Fast DDS reads the old name, later ones the new.
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(LOOPBACK_PROFILE)
    os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(LOOPBACK_PROFILE)
