"""Many random transitions while frames arrive: the node answers each, and holds no more after them than before."""

from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from benchmarks.transitions import random_transitions

from . import scene
from .live import Client, NodeProcess, wait_for

SETTLED = 50
"""Transitions after which everything that is loaded once is loaded."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to count what a process holds")
def test_200_random_transitions(tmp_path, fake_bundle, calibration_file, monkeypatch):
    # One heap for all threads: each of several keeps what was freed in it, and how many there are depends on the load.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    parameters = {"bundle": fake_bundle, "backend": "fake", "calibration_file": calibration_file}
    node = NodeProcess(tmp_path, **parameters, autostart="false")
    client = Client(node.domain)

    def send():
        stamp = client.next_stamp()
        client.camera_info.publish(scene.camera_info(stamp))
        client.send(scene.image(stamp), scene.cloud(stamp))

    def change(transition):
        answer = service.call_async(ChangeState.Request(transition=transition))
        before, success = len(client.received["voxels"]), wait_for(answer.result, f"an answer to {transition}").success
        if success and (transition.label == "activate" or transition.id == Transition.TRANSITION_ACTIVATE):
            wait_for(lambda: len(client.received["voxels"]) > before, "a frame of the active node")
        return success

    try:
        client.node.create_timer(0.03, send)
        service = client.node.create_client(ChangeState, "/occ_node/change_state")
        wait_for(service.service_is_ready, "the life cycle's service")
        usages = [usage for usage in random_transitions(change, node.pid, 200) if usage.transitions > SETTLED]
        assert len(usages) > 5
        assert len({(usage.threads, usage.descriptors) for usage in usages}) == 1, usages
        # Medians: a single reading also holds what the node is about to free.
        third = len(usages) // 3
        first, last = (median(usage.resident_mb for usage in part) for part in (usages[:third], usages[-third:]))
        assert last - first < 10, [round(usage.resident_mb) for usage in usages]
        assert node.alive() and "Traceback" not in node.log()
    finally:
        node.stop()
        client.close()
