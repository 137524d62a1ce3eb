"""Which frames of which sequences a network is trained on, and whether all they need is there."""

from collections.abc import Iterable
from collections.abc import Sequence as Items
from pathlib import Path
from typing import NamedTuple

from occ_data.kitti import DataError, Sequence

from .sampling import labelled_frames


class Frame(NamedTuple):
    """A frame to train on.

    labelled : whether its voxel labels may be used; root : number of the data set that it belongs to
    occupied : file with a teacher's probabilities of being occupied (`targets.read_geometry`), where there is one
    features : file with a teacher's voxel features, where there is one
    """

    sequence: Sequence
    id: str
    labelled: bool
    root: int = 0
    occupied: Path | None = None
    features: Path | None = None

    def __str__(self) -> str:
        return f"{self.sequence.name}/{self.id}"

    def file_in(self, folder: Path, suffix: str) -> Path:
        """The frame's own file below a folder that holds one for each frame."""
        return folder / f"{self.root}_{self.sequence.name}" / f"{self.id}{suffix}"


def source_of(sequence: Sequence) -> Path:
    """Where a sequence comes from: its folder, or its name where it has no files."""
    return Path(getattr(sequence, "path", sequence.name))


def frames_of(sequences: Items[Sequence], share: float = 1.0, seed: int = 0, unlabelled_every: int = 0) -> list[Frame]:
    """Frames with voxel labels, of which an interval sample of `share` keeps them, and every `unlabelled_every`th of
    the others (0: none). Sequences beside each other in one folder are one data set.

    Raises DataError where there is no frame to train on.
    """
    roots = sorted({source_of(sequence).parent for sequence in sequences})
    with_voxels = [(n, frame) for n, s in enumerate(sequences) for frame in s.frames if s.has_voxels(frame)]
    if not with_voxels and (share > 0 or not unlabelled_every):
        names = ", ".join(str(source_of(sequence)) for sequence in sequences) or "none given"
        raise DataError(f"no frame with voxels/*.label in {names}; run `occ-data ground-truth` first")
    kept = labelled_frames(len(with_voxels), share, seed)
    labelled = {key: bool(keep) for key, keep in zip(with_voxels, kept, strict=True)}
    frames = []
    for n, sequence in enumerate(sequences):
        root = roots.index(source_of(sequence).parent)
        others = [frame for frame in sequence.frames if (n, frame) not in labelled]
        used = set(others[::unlabelled_every] if unlabelled_every else [])
        frames += [
            Frame(sequence, frame, labelled.get((n, frame), False), root)
            for frame in sequence.frames
            if (n, frame) in labelled or frame in used
        ]
    return frames


def check_files(frames: Iterable[Frame], image_labels: str | None, past: bool = False) -> None:
    """Raise DataError before a long training starts where a file is missing, naming the first and how to make it.

    Sequences without files of their own are not checked. image_labels : where the classes of images come from
    (`FrameDataset`); past : earlier frames are needed, and so poses.
    """
    remedies = {
        "image_2": "", "velodyne": "", "pseudo_labels": "; make them with `occ-data pseudo-labels`",
        "labels": "; the classes of points come with SemanticKITTI",
    }  # fmt: skip
    needed = [("image_2", "png"), ("velodyne", "bin")]
    needed += {"pseudo_labels": [("pseudo_labels", "png")], "points": [("labels", "label")], None: []}[image_labels]
    frames = [frame for frame in frames if isinstance(frame.sequence, Sequence)]
    for sequence in {id(frame.sequence): frame.sequence for frame in frames}.values():
        for name in ("calib.txt", *(["poses.txt"] if past else [])):
            if not (sequence.path / name).is_file():
                raise DataError(f"{sequence.path / name}: missing")
    for folder, suffix in needed:
        missing = [p for p in (f.sequence.file(folder, f.id, suffix) for f in frames) if not p.is_file()]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise DataError(f"{missing[0]}: missing{more}{remedies[folder]}")
