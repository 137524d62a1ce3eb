"""The ROS 2 node: camera and LiDAR in, or camera only; labelled voxels out.

This file is its life cycle. The executor's thread stores messages (inputs.py), pairs of them are processed and
published on two further threads (worker.py, pipeline.py, publishers.py).
"""

import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.utilities import remove_ros_args

from occ_core import CalibrationError
from occ_core.calibration_file import RigCalibration, read_calibration_file
from occ_runtime import BackendError, Bundle, BundleError, Predictor, Profiler, find_bundle, load_backend

from .calibration_source import CalibrationSource
from .counters import Counters
from .diagnostics import Diagnostics
from .inputs import Inputs, TFMessage
from .log import Log
from .outputs import OUTPUTS, Output
from .parameters import ParameterError, Settings, declare_parameters, read_parameters
from .pipeline import Pipeline
from .publishers import Publishers
from .synchroniser import Synchroniser
from .topics import IMAGE, POINTS
from .worker import Worker

_USAGE = """\
usage: occ_node --ros-args [-p PARAMETER:=VALUE]... [--params-file FILE] [-r TOPIC:=NAME]...
  such as --ros-args -p bundle:=occle-nano -r image:=/camera/image_raw -r points:=/velodyne_points
`occ-node run --parameters` prints all parameters; `occ-node run` has options for the most common."""


class StartError(RuntimeError):
    """The node cannot be configured; one line with the reason."""


@dataclass(frozen=True)
class _Configured:
    """What exists from configuration to clean-up."""

    settings: Settings
    predictor: Predictor
    calibration: CalibrationSource


@dataclass(frozen=True)
class _Active:
    """What exists from activation to deactivation."""

    publishers: Publishers
    diagnostics: Diagnostics
    inputs: Inputs
    worker: Worker


class OccupancyNode(LifecycleNode):
    """Semantic occupancy from one camera and one LiDAR, or from the camera only where the bundle needs no cloud."""

    def __init__(self, outputs: Iterable[Output] = OUTPUTS):
        """outputs : the topics to publish; add your own at the end, `(*OUTPUTS, mine)`"""
        super().__init__("occ_node")
        declare_parameters(self)
        self.refused = ""
        """Why the last configuration failed."""
        self._outputs = tuple(outputs)
        self._log = Log(self.get_logger())
        self._engine = ""
        self._configured: _Configured | None = None
        self._active: _Active | None = None

    @property
    def autostart(self) -> bool:
        """Whether the node starts by itself, without a lifecycle manager."""
        return self.get_parameter("autostart").value

    def start(self) -> None:
        """Configure and activate. Raises StartError."""
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise StartError(self.refused or "the node could not be started")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the bundle, the backend and the calibration file; run the golden sample."""
        try:
            self._engine = ""
            settings = read_parameters(self)
            file = settings.calibration_file
            rig = read_calibration_file(file, settings.camera) if file else None
            predictor = self._load(settings, rig)
            result = predictor.self_test()
        except (ParameterError, CalibrationError, BundleError, BackendError) as error:
            self.refused = str(error)
            self.free()
            if not self.autostart:  # otherwise `main` prints it
                self.get_logger().error(self.refused)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"{settings}")
        self.get_logger().info(f"bundle {predictor.bundle.name}, backend {predictor.backend.description}; {result}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Warm everything up, then subscribe."""
        start, configured = time.perf_counter(), self._configured
        if configured is None:
            return TransitionCallbackReturn.FAILURE
        settings, predictor, calibration = configured.settings, configured.predictor, configured.calibration
        inputs = (IMAGE, POINTS) if predictor.bundle.needs_cloud else (IMAGE,)
        counters = Counters(inputs, self._log.error)
        publishers = Publishers(self, self._outputs, settings)
        pipeline = Pipeline(predictor, calibration, settings, counters, self._log)
        publishers.warm_up(pipeline.warm_up())
        predictor.profiler = profiler = Profiler()
        synchroniser = Synchroniser(settings.sync_tolerance, counters, inputs)
        self._active = _Active(
            publishers,
            Diagnostics(self, partial(self._facts, configured), counters, profiler),
            Inputs(self, settings, synchroniser, calibration, counters, self._log),
            Worker(self, synchroniser, pipeline, publishers, counters, profiler),
        )
        self.get_logger().info(f"ready after a warm-up of {time.perf_counter() - start:.1f} s")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the current frame and leave all topics."""
        self.stop()
        if self._active is not None:
            self._active.inputs.destroy()
            self._active.diagnostics.destroy()
            self._active.publishers.destroy()
            self._active = None
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network."""
        self.free()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self.stop()
        return TransitionCallbackReturn.SUCCESS

    def stop(self) -> None:
        """End the worker after its current frames."""
        if self._active is not None:
            self._active.worker.stop()

    def free(self) -> None:
        """Free the network and end a running build; the worker must have stopped."""
        if self._configured is not None:
            self._configured.predictor.backend.close()
            self._configured = None

    def _load(self, settings: Settings, rig: RigCalibration | None) -> Predictor:
        bundle = Bundle.load(find_bundle(settings.bundle))
        backend = load_backend(
            bundle, settings.backend, settings.threads or None, settings.precision, settings.engine_cache,
            report=self._on_engine, standby=True,
        )  # fmt: skip
        predictor = Predictor(bundle, backend)
        self._configured = _Configured(settings, predictor, CalibrationSource(rig, TFMessage is not None))
        return predictor

    def _on_engine(self, text: str) -> None:
        """Progress of a TensorRT build, from its thread: to the log, and with the next diagnostics."""
        self._engine = text
        self.get_logger().info(text)

    def _facts(self, configured: _Configured) -> dict[str, str]:
        """What the diagnostics say besides the counters."""
        bundle = configured.predictor.bundle
        return {
            "mode": "camera+lidar" if bundle.needs_cloud else "camera", "bundle": bundle.name,
            "model": f"{bundle.model} {bundle.size} {bundle.version}",
            "backend": configured.predictor.backend.description, "engine": self._engine,
            "calibration": configured.calibration.describe(),
        }  # fmt: skip


def main(args: list[str] | None = None, outputs: Iterable[Output] = OUTPUTS) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 1 where it refused to start (one line on stderr).

    args : the program's name and arguments, `sys.argv` if None; all but `--ros-args` are refused
    outputs : see `OccupancyNode`
    """
    try:
        if others := remove_ros_args(args)[1:]:
            return _answer(others)
        rclpy.init(args=args)
    except RuntimeError as error:
        print(f"occ_node: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    node = None
    try:
        node = OccupancyNode(outputs)
        if node.autostart:
            node.start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok():
            # Not spin(): a signal wakes the executor before the context is shut down, and it may go back to sleep.
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (StartError, ParameterError) as error:
        if rclpy.ok():
            print(f"occ_node: {error}", file=sys.stderr)
            return 1
    except Exception:
        if rclpy.ok():  # otherwise a signal ended the context, and the error is a result of that
            raise
    finally:
        # `ros2 launch` and a terminal deliver SIGINT twice.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.stop()
            node.free()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _answer(arguments: list[str]) -> int:
    """What arguments that are not ROS's get, which rclpy would ignore: help, or a refusal; gives the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return 0
    expected = "--ros-args -p bundle:=occle-nano -r image:=/camera/image_raw"
    print(f"occ_node: {arguments[0]}: no such argument; expected a form such as {expected}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
