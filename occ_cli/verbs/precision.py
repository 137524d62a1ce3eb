"""Make a bundle's f16 and int8 models, measure what each costs in quality, and keep those that cost little.

examples:
  occ-train precision engines/occle-nano --calibration DATA/sequences/0[0-5] --evaluate DATA/sequences/08 \\
      --json out/precision.json

A model that costs more than a point of mIoU is not put into the bundle; the exit code is then 1."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", help="folder of the bundle, or the name of one in engines/")
    parser.add_argument(
        "--calibration", nargs="+", required=True, metavar="SEQ", help="sequence folders for int8's ranges"
    )
    parser.add_argument(
        "--evaluate", nargs="+", required=True, metavar="SEQ", help="sequence folders with voxels/*.label"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")


def command(arguments: argparse.Namespace) -> int:
    from export.precision import add_precisions, table_text
    from occ_runtime import Bundle, find_bundle

    bundle = Bundle.load(find_bundle(arguments.bundle))
    table, refused = add_precisions(bundle, arguments.calibration, arguments.evaluate, progress=True)
    print(table_text(table))
    if arguments.json:
        part = arguments.json.with_name(f"{arguments.json.name}.tmp")
        content = {"bundle": bundle.name, "precisions": [asdict(row) for row in table], "refused": refused}
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(part, arguments.json)
    for precision, reason in refused.items():
        print(f"occ-train precision: {precision} is not shipped: {reason}", file=sys.stderr)
    print(f"{bundle.path}: {', '.join(Bundle.load(bundle.path).precisions)}")
    return 1 if refused else 0
