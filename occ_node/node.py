"""The ROS 2 node: camera and LiDAR in, or camera only; labelled voxels out.

This file is its life cycle. The executor's thread stores messages (inputs.py), pairs of them are processed and
published on two further threads (worker.py, pipeline.py, publishers.py).
"""

from .signals import exit_on_signals, ignore_signals, ignore_signals_to_the_end, interrupt_on_signals

if __name__ == "__main__":  # before the imports, which take seconds
    exit_on_signals()

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from occ_core.calibration_file import read_calibration_file
from occ_core.rig import Rig, read_rig
from occ_runtime import find_bundle

from .calibration_source import CalibrationSource
from .clouds import Clouds
from .counters import MOTION_EXTRAPOLATED, MOTION_MISSING, Counters, Drop, clouds_missing
from .diagnostics import Diagnostics
from .inputs import Inputs, TFMessage
from .log import Log, reason_of
from .map_source import MapSource
from .modes import BOTH, CAMERA, Modes
from .networks import Networks, load_networks
from .outputs import OUTPUTS, Output
from .parameters import ESTIMATED, ParameterError, Settings, check_changes, declare_parameters, read_parameters
from .pipeline import Pipeline
from .publishers import Publishers
from .sensing import Sensing
from .spin import answer_always, spin
from .synchroniser import Synchroniser
from .topics import IMAGE, POINTS
from .worker import Worker

_NAME_CHECK = 2.0
"""Seconds between two looks for another node of the same name."""
_USAGE = """\
usage: occ_node --ros-args [-p PARAMETER:=VALUE]... [--params-file FILE] [-r TOPIC:=NAME]...
  such as --ros-args -p bundle:=occle-nano -r image:=/camera/image_raw -r points:=/velodyne_points
`occ-node run --parameters` prints all parameters; `occ-node run` has options for the most common."""


@dataclass(frozen=True)
class _Configured:
    """What exists from configuration to clean-up."""

    settings: Settings
    networks: Networks
    calibration: CalibrationSource
    rig: Rig


@dataclass(frozen=True)
class _Active:
    """What exists from activation to deactivation. `end` stops the worker and leaves all topics."""

    publishers: Publishers
    map_source: MapSource
    synchroniser: Synchroniser
    clouds: Clouds
    counters: Counters
    end: Callable[[], None]


