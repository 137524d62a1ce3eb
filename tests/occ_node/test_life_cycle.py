"""Transitions, parameters and requests that a live node gets from outside: each is answered, and none ends it."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter as Value
from rosgraph_msgs.msg import Clock

from . import scene
from .live import Client, NodeProcess, wait_for

STATES = {1: "unconfigured", 2: "inactive", 3: "active", 4: "finalized"}


class Manager:
    """What a lifecycle manager and `ros2 param` ask of the node."""

    def __init__(self, client: Client):
        self.client = client
        make = client.node.create_client
        self._change, self._state = make(ChangeState, "/occ_node/change_state"), make(GetState, "/occ_node/get_state")
        self._set = make(SetParameters, "/occ_node/set_parameters")
        self._set_atomically = make(SetParametersAtomically, "/occ_node/set_parameters_atomically")
        services = (self._change, self._state, self._set, self._set_atomically)
        wait_for(lambda: all(service.service_is_ready() for service in services), "the node's services")

    def change(self, transition: int | str) -> bool:
        """By id, or by label."""
        wanted = Transition(label=transition) if isinstance(transition, str) else Transition(id=transition)
        return _ask(self._change, ChangeState.Request(transition=wanted)).success

    def state(self) -> str:
        return STATES[_ask(self._state, GetState.Request()).current_state.id]

    def set(self, **values) -> str:
        """The reason where they were refused, otherwise an empty text."""
        parameters = [Value(name, value=value).to_parameter_msg() for name, value in values.items()]
        return self.set_messages(parameters)

    def set_messages(self, parameters: list[Parameter]) -> str:
        result = _ask(self._set_atomically, SetParametersAtomically.Request(parameters=parameters)).result
        return "" if result.successful else result.reason or "no reason"

    def set_each(self, parameters: list[Parameter]) -> int:
        """How many results there are."""
        return len(_ask(self._set, SetParameters.Request(parameters=parameters)).results)


def _ask(service, request):
    return wait_for(service.call_async(request).result, "an answer")


@pytest.fixture(scope="module")
def parameters(fake_bundle, calibration_file):
    return {"bundle": fake_bundle, "backend": "fake", "calibration_file": calibration_file}


@pytest.fixture(scope="module")
def node(tmp_path_factory, parameters):
    process = NodeProcess(tmp_path_factory.mktemp("node"), **parameters, use_sim_time="true")
    yield process.wait_until_ready()
    process.stop()


@pytest.fixture(scope="module")
def manager(node):
    client = Client(node.domain, outputs=["voxels"]).wait_until_connected()
    yield Manager(client)
    client.close()


@pytest.mark.parametrize("transition", [1, 0, 2, 5, 6, 8, 10, 60, 255, "configure", "cleanup", "create", "no such"])
def test_a_transition_that_an_active_node_does_not_have_is_refused(manager, transition):
    assert not manager.change(transition)
    assert manager.state() == "active"


def test_every_other_state_refuses_too(manager):
    assert manager.change("deactivate")
    assert not manager.change(Transition.TRANSITION_CONFIGURE) and not manager.change("deactivate")
    assert manager.change(Transition.TRANSITION_CLEANUP)
    assert not manager.change(Transition.TRANSITION_ACTIVATE) and not manager.change("cleanup")
    assert manager.change("configure") and manager.change(Transition.TRANSITION_ACTIVATE)
    manager.client.answered()


def test_a_parameter_value_of_an_unknown_type_is_answered_and_counted(node, manager):
    client = manager.client
    client.answered()
    before = client.counter("dropped.callback")
    unknown = Parameter(name="robot_height", value=ParameterValue(type=11))
    assert manager.set_each([unknown]) == 0
    assert manager.set_messages([unknown]) == "no reason"
    wait_for(lambda: client.counter("dropped.callback") == before + 2, "both in the diagnostics")
    assert "a callback failed: ValueError: 11 is not a valid Parameter.Type" in node.log()
    client.answered()


def test_a_parameter_cannot_be_deleted(manager):
    assert manager.set_messages(
        [Parameter(name="robot_height", value=ParameterValue(type=ParameterType.PARAMETER_NOT_SET))]
    )
    assert manager.set(robot_height=2.0) == ""


def test_a_negative_clock_is_survived_and_does_not_fill_the_log(node, manager):
    client = manager.client
    before, lines = client.counter("dropped.callback"), node.log().count("ValueError")
    clock = client.node.create_publisher(Clock, "/clock", 1)
    message = Clock()
    message.clock.sec = -1
    wait_for(
        lambda: clock.publish(message) or client.counter("dropped.callback") > before + 100, "100 in the diagnostics"
    )
    client.node.destroy_publisher(clock)
    assert 0 < node.log().count("ValueError") - lines < 20
    client.answered()


def test_parameters_that_apply_at_once(manager, node):
    client = manager.client
    values = {"overlay_opacity": 0.2, "markers_all": True, "sync_tolerance": 1.0}
    values |= {"clearance_low": 0.1, "robot_height": 1.0, "obstacles_seen_only": True}
    for name, value in values.items():
        assert manager.set(**{name: value}) == ""

    clouds = []

    def send():
        image = client.next_stamp()
        client.rewind(-0.5)
        clouds.append(scene.cloud(client.next_stamp()))  # 0.6 s later: a pair only with the new tolerance
        client.send(scene.image(image), clouds[-1])

    def answer():
        return any(voxels.header == cloud.header for voxels in client.received["voxels"] for cloud in clouds)

    client.send_until(send, answer, "an answer")
    assert manager.set(sync_tolerance=0.05) == ""


def test_class_costs_change_the_next_map(manager):
    client = manager.client
    maps = []
    subscription = client.node.create_subscription(OccupancyGrid, "/occ_node/grid", maps.append, 1)
    client.answered()
    wait_for(lambda: maps, "a map")
    assert max(maps[-1].data) == 100
    assert manager.set(class_costs=["building=0"]) == ""  # of which the fake network's street consists
    client.send_until(client.answered, lambda: max(maps[-1].data) == 0, "a map without obstacles")
    assert manager.set(class_costs=["sidewalk-robot"]) == ""
    client.node.destroy_subscription(subscription)


UNUSABLE = {
    "class_costs": (["lava=100"], "class_costs: 'lava' is not a class; expected some of car"),
    "robot_height": (float("nan"), "robot_height"),
    "clearance_low": (0.6, "clearance_low"),
    "overlay_opacity": (1.5, "overlay_opacity"),
    "backend": ("cuda", "backend 'cuda' is unknown; expected one of auto, "),
    "precision": ("int4", "precision 'int4' is unknown; expected one of auto, "),
    "autostart": (False, "read-only"),
    "markers_all": ("yes", "Wrong parameter type"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_value_that_cannot_be_used_is_refused(manager, name):
    value, reason = UNUSABLE[name]
    assert reason in manager.set(**{name: value})


def test_what_needs_a_new_configuration_is_refused_while_active_and_used_by_the_next(manager, node, tmp_path):
    assert manager.set(threads=3) == "threads: needs a new configuration; deactivate and clean up first"
    assert manager.change("deactivate")
    assert "bundle 'nosuch': no such folder; bundles known by name: " in manager.set(bundle="nosuch")
    assert "/nope: cannot be read: " in manager.set(calibration_file="/nope")
    assert "vlp99: no such rig; expected a YAML file, or one of hdl64-kitti, " in manager.set(rig="vlp99")
    long_name = manager.set(bundle="b" * 10_000_000)
    assert "bbb" in long_name and len(long_name) < 1000
    assert manager.set(threads=3) == ""
    assert manager.change("cleanup") and manager.change("configure") and manager.change("activate")
    assert "threads=3" in wait_for(lambda: node.log().rpartition("Settings(")[2], "the settings in the log")
    manager.client.answered()


@pytest.mark.parametrize("autostart", ["true", "false"])
def test_shutdown_frees_everything_and_ends_the_process_with_code_0(tmp_path, parameters, autostart):
    node = NodeProcess(tmp_path, **parameters, autostart=autostart)
    client = Client(node.domain, outputs=["voxels"])
    try:
        manager = Manager(client)
        if autostart == "true":
            client.wait_until_connected().answered()
            wait_for(lambda: client.values, "diagnostics")
        assert manager.change("shutdown")
        assert manager.state() == "finalized"
        assert not client.image.get_subscription_count() and not client.node.count_publishers("/occ_node/voxels")
        assert not client.node.count_publishers("/diagnostics")
        assert node.wait_until_exit() == 0
        assert "Traceback" not in node.log()
    finally:
        node.stop()
        client.close()


def test_the_sequence_of_a_lifecycle_manager(tmp_path, parameters):
    node = NodeProcess(tmp_path, **parameters, autostart="false")
    client = Client(node.domain, outputs=["voxels"])
    try:
        manager = Manager(client)
        assert manager.set(calibration_file="/nope").startswith("/nope: cannot be read: ")
        for _ in range(2):
            for transition, state in ((1, "inactive"), (3, "active"), (4, "inactive"), (2, "unconfigured")):
                assert manager.change(transition) and manager.state() == state
                if state == "active":
                    client.wait_until_connected().answered()
        assert manager.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN) and manager.state() == "finalized"
        assert node.wait_until_exit() == 0
    finally:
        node.stop()
        client.close()
