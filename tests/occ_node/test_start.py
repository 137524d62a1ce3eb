"""What the node refuses at configure, and how it starts, idles and ends."""

import shutil
import signal
import subprocess
import sys
from array import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import CompressedImage

from . import scene
from .live import PATIENCE, Client, NodeProcess, wait_for


def _damaged(folder, bundle):
    shutil.copytree(bundle, folder / "damaged")
    golden = folder / "damaged" / "golden.npz"
    content = bytearray(golden.read_bytes())
    content[len(content) // 2] ^= 1
    golden.write_bytes(content)
    return {"bundle": folder / "damaged"}


def _broken_calibration(folder, bundle):
    (folder / "calib.txt").write_text("P2: 1 2 3\n")
    return {"bundle": bundle, "calibration_file": folder / "calib.txt"}


REFUSED = {
    "damaged bundle": (_damaged, "golden.npz: sha256 is"),
    "calibration": (_broken_calibration, "calib.txt: row 'P2': expected 12 numbers"),
    "unknown parameter": (
        lambda folder, bundle: {"bundel": "x"},
        "bundel: no such parameter; expected one of bundle, ",
    ),
    "parameter out of range": (lambda folder, bundle: {"threads": -1}, "threads: expected 0 to 1024, got -1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_is_one_line_and_code_1(tmp_path, fake_bundle, name):
    make, text = REFUSED[name]
    node = NodeProcess(tmp_path, backend="fake", **make(tmp_path, fake_bundle))
    assert node.wait_until_exit() == 1
    lines = node.log().splitlines()
    assert len(lines) == 1 and lines[0].startswith("occ_node: ") and text in lines[0]


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "occ_node.node", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


def test_arguments_that_are_not_ros_ones_are_refused_with_the_right_form():
    done = _run("--bundle", "occle-nano", "--ros-args", "-p", "backend:=fake")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("occ_node: --bundle: no such argument") and "--ros-args -p bundle:=" in line


def test_help_prints_the_usage_and_starts_nothing():
    done = _run("-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: occ_node --ros-args")


def test_without_extrinsics_the_reason_is_said_and_sigterm_gives_0(tmp_path, fake_bundle):
    node = NodeProcess(tmp_path, bundle=fake_bundle, backend="fake").wait_until_ready()
    client = Client(node.domain, outputs=["voxels"]).wait_until_connected()
    try:

        def dropped():
            stamp = client.next_stamp()
            client.camera_info.publish(scene.camera_info(stamp))
            client.send(scene.image(stamp), scene.cloud(stamp))
            return client.counter("dropped.no_calibration")

        wait_for(dropped, "a drop in diagnostics", pause=0.1)
        assert (
            "no extrinsics: " in client.values["last_error"] and "set calibration_file" in client.values["last_error"]
        )
        assert client.status.level == client.status.ERROR
        assert node.signal(signal.SIGTERM) == 0
        assert "Traceback" not in node.log()
    finally:
        node.stop()
        client.close()


def test_compressed_images(tmp_path, fake_bundle, calibration_file):
    parameters = {"bundle": fake_bundle, "backend": "fake", "calibration_file": calibration_file, "compressed": "true"}
    node = NodeProcess(tmp_path, **parameters).wait_until_ready()
    client = Client(node.domain, outputs=["overlay"], image_type=CompressedImage).wait_until_connected()
    pixels = np.full((scene.HEIGHT, scene.WIDTH, 3), (10, 20, 30), np.uint8)
    data = array("B", cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
    try:

        def answer():
            stamp = client.next_stamp()
            client.camera_info.publish(scene.camera_info(stamp))
            image = CompressedImage(header=scene.header(stamp, "camera"), format="png", data=data)
            client.send(image, scene.cloud(stamp))
            return client.received["overlay"]

        overlay = wait_for(answer, "an overlay", pause=0.1)[0]
        assert tuple(overlay.data[:3]) == (10, 20, 30)
    finally:
        node.stop()
        client.close()


def test_a_lifecycle_manager_starts_it_and_nothing_is_computed_for_nobody(tmp_path, fake_bundle, calibration_file):
    parameters = {"bundle": fake_bundle, "backend": "fake", "calibration_file": calibration_file, "autostart": "false"}
    node = NodeProcess(tmp_path, **parameters)
    client = Client(node.domain, outputs=[])
    try:
        service = client.node.create_client(ChangeState, "/occ_node/change_state")
        wait_for(service.service_is_ready, "the life cycle's service")
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            future = service.call_async(ChangeState.Request(transition=Transition(id=transition)))
            assert wait_for(future.result, "the transition").success
        client.wait_until_connected()

        def idle():
            stamp = client.next_stamp()
            client.send(scene.image(stamp), scene.cloud(stamp))
            return client.counter("idle")

        wait_for(idle, "an idle frame in diagnostics", pause=0.1)
        assert "latency.inference.p50_ms" not in client.values
        assert client.counter("published") == 0
        future = service.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE)))
        assert wait_for(future.result, "the transition").success
        wait_for(lambda: not client.image.get_subscription_count(), "the end of the subscriptions")
    finally:
        node.stop()
        client.close()
