"""What the node refuses at configure, and how it starts, idles and ends."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from array import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import UInt32

from occ_node.dds import free_domain
from occ_node.node import OccupancyNode
from occ_node.outputs import NEWEST, OUTPUTS, Output
from occ_runtime.fake_backend import FakeBackend

from . import scene
from .live import PATIENCE, Client, NodeProcess, wait_for


def _damaged(folder, bundle):
    shutil.copytree(bundle, folder / "damaged")
    golden = folder / "damaged" / "golden.npz"
    content = bytearray(golden.read_bytes())
    content[len(content) // 2] ^= 1
    golden.write_bytes(content)
    return {"bundle": folder / "damaged"}


def _calibration(name, text):
    def make(folder, bundle):
        (folder / name).write_text(text)
        return {"bundle": bundle, "calibration_file": folder / name}

    return make


SINGULAR = "P2: 60 0 48 0 0 0 0 0 0 0 0 0\nTr: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n"
REFUSED = {
    "damaged bundle": (_damaged, "golden.npz: sha256 is"),
    "calibration": (_calibration("calib.txt", "P2: 1 2 3\n"), "calib.txt: row 'P2': expected 12 numbers"),
    "singular projection": (_calibration("calib.txt", SINGULAR), "calib.txt"),
    "impossible date": (_calibration("calib.yaml", "T_cam_lidar: 2024-13-45\n"), "month must be in 1..12"),
    "unknown parameter": (
        lambda folder, bundle: {"bundel": "x"},
        "bundel: no such parameter; expected one of bundle, ",
    ),
    "parameter out of range": (lambda folder, bundle: {"threads": -1}, "threads: expected 0 to 1024, got -1"),
    "list without a type": (
        lambda folder, bundle: {"bundle": bundle, "class_costs": "[]"},
        "class_costs: expected list of strings, got nothing",
    ),
    "unknown class": (
        lambda folder, bundle: {"bundle": bundle, "class_costs": "[car, lava=3]"},
        "class_costs: 'lava' is not a class; expected some of car, ",
    ),
    "unknown backend": (
        lambda folder, bundle: {"bundle": bundle, "backend": "cuda"},
        "backend 'cuda' is unknown; expected one of auto, ",
    ),
    "unknown rig": (
        lambda folder, bundle: {"bundle": bundle, "rig": "vlp99"},
        "vlp99: no such rig; expected a YAML file, or one of hdl64-kitti, ",
    ),
    "unknown ground": (
        lambda folder, bundle: {"bundle": bundle, "ground": "flat"},
        "ground 'flat' is unknown; expected one of declared, estimated",
    ),
    "long name": (lambda folder, bundle: {"bundle": "b" * 100_000}, "bbb"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_is_one_line_and_code_1(tmp_path, fake_bundle, name):
    make, text = REFUSED[name]
    node = NodeProcess(tmp_path, **({"backend": "fake"} | make(tmp_path, fake_bundle)))
    assert node.wait_until_exit() == 1
    (line,) = node.log().splitlines()
    assert "occ_node" in line and text in line and len(line) < 1000


@pytest.fixture
def context():
    rclpy.init(domain_id=free_domain())
    yield
    rclpy.try_shutdown()


def _started(outputs=OUTPUTS, **parameters):
    node = OccupancyNode(outputs)
    assert node.set_parameters_atomically([Parameter(k, value=str(v)) for k, v in parameters.items()]).successful
    before = _topics(node)
    return node, node.start(), before, _topics(node)


def _topics(node):
    return [*node.publishers, *node.subscriptions, *node.timers]


def test_a_backend_that_fails_in_its_self_test_is_closed(context, fake_bundle, monkeypatch, capfd):
    closed = []

    def fail(self, inputs):
        raise MemoryError("no room")

    monkeypatch.setattr(FakeBackend, "infer", fail)
    monkeypatch.setattr(FakeBackend, "close", lambda self: closed.append(self))
    node, started, *_ = _started(bundle=fake_bundle, backend="fake")
    assert not started and len(closed) == 1
    assert "not configured: MemoryError: no room" in capfd.readouterr().err
    node.destroy_node()


def _full_disk(frame, settings):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/x.nbi")


BROKEN = {
    "message": (Output("broken", UInt32, NEWEST, _full_disk), "not activated: /cache/x.nbi: No space left on device"),
    "name": (Output("bro ken", UInt32, NEWEST, _full_disk), "not activated: InvalidTopicNameException: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_half_made_activation_is_taken_apart(context, fake_bundle, capfd, name):
    output, reason = BROKEN[name]
    node, started, before, topics = _started((*OUTPUTS, output), bundle=fake_bundle, backend="fake")
    assert not started and reason in capfd.readouterr().err
    assert topics == before
    node.release()
    node.destroy_node()


def test_a_second_node_of_the_same_name_is_warned_about(tmp_path, fake_bundle):
    node = NodeProcess(tmp_path, bundle=fake_bundle, backend="fake").wait_until_ready()
    assert "another node" not in node.log()
    context = Context()
    rclpy.init(context=context, domain_id=node.domain)
    second = rclpy.create_node("occ_node", context=context)
    try:
        wait_for(lambda: "another node is called /occ_node too" in node.log(), "the warning")
    finally:
        second.destroy_node()
        context.try_shutdown()
        node.stop()


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
    pixels[:, scene.WIDTH // 2 :] = 200  # an image of one colour would be left out
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
