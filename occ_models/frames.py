"""Which frames of which drives a network is trained on, and whether they have all that the training needs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from occ_core.files import read_mapping
from occ_data import DataError, Drive
from occ_data.pseudo_labels.write import LABELS, RECIPE

from .sampling import labelled_frames


class Frame(NamedTuple):
    """A frame to train on.

    labelled : whether its voxel labels may be used; root : number of the data set that it belongs to
    occupied : file with a teacher's probabilities of being occupied (`targets.read_geometry`), where there is one
    features : file with a teacher's voxel features, where there is one
    """

    drive: Drive
    id: str
    labelled: bool
    root: int = 0
    occupied: Path | None = None
    features: Path | None = None

    def __str__(self) -> str:
        return f"{self.drive.name}/{self.id}"

    def file_in(self, folder: Path, suffix: str) -> Path:
        """The frame's own file below a folder that holds one for each frame."""
        return folder / f"{self.root}_{self.drive.name}" / f"{self.id}{suffix}"


def frames_of(drives: Sequence[Drive], share: float = 1.0, seed: int = 0, unlabelled_every: int = 0) -> list[Frame]:
    """Frames with voxel labels, of which an interval sample of `share` keeps them, and every `unlabelled_every`th of
    the others (0: none). A frame's `root` is the place of its drive's data set among `data_sets`.

    Raises DataError where there is no frame to train on.
    """
    roots = data_sets(drives)
    with_voxels = [(n, frame) for n, drive in enumerate(drives) for frame in drive.frames if drive.has_voxels(frame)]
    if not with_voxels and (share > 0 or not unlabelled_every):
        names = ", ".join(str(drive.path) for drive in drives) or "none given"
        raise DataError(f"no frame with voxel labels in {names}; run `occ-data ground-truth` first")
    kept = labelled_frames(len(with_voxels), share, seed)
    labelled = {key: bool(keep) for key, keep in zip(with_voxels, kept, strict=True)}
    frames = []
    for n, drive in enumerate(drives):
        root = roots.index(_data_set(drive))
        others = [frame for frame in drive.frames if (n, frame) not in labelled]
        used = set(others[::unlabelled_every] if unlabelled_every else [])
        frames += [
            Frame(drive, frame, labelled.get((n, frame), False), root)
            for frame in drive.frames
            if (n, frame) in labelled or frame in used
        ]
    return frames


def data_sets(drives: Iterable[Drive]) -> list[Path]:
    """The data sets of drives, in the order of their first drives: a folder with all drives in it is one, and so are
    all synthetic drives.
    """
    return list(dict.fromkeys(map(_data_set, drives)))


def _data_set(drive: Drive) -> Path:
    return drive.path.parent if drive.path.exists() else Path("synthetic")


def check_shares(drives: Iterable[Drive], shares: Sequence[float]) -> None:
    """Raise DataError where there are shares, and not one for each data set."""
    found = data_sets(drives)
    if shares and len(shares) != len(found):
        names = ", ".join(map(str, found))
        raise DataError(f"shares: {len(shares)} for {len(found)} data sets, {names}; expected one for each")


def check_frames(frames: Iterable[Frame], image_labels: str | None, past: bool = False, table: str = "") -> None:
    """Raise DataError before a long training starts where a frame lacks something, naming the first one and the remedy.

    image_labels : where the classes of images come from (`FrameDataset`); past : earlier frames, and so poses, are
        needed; table : that pseudo labels must have been made with, "" for any
    """
    frames = list(frames)
    for drive in {id(frame.drive): frame.drive for frame in frames}.values():
        _ = drive.calibration  # raises DataError itself
        if past and not drive.has_poses:
            raise DataError(f"{drive.path}: no poses; this network takes earlier frames, and needs to know the way")
        if image_labels == "pseudo_labels" and table:
            check_table(drive, table)
    images = {id(frame.drive): set(frame.drive.image_frames) for frame in frames}
    checks = [
        ("no image", lambda frame: frame.id in images[id(frame.drive)], ""),
        ("no scan", lambda frame: frame.drive.has_scan(frame.id), ""),
    ]
    if image_labels == "pseudo_labels":
        remedy = "; make them with `occ-data pseudo-labels`"
        checks.append(("no pseudo labels", lambda frame: frame.drive.has_pseudo_labels(frame.id), remedy))
    elif image_labels == "points":
        remedy = "; the classes of points come with SemanticKITTI"
        checks.append(("no labels of points", lambda frame: frame.drive.has_labels(frame.id), remedy))
    elif image_labels == "auto":
        remedy = "; make the former with `occ-data pseudo-labels`"
        either = lambda frame: frame.drive.has_pseudo_labels(frame.id) or frame.drive.has_labels(frame.id)  # noqa: E731
        checks.append(("neither pseudo labels nor labels of points", either, remedy))
    for lack, fulfilled, remedy in checks:
        lacking = [frame for frame in frames if not fulfilled(frame)]
        if lacking:
            more = f" (nor have {len(lacking) - 1} more frames)" if len(lacking) > 1 else ""
            raise DataError(f"{lacking[0].drive.path}: frame {lacking[0].id} has {lack}{more}{remedy}")


def check_table(drive: Drive, table: str) -> None:
    """Raise DataError where a drive's pseudo labels were made with another rule table, or with an unknown one."""
    path = drive.path / LABELS / RECIPE
    found = read_mapping(path).get("table") if path.is_file() else None
    if found != table:
        raise DataError(
            f"{path}: pseudo labels made with the table {found or 'that is not known'}; expected {table} "
            f"(`occ-data pseudo-labels --table {table}`, or another pseudo_table in the recipe)"
        )