class OccupancyNode(LifecycleNode):
    """Semantic occupancy from one camera and one LiDAR, or from the camera only where the bundle needs no cloud.

    A transition that fails says why in the log, and leaves nothing behind of what it had begun.
    """

    def __init__(self, outputs: Iterable[Output] = OUTPUTS):
        """outputs : the topics to publish; add your own at the end, `(*OUTPUTS, mine)`"""
        super().__init__("occ_node")
        declare_parameters(self)
        self.finalised = False
        """Whether it was shut down: everything is freed, and no transition is left."""
        self._outputs = tuple(outputs)
        self._log = Log(self.get_logger())
        self._engine = ""
        self._configured: _Configured | None = None
        self._active: _Active | None = None
        self.add_on_set_parameters_callback(self._on_parameters)
        answer_always(self, self.survived)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._name_timer = self.create_timer(_NAME_CHECK, self._check_name, clock=clock)

    @property
    def autostart(self) -> bool:
        """Whether the node starts by itself, without a lifecycle manager."""
        return self.get_parameter("autostart").value

    def start(self) -> bool:
        """Configure and activate; False where that failed, with the reason in the log."""
        transitions = (self.trigger_configure, self.trigger_activate)
        return all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)

    def survived(self, error: Exception) -> None:
        """An exception that no callback expected: to the log, at most one line a while, and to the diagnostics."""
        text = f"a callback failed: {reason_of(error)}"
        if self._active is not None:
            self._active.counters.error(Drop.CALLBACK, text)
        else:
            self._log.error(Drop.CALLBACK, text)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the bundle, the backend, the calibration file and the rig; run the golden sample."""
        self._engine = ""
        try:
            with ExitStack() as undo:
                self._configured = self._configure(undo)
                undo.pop_all()
        except Exception as error:
            return self._refuse("not configured", error)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Warm everything up, then subscribe."""
        start = time.perf_counter()
        try:
            with ExitStack() as undo:
                self._active = self._activate(undo)
        except Exception as error:
            return self._refuse("not activated", error)
        self.get_logger().info(f"ready after a warm-up of {time.perf_counter() - start:.1f} s")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the current frame and leave all topics."""
        self._release(self._end)
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network."""
        self._release(self._free)
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error in another transition: back to unconfigured."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self.release()
        self.destroy_timer(self._name_timer)
        self.finalised = True
        return TransitionCallbackReturn.SUCCESS

    def release(self) -> None:
        """End the worker after its current frames, leave all topics, free the network, end a running build."""
        self._release(self._end, self._free)

    def _configure(self, undo: ExitStack) -> _Configured:
        """undo : gets what takes it apart again, as far as it comes"""
        settings = read_parameters(self)
        file = settings.calibration_file
        extrinsics = read_calibration_file(file, settings.camera) if file else None
        rig = (read_rig(settings.rig) if settings.rig else Rig()).completed(Rig.at_height(settings.height))
        networks, lines = load_networks(settings, self._on_engine)
        undo.callback(networks.close)
        if settings.ground == ESTIMATED and not networks.main.bundle.needs_cloud:
            name = networks.main.bundle.name
            raise ParameterError(f"ground: estimated; bundle {name} takes no cloud: expected declared")
        for line in (f"{settings}", *lines, f"rig: {rig}"):
            self.get_logger().info(line)
        return _Configured(settings, networks, CalibrationSource(extrinsics, TFMessage is not None), rig)

    def _activate(self, undo: ExitStack) -> _Active:
        """undo : as above"""
        configured = self._configured
        if configured is None:
            raise RuntimeError("the node is not configured")
        settings, networks, calibration = configured.settings, configured.networks, configured.calibration
        needs_cloud = networks.main.bundle.needs_cloud
        frame_inputs = (IMAGE, POINTS) if needs_cloud else (IMAGE,)
        spare = frame_inputs if networks.fallback else (IMAGE,)
        clouds = Clouds(settings.clouds, settings.sync_tolerance)
        counters = _counters(settings, needs_cloud, self._log)
        publishers = Publishers(self, self._outputs, settings)
        undo.callback(publishers.destroy)
        pipeline = Pipeline(
            networks.main, calibration, settings, configured.rig, counters, self._log, clouds, networks.fallback
        )
        map_source = MapSource(settings, calibration, self._log)
        publishers.warm_up(map_source.warm_up(pipeline.warm_up()))
        profiler = networks.new_profiler()
        modes = Modes(self, BOTH if needs_cloud else CAMERA, self._log)
        undo.callback(modes.destroy)
        synchroniser = Synchroniser(settings.sync_tolerance, counters, frame_inputs, spare)
        inputs = Inputs(self, settings, synchroniser, calibration, counters, self._log, clouds)
        undo.callback(inputs.destroy)
        facts = partial(self._facts, configured, map_source, pipeline.sensing)
        diagnostics = Diagnostics(
            self, facts, counters, profiler, inputs.connections, modes, publishers.wanted, settings.timeout,
            lambda: [*pipeline.sensing.problems(), *map_source.problems()],
        )  # fmt: skip
        undo.callback(diagnostics.destroy)
        undo.callback(Worker(self, synchroniser, pipeline, map_source, publishers, counters, profiler, modes).stop)
        return _Active(publishers, map_source, synchroniser, clouds, counters, undo.pop_all().close)

    def _end(self) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.end()

    def _free(self) -> None:
        """The worker must have stopped."""
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.networks.close()

    def _release(self, *steps: Callable[[], None]) -> None:
        """Each of them, whether or not another fails."""
        for step in steps:
            try:
                step()
            except Exception as error:
                self._refuse("not released", error)

    def _refuse(self, what: str, error: Exception) -> TransitionCallbackReturn:
        if self.context.ok():  # otherwise a signal ended the context, and the error is a result of that
            self.get_logger().error(f"{what}: {reason_of(error)}")
        return TransitionCallbackReturn.FAILURE

    def _on_parameters(self, parameters) -> SetParametersResult:
        """Refuse what cannot be used; what applies at once goes to the running parts."""
        values = {parameter.name: parameter.value for parameter in parameters}
        try:
            changes = check_changes(values, self._active is not None)
            for name in ("bundle", "fallback"):
                if wanted := changes.later.get(name):
                    find_bundle(wanted)
            if file := changes.later.get("calibration_file"):
                read_calibration_file(file, values.get("camera", self.get_parameter("camera").value))
            if source := changes.later.get("rig"):
                read_rig(source)
        except Exception as error:
            return SetParametersResult(successful=False, reason=reason_of(error))
        if self._configured is not None:
            self._configured = replace(self._configured, settings=replace(self._configured.settings, **changes.now))
            if self._active is not None:
                self._active.publishers.settings = self._configured.settings
                self._active.map_source.settings = self._configured.settings
                self._active.synchroniser.tolerance = self._configured.settings.sync_tolerance
                self._active.clouds.tolerance = self._configured.settings.sync_tolerance
            if changes.later:
                self.get_logger().info(f"{', '.join(changes.later)}: takes effect with the next configuration")
        return SetParametersResult(successful=True)

    def _check_name(self) -> None:
        own = (self.get_name(), self.get_namespace())
        if self.get_node_names_and_namespaces().count(own) > 1:
            self._log.warn_once(
                f"another node is called {self.get_fully_qualified_name()} too; give one of them another name with "
                "-r __node:=NAME (a node that was killed counts for some seconds)"
            )

    def _on_engine(self, text: str) -> None:
        """Progress of a TensorRT build, from its thread: to the log, and with the next diagnostics."""
        self._engine = text
        self.get_logger().info(text)

    def _facts(self, configured: _Configured, map_source: MapSource, sensing: Sensing) -> dict[str, str]:
        """What the diagnostics say besides the counters."""
        main, fallback = configured.networks.main, configured.networks.fallback
        facts = {
            "bundle": main.bundle.name, "model": f"{main.bundle.model} {main.bundle.size} {main.bundle.version}",
            "backend": main.backend.description, "engine": self._engine,
            "calibration": configured.calibration.describe(), "rig": str(configured.rig),
            "map": map_source.describe(), **sensing.values(),
        }  # fmt: skip
        if fallback is not None:
            facts["fallback"] = f"{fallback.bundle.name}, {configured.networks.fallback_megabytes:.0f} MB"
            facts["fallback_backend"] = fallback.backend.description
        return facts


