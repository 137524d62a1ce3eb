"""Drive through a synthetic street: images, scans, labels, poses and exact voxel truth.

examples:
  occ-data synth --output data/synthetic --sequences 90 91 --frames 100 --seed 7
  occ-data synth --output data/demo --sequences 90 --frames 200 --voxels-every 5
  occ-data synth --output data/rigs --sequences 92 93 --rig random --varied   another LiDAR, camera and weather each"""

import argparse
from pathlib import Path

from ..arguments import count, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="data set to write, ROOT/sequences/SS")
    parser.add_argument("--sequences", nargs="+", required=True, metavar="SS", help="one drive each")
    parser.add_argument("--frames", type=positive, default=100, help="frames a drive, at 10 Hz (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="of the first drive, the next ones count up (default: 0)")
    parser.add_argument("--voxels-every", type=positive, default=1, metavar="N", help="voxel truth of every Nth frame")
    parser.add_argument(
        "--rig", default="hdl64-kitti",
        help="a preset such as vlp16, a rig.yaml that has a sensor, or random: from the seed (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--varied", action="store_true",
        help="streets with more in them: bridges, squares, car parks, woods, slopes, trams, construction, people",
    )  # fmt: skip
    parser.add_argument("--pixel-labels", action="store_true", help="the images' exact classes too, in pixel_labels/")


def command(arguments: argparse.Namespace) -> int:
    from occ_data.synthetic import generate

    for n, name in enumerate(arguments.sequences):
        generate(
            arguments.output, name, arguments.frames, arguments.seed + n,
            voxels_every=arguments.voxels_every, pixel_labels=arguments.pixel_labels,
            rig=arguments.rig, varied=arguments.varied,
        )  # fmt: skip
    return 0
