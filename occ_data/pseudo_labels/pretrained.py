"""The transformers library, which only the segmenters with networks need, and its models by name."""

from ..kitti import DataError


def transformers_library():
    """The module; DataError naming the extra where it, torch or torchvision is not installed."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise _missing(error.name) from None
    has = {"torch": transformers.utils.is_torch_available, "torchvision": transformers.utils.is_torchvision_available}
    for name, is_installed in has.items():
        if not is_installed():
            raise _missing(name)
    return transformers


def from_pretrained(kind, name: str, **options):
    """`kind.from_pretrained(name)` for a folder or hub name; DataError in one line where that fails."""
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{name}: cannot be loaded as {kind.__name__}: {reason}") from None


def _missing(name: str) -> DataError:
    return DataError(f"segmenting with transformers needs {name}; install it with: pip install '.[segment]'")