def _counters(settings: Settings, needs_cloud: bool, log: Log) -> Counters:
    clouds = settings.clouds if needs_cloud else ()
    others = tuple(clouds_missing(topic) for topic in clouds) if len(clouds) > 1 else ()
    if clouds and settings.odom_frame:
        others += (MOTION_MISSING, MOTION_EXTRAPOLATED)
    return Counters((IMAGE, *clouds), log.error, others)


def main(args: list[str] | None = None, outputs: Iterable[Output] = OUTPUTS) -> int:
    """Run the node until SIGINT, SIGTERM or the transition `shutdown`; 0 then, 1 where it could not start.

    args : the program's name and arguments, `sys.argv` if None; all but `--ros-args` are refused
    outputs : see `OccupancyNode`
    """
    try:
        return _run(args, outputs)
    except KeyboardInterrupt:
        return 0


def _run(args: list[str] | None, outputs: Iterable[Output]) -> int:
    """As `main`; raises KeyboardInterrupt for a signal."""
    node, initialised = None, False
    try:
        interrupt_on_signals()
        if others := remove_ros_args(args)[1:]:
            return _answer(others)
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)  # `spin` installs them
        initialised = True
        node = OccupancyNode(outputs)
        if node.autostart and not node.start():
            return 1 if rclpy.ok() else 0
        spin(node, lambda: node.finalised, node.survived)
        return 0
    except (ParameterError, RuntimeError) as error:  # of the command line
        if initialised and not rclpy.ok():  # a signal ended the context before the node was made
            return 0
        print(f"occ_node: {reason_of(error)}", file=sys.stderr)
        return 1
    finally:
        ignore_signals()
        if node is not None:
            node.release()
            node.destroy_node()
        rclpy.try_shutdown()
        ignore_signals_to_the_end()


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
