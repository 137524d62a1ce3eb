"""Pack predictions for SemanticKITTI's benchmark of semantic scene completion.

examples:
  occ-node infer --bundle engines/occle-base --dataset KITTI --sequences {11..21} --voxel-frames --output out/test
  occ-node submission --dataset KITTI --predictions out/test --output submission.zip

The archive holds sequences/SS/predictions/NNNNNN.label of the test sequences 11 to 21: for every voxels/NNNNNN.bin of
the data set one, and none for other frames. Every file is checked before the archive is written: 256 x 256 x 32 uint16
raw ids of SemanticKITTI's grid, each of a class. Nothing is sent."""

import argparse
from pathlib import Path

TEST_SEQUENCES = tuple(f"{number}" for number in range(11, 22))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, required=True, metavar="ROOT", help="folder that holds sequences/")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="what `infer` wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="ZIP", help="archive to write")
    parser.add_argument(
        "--description", type=Path, metavar="FILE", help="description.txt for the leaderboard: method, links, authors"
    )


def command(arguments: argparse.Namespace) -> int:
    from ..errors import CommandError

    if arguments.output.suffix != ".zip":
        raise CommandError(f"{arguments.output}: expected a name that ends with .zip, as the server does")
    files = checked_files(arguments.dataset, arguments.predictions)
    write_archive(files, arguments.output, arguments.description)
    size = arguments.output.stat().st_size / 1e6
    print(f"{len(files)} frames of {len(TEST_SEQUENCES)} sequences in {arguments.output}, {size:,.1f} MB")
    return 0


def checked_files(dataset: Path, predictions: Path) -> list[Path]:
    """The prediction of every frame that the server scores. Raises CommandError or DataError, naming the first that is
    missing or cannot be used.
    """
    from tqdm import tqdm

    from occ_core import IGNORE, KITTI_GRID
    from occ_core.taxonomy import voxels_from_raw
    from occ_data.kitti import read_grid, read_voxel_labels

    from ..errors import CommandError
    from ..predictions import prediction_file

    files = []
    for name in TEST_SEQUENCES:
        voxels = dataset / "sequences" / name / "voxels"
        frames = sorted(path.stem for path in voxels.glob("*.bin"))
        if not frames:
            raise CommandError(f"{voxels}: no .bin files; the benchmark scores these frames of sequences 11 to 21")
        files += [prediction_file(predictions, name, frame) for frame in frames]
    if missing := [path for path in files if not path.is_file()]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise CommandError(f"{missing[0]}: missing{more}; expected a prediction for every voxels/NNNNNN.bin")
    for path in tqdm(files, "check", unit="frame"):
        if (grid := read_grid(path.parent)) != KITTI_GRID:
            raise CommandError(f"{path}: is on {grid}; the benchmark takes SemanticKITTI's grid")
        raw = read_voxel_labels(path)
        wrong = voxels_from_raw(raw) == IGNORE
        if wrong.any():
            raise CommandError(f"{path}: holds id {int(raw[wrong][0])}; expected raw ids of classes, 0 where free")
    return files


def write_archive(files: list[Path], output: Path, description: Path | None = None) -> None:
    """Write checked predictions as the server expects them: folders have entries of their own, paths begin with
    sequences/.
    """
    from zipfile import ZIP_DEFLATED, ZipFile

    from tqdm import tqdm

    from occ_core.files import read_bytes, read_text, replacing

    text = read_text(description) if description else None
    with replacing(output) as part, ZipFile(part, "w", ZIP_DEFLATED) as archive:
        folders = [f"sequences/{name}/{below}" for name in TEST_SEQUENCES for below in ("", "predictions/")]
        for folder in ("sequences/", *folders):
            archive.writestr(folder, b"")
        for path in tqdm(files, "write", unit="frame"):
            archive.writestr(f"sequences/{path.parent.parent.name}/predictions/{path.name}", read_bytes(path))
        if text is not None:
            archive.writestr("description.txt", text)
