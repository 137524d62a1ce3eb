"""`ros2 launch` and `ros2 run` themselves, with the package laid out as it is installed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")
pytest.importorskip(
    "ros2launch", reason="ros2launch and launch_ros are not installed (PyPI has none): only stand-ins of them ran"
)
pytest.importorskip("ros2run", reason="ros2run is not installed (PyPI has none)")

from occ_data.bags import write_bag
from occ_node.dds import free_domain
from occ_node.parameters import Settings

from .live import PATIENCE

ROOT = Path(__file__).parents[2]
ROS2 = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]
PREFIX_FOLDERS = {
    "share/occ_node/launch": "launch",
    "share/occ_node/rviz": "rviz",
    "share/occ_node/config": "occ_node/config",
    "lib/occ_node": "resource/lib",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """For processes that find the package under a prefix, as after an installation, with this Python."""
    prefix = tmp_path_factory.mktemp("prefix")
    for folder, source in PREFIX_FOLDERS.items():
        shutil.copytree(ROOT / source, prefix / folder)
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    shutil.copy(ROOT / "resource/occ_node", index)
    before = {name: os.environ.get(name, "") for name in ("AMENT_PREFIX_PATH", "PATH", "PYTHONPATH")}
    return os.environ | {
        "AMENT_PREFIX_PATH": f"{prefix}:{before['AMENT_PREFIX_PATH'] or sys.prefix}",
        "PATH": f"{Path(sys.executable).parent}:{before['PATH']}",
        "PYTHONPATH": f"{ROOT}:{before['PYTHONPATH']}",
        "PYTHONUNBUFFERED": "1",
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_LOG_DIR": str(prefix / "log"),
    }


class Launch:
    """`ros2 launch occ_node ...` in a process group of its own."""

    def __init__(self, environment, folder: Path, *arguments: str):
        self._log = folder / "launch.log"
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(
                [*ROS2, "launch", "occ_node", *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_line(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.log():
            assert self._process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.02)

    def ctrl_c(self) -> None:
        """As a terminal: SIGINT to all processes."""
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        """The exit code. All its processes have ended then."""
        code = self._process.wait(PATIENCE)
        for pid in re.findall(r"process started with pid \[(\d+)\]", self.log()):
            assert not Path(f"/proc/{pid}").exists(), f"{pid} outlived the launch:\n{self.log()}"
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def launch(environment, tmp_path):
    launches = []

    def start(*arguments: str) -> Launch:
        launches.append(Launch(environment, tmp_path, *arguments))
        return launches[-1]

    yield start
    for started in launches:
        started.kill()


@pytest.fixture
def node(fake_bundle, calibration_file):
    """Arguments of a node that starts at once."""
    return [f"bundle:={fake_bundle}", "backend:=fake", f"calibration_file:={calibration_file}", "loopback:=true"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["bundel:=x"], "bundel: no such argument; expected some of bundle, "),
        (["params_file:=/nowhere.yaml"], "params_file: /nowhere.yaml: no such file"),
        (["bundle:=nosuch", "bag:=/nowhere"], "bundle 'nosuch': no such folder"),
        (["bag:=/nowhere"], "/nowhere: no such bag"),
        (["threads:=many"], "threads: expected integer, got 'many'"),
    ],
)
def test_what_cannot_start_ends_the_launch_with_its_reason(launch, node, arguments, reason):
    started = launch("occle.launch.py", *node, *arguments)
    assert started.wait() == 1
    assert reason in started.log() and "Traceback" not in started.log()


def test_without_rviz_nothing_is_started(launch, node):
    if shutil.which("rviz2"):
        pytest.skip("rviz2 is installed here")
    started = launch("occle.launch.py", *node, "rviz:=true")
    assert started.wait() == 1
    assert "rviz2 cannot be started" in started.log() and "process started" not in started.log()


def test_ctrl_c_ends_node_and_player_in_silence(launch, node, tiny_sequence, tmp_path):
    write_bag(tiny_sequence, tmp_path / "bag")
    started = launch(
        "occle.launch.py", *node, f"bag:={tmp_path / 'bag'}", "loop:=true", "camera:=2", "namespace:=robot1"
    )
    started.wait_for_line("ready after")
    started.ctrl_c()
    assert started.wait() == 0
    log = started.log()
    assert "[robot1.occ_node]" in log
    for noise in ("Traceback", "Exception ignored", "has died", "interrupted\n"):
        assert noise not in log


@pytest.mark.parametrize("name", ["/**", "occ_node", "/occ_node"])
def test_a_file_of_parameters_between_defaults_and_arguments(launch, node, fake_bundle, tmp_path, name):
    file = tmp_path / "robot.yaml"
    parameters = f"{{bundle: {fake_bundle}, camera: 3, robot_height: 1.5}}"
    file.write_text(f"{name}:\n  ros__parameters: {parameters}\n")
    started = launch("monoocc.launch.py", *node[1:], f"params_file:={file}", "camera:=2", "compressed:=true")
    started.wait_for_line("Settings(")
    (settings,) = [line for line in started.log().splitlines() if "Settings(" in line]
    expected = (f"bundle='{fake_bundle}'", "camera=2,", "robot_height=1.5", "compressed=True")
    assert all(text in settings for text in expected), settings
    started.ctrl_c()
    assert started.wait() == 0


def ros2(environment, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*ROS2, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("file", ["occle.launch.py", "monoocc.launch.py"])
def test_all_parameters_are_shown(environment, file):
    done = ros2(environment, "launch", "occ_node", file, "--show-args")
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^    '(\w+)':$", done.stdout, re.MULTILINE)
    assert {row.name for row in fields(Settings)} | {"params_file", "namespace"} <= set(shown)


@pytest.mark.parametrize("executable", ["occ_node", "play", "engine"])
def test_ros2_run_finds_the_executables(environment, executable):
    done = ros2(environment, "run", "occ_node", executable, "--help")
    assert done.returncode == 0 and "usage: " in done.stdout, done.stderr
