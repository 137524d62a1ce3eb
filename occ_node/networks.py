"""Loads the networks that the node runs: the bundle's, and that of the fallback."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from occ_runtime import Bundle, Predictor, Profiler, find_bundle, load_backend
from occ_runtime.backend import Report

from .parameters import ParameterError, Settings


@dataclass(frozen=True)
class Networks:
    """main : of `bundle`; fallback : of the parameter `fallback`, None without one
    fallback_megabytes : resident memory that the fallback took when it was loaded and tested
    """

    main: Predictor
    fallback: Predictor | None = None
    fallback_megabytes: float = 0.0

    def new_profiler(self) -> Profiler:
        """One for both, which starts now."""
        self.main.profiler = profiler = Profiler()
        if self.fallback is not None:
            self.fallback.profiler = profiler
        return profiler

    def close(self) -> None:
        """Free both."""
        self.main.backend.close()
        if self.fallback is not None:
            self.fallback.backend.close()


def load_networks(settings: Settings, report: Report) -> tuple[Networks, list[str]]:
    """Load them and run their golden samples; the networks, and a line on each for the log.

    Raises BundleError, BackendError or ParameterError; then nothing stays loaded.
    """
    bundle = Bundle.load(find_bundle(settings.bundle))
    spare = Bundle.load(find_bundle(settings.fallback)) if settings.fallback else None
    _check(bundle, spare, settings)
    with ExitStack() as undo:
        main, line = _load(bundle, settings, settings.precision, report, undo)
        if spare is None:
            undo.pop_all()
            return Networks(main), [f"bundle {line}"]
        before = resident_megabytes()
        # A precision that needs a file of its own is the main bundle's; others apply to both.
        precision = "auto" if settings.precision in ("f16", "int8") else settings.precision
        if settings.precision in spare.precisions:
            precision = settings.precision
        fallback, spare_line = _load(spare, settings, precision, report, undo)
        megabytes = max(0.0, resident_megabytes() - before)
        undo.pop_all()
    lines = [f"bundle {line}", f"fallback {spare_line}; {megabytes:.0f} MB of memory more"]
    return Networks(main, fallback, megabytes), lines


def _load(bundle: Bundle, settings: Settings, precision: str, report: Report, undo: ExitStack) -> tuple[Predictor, str]:
    """A network that passed its self-test, and one line on it."""
    backend = load_backend(
        bundle, settings.backend, settings.threads or None, precision, settings.engine_cache, report, standby=True
    )
    undo.callback(backend.close)
    predictor = Predictor(bundle, backend)
    result = predictor.self_test()
    return predictor, f"{bundle.name}, backend {backend.description}; {result}"


def _check(bundle: Bundle, spare: Bundle | None, settings: Settings) -> None:
    if not (bundle.needs_cloud or settings.frame):
        raise ParameterError(f"frame: empty; bundle {bundle.name} needs no cloud: expected the frame of its outputs")
    if spare is None:
        return
    if not bundle.needs_cloud:
        raise ParameterError(f"fallback: bundle {bundle.name} needs no cloud itself; expected none")
    if spare.needs_cloud:
        raise ParameterError(f"fallback: bundle {spare.name} needs clouds; expected one for the camera only")
    if spare.grid != bundle.grid:
        raise ParameterError(f"fallback: bundle {spare.name} has another grid than {bundle.name}; expected the same")


def resident_megabytes() -> float:
    """Memory of this process that is in RAM; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
