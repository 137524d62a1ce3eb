"""Which names each served TensorRT version has, from `api.yaml`."""

from pathlib import Path

import yaml

API = yaml.safe_load((Path(__file__).parent / "api.yaml").read_text(encoding="utf-8"))
SERVED = tuple(API["served"])


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def has(version: str, name: str) -> bool:
    """Whether a version has a name such as "BuilderFlag.FP16"."""
    holder, _, member = name.partition(".")
    since, until = API["since"].get(name, "0"), API["until"].get(name, "99")
    return member in API["names"].get(holder, ()) and number(since) <= number(version) < number(until)


def guarded(version: str) -> type:
    """Base of the stand-in's classes."""

    class Guarded:
        """Nothing can be set on it, or asked of it, that the version's class of this name lacks."""

        def __setattr__(self, name, value):
            if not name.startswith("_") and not has(version, f"{type(self).__name__}.{name}"):
                raise AttributeError(f"{type(self).__name__} of {version} has no {name}")
            object.__setattr__(self, name, value)

        def __init_subclass__(cls):
            names = [name for name in vars(cls) if not name.startswith("_")] if cls.__name__ in API["names"] else []
            for name in names:
                if not has(version, f"{cls.__name__}.{name}"):
                    delattr(cls, name)

    return Guarded
