"""Built engines on disk. A plan depends on GPU, TensorRT and network, so its file name is a key made of all of them."""

import errno
import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from occ_core.files import write_bytes, write_json

from ..backend import BackendError, Report


class EngineUnusable(BackendError):
    """A plan that must not run: missing, damaged, for another machine or network, or with wrong results."""


@dataclass(frozen=True)
class EngineKey:
    """All that a plan depends on. shapes: tensor name -> dtype and shape; flags: the builder's settings."""

    onnx_sha256: str
    tensorrt: str
    gpu: str
    compute_capability: str
    precision: str
    shapes: dict[str, str]
    flags: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 over all parts."""
        return hashlib.sha256(json.dumps(self.parts(), sort_keys=True).encode()).hexdigest()

    def parts(self) -> dict[str, Any]:
        """All fields, as in the sidecar file."""
        return asdict(self) | {"flags": list(self.flags)}


def default_folder() -> Path:
    """$OCC_NODE_ENGINE_CACHE, else occ_node in the user's cache folder."""
    if folder := os.environ.get("OCC_NODE_ENGINE_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "occ_node"


class EngineCache:
    """Plans, each with a sidecar file: `<bundle>-<precision>-<key>.plan` and `.json`.

    Raises BackendError where the folder cannot be written.
    """

    def __init__(self, folder: str | Path = ""):
        self.folder = Path(folder).expanduser() if folder else default_folder()

    def load(self, bundle: str, key: EngineKey) -> bytes:
        """A stored plan. Raises EngineUnusable, whose message says why there is none or why it cannot be used."""
        plan, sidecar = self._files(bundle, key)
        if not plan.exists() and not sidecar.exists():
            raise EngineUnusable(f"engine {plan.stem} is not built yet")
        try:
            entry, content = json.loads(sidecar.read_text(encoding="utf-8")), plan.read_bytes()
            parts, size, digest = entry["key"], entry["plan"]["bytes"], entry["plan"]["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EngineUnusable(f"{sidecar}: unreadable: {type(error).__name__}: {error}") from None
        if parts != key.parts():
            raise EngineUnusable(f"{sidecar}: {_difference(parts, key.parts())}")
        if len(content) != size:
            raise EngineUnusable(f"{plan}: {len(content)} bytes, expected {size}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise EngineUnusable(f"{plan}: its sha256 is not the one in {sidecar.name}")
        return content

    def store(self, bundle: str, key: EngineKey, plan: bytes, build_seconds: float, golden: str) -> None:
        """Store a plan that has passed the golden sample; call this under `lock`."""
        file, sidecar = self._files(bundle, key)
        entry = {
            "bundle": bundle,
            "key": key.parts(),
            "plan": {"bytes": len(plan), "sha256": hashlib.sha256(plan).hexdigest()},
            "build_seconds": round(build_seconds, 1),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "golden": golden,
        }
        with self._writing():
            sidecar.unlink(missing_ok=True)  # a plan without one counts as absent
            write_bytes(file, plan, durable=True)  # a robot's power may go at any time
            write_json(sidecar, entry, durable=True)

    @contextmanager
    def lock(self, report: Report, cancelled: threading.Event) -> Iterator[None]:
        """One build at a time: two on one GPU disturb each other's timings. The lock ends with its process.

        cancelled : ends the wait for another process, with BackendError
        """
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = (self.folder / "lock").open("ab")
        with stream:
            if not _locked(stream):
                report(f"engine: another process builds in {self.folder}; waiting for it")
                while not _locked(stream):
                    if cancelled.wait(0.1):
                        raise BackendError(f"engine cache {self.folder}: the wait for another process was ended")
            yield

    def timing(self, key: EngineKey) -> bytes:
        """The timing cache of earlier builds on this GPU; empty where there is none."""
        file = self._timing_file(key)
        return file.read_bytes() if file.is_file() else b""

    def store_timing(self, key: EngineKey, timing: bytes) -> None:
        """Store it for the next build; call this under `lock`."""
        with self._writing():
            write_bytes(self._timing_file(key), timing, durable=True)

    def entries(self) -> list[tuple[Path, dict[str, Any]]]:
        """Every sidecar file and its content; empty for an unreadable one."""
        found = []
        for sidecar in sorted(self.folder.glob("*.json")):
            try:
                entry = json.loads(sidecar.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                entry = {}
            found.append((sidecar, entry if isinstance(entry, dict) else {}))
        return found

    def clean(self, report: Report) -> list[tuple[Path, int]]:
        """Remove plans, sidecars, timings and leftovers of an interrupted build; gives files and their bytes."""
        if not self.folder.is_dir():
            return []
        removed = []
        with self.lock(report, threading.Event()), self._writing():
            for pattern in ("*.plan", "*.json", "*.timing", "*.tmp"):
                for file in sorted(self.folder.glob(pattern)):
                    removed.append((file, file.stat().st_size))
                    file.unlink()
        return removed

    def _files(self, bundle: str, key: EngineKey) -> tuple[Path, Path]:
        name = f"{_plain(bundle)}-{key.precision}-{key.digest[:16]}"
        return self.folder / f"{name}.plan", self.folder / f"{name}.json"

    def _timing_file(self, key: EngineKey) -> Path:
        return self.folder / f"{_plain(key.gpu)}-{key.compute_capability}-tensorrt-{key.tensorrt}.timing"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            need = "free some space, or set" if full else "set"
            raise BackendError(
                f"engine cache {self.folder} cannot be written: {error.strerror}; {need} engine_cache to another folder"
            ) from None


def _locked(stream: IO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _difference(found: Any, wanted: dict[str, Any]) -> str:
    """The first part of a key that differs from the wanted one."""
    for name, value in wanted.items():
        other = found.get(name) if isinstance(found, dict) else None
        if other != value:
            return f"made for {name} {other!r}, expected {value!r}"
    return "made for another key"


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
