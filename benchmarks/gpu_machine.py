"""The GPU of this machine: whether there is one, its name, settings and clocks. Standard library only."""

import ctypes
import platform
import re
import shutil
import subprocess
from datetime import datetime, timezone
from importlib.metadata import distributions
from pathlib import Path

PACKAGES = re.compile(
    r"(numpy|numba|onnx|onnxruntime.*|openvino|torch|triton|torch[-_]tensorrt|tensorrt.*|cuda[-_](python|bindings)"
    r"|mamba[-_]ssm|spconv.*|ros-rclpy|rclpy|occ[-_]node)"
)
CLOCKS = ("clocks.sm", "clocks.mem", "power.draw", "temperature.gpu")
SETTINGS = ("driver_version", "power.limit", "clocks.max.sm", "clocks.max.mem", "persistence_mode", "compute_mode")


def find_gpu() -> dict | None:
    """Name, compute capability, memory and CUDA version of the first GPU, from its driver; None without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count, device, number, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    capability = []
    for attribute in (75, 76):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        capability.append(str(number.value))
    driver.cuDriverGetVersion(ctypes.byref(number))
    return {
        "gpu": name.value.decode(errors="replace"),
        "compute_capability": ".".join(capability),
        "memory_mb": size.value >> 20,
        "cuda": f"{number.value // 1000}.{number.value % 1000 // 10}",
    }


def file_name(gpu: str) -> str:
    """`NVIDIA H200` -> `nvidia-h200`."""
    return "-".join(re.findall(r"[a-z0-9.]+", gpu.lower())) or "gpu"


def describe(gpu: dict) -> dict:
    """What results depend on: driver, power mode, limits of clocks and power, versions, date."""
    release = Path("/etc/nv_tegra_release")
    return {
        **gpu,
        "settings": _nvidia_smi(SETTINGS),
        "power_mode": _output("nvpmodel", "-q"),  # Jetson
        "l4t": release.read_text().splitlines()[0] if release.is_file() else None,
        "clocks_at_start": clocks(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def clocks() -> dict[str, str] | None:
    """Clocks, power and temperature at this moment; None where nvidia-smi does not report them (Jetson)."""
    return _nvidia_smi(CLOCKS)


def memory_used_mb() -> int | None:
    """Memory in use on the whole GPU, contexts included."""
    found = _nvidia_smi(("memory.used",))
    number = re.match(r"\d+", found["memory.used"]) if found else None
    return int(number[0]) if number else None


def versions() -> dict[str, str]:
    """Installed packages that results depend on."""
    names = {d.metadata["Name"]: d.version for d in distributions()}
    return {name: names[name] for name in sorted(names, key=str) if name and PACKAGES.fullmatch(name)}


def _nvidia_smi(fields: tuple[str, ...]) -> dict[str, str] | None:
    answer = _output("nvidia-smi", "--id=0", f"--query-gpu={','.join(fields)}", "--format=csv,noheader")
    values = answer.split(", ") if answer else []
    return dict(zip(fields, values, strict=True)) if len(values) == len(fields) else None


def _output(*command: str) -> str | None:
    """What a program prints, None where it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
