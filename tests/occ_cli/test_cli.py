"""What the command line says to those who get it wrong, and how fast it answers `--help`."""

import subprocess
import sys

import pytest

from occ_cli import node as cli


def test_help_imports_nothing_heavy():
    code = "import sys; from occ_cli.node import COMMAND_LINE; COMMAND_LINE.parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "numba", "cv2", "rclpy", "rosbags", "tqdm", "yaml"} & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("demo --bag {tmp}/no.mcap --backend fake --output {tmp}/out", "no.mcap: no such bag"),
        ("demo --bundle {tmp}/nothing --output {tmp}/out", "nothing"),
        ("demo --frames 2 --output {tmp}/out", "--frames: expected at least 10, got 2"),
        ("demo --rate 0 --output {tmp}/out", "--rate: expected a positive number"),
        ("demo --truth {tmp} --output {tmp}/out", "--truth goes with --bag"),
        ("demo --bag {camera_bag} --backend fake --output {tmp}/out", "which points topic?"),
        (
            "demo --bag {camera_bag} --backend fake --bundle {camera_bundle} --lidar-frame os --output {tmp}/out",
            "no transform between 'os' and 'camera_color_left' in /tf_static or /tf; frames there: camera_color_left, "
            "velo_link, world; give the extrinsics with --calibration FILE",
        ),
        ("run --bundle no-such-bundle", "bundle 'no-such-bundle'"),
        ("run --calibration {tmp}/calib.txt", "calib.txt: no such file"),
        ("run --param threads=2", "expected NAME:=VALUE"),
        ("play {tmp}/no.bag", "no.bag: no such bag"),
        ("play {bag} --topics /camera", "no topic '/camera'; there are: /kitti/"),
        ("play {bag} --remap /kitti/velo/pointcloud", "expected FROM:=TO"),
        ("play {bag} --rate -1", "rate: expected a positive number, got -1"),
        (
            "bag {tmp}/nothing -o {tmp}/out",
            "nothing: expected a sequence folder (with velodyne/ or image_2/), a bag",
        ),
        ("bag {bag} -o {tmp}/out", "expected ROOT/sequences/NAME"),
        ("infer --bundle {bundle} --backend fake --dataset {tmp} --sequences 08 --output {tmp}/out", "sequences"),
        ("infer --output {tmp}/out", "expected --dataset ROOT --sequences SS, --drive DRIVE, or --image FILE"),
        ("infer --dataset {data} --output {tmp}/out", "--dataset and --sequences go together"),
        ("infer --image {tmp}/a.png --output {tmp}/out", "--image goes with --calibration FILE"),
        (
            "infer --image {tmp}/a.png --calibration c --sequences 90 --output {tmp}",
            "--sequences does not go",
        ),
        (
            "infer --bundle {bundle} --dataset {data} --sequences 90 --depth {tmp}/a.npy --output {tmp}",
            "takes a LiDAR's cloud and no depth images",
        ),
        (
            "infer --bundle {bundle} --image {tmp}/a.png --calibration c --output {tmp}/out",
            "takes camera-only bundles",
        ),
        ("infer --bundle {bundle} --backend tpu --dataset {data} --sequences 90 --output {tmp}/out", "backend 'tpu'"),
        ("evaluate --dataset {data} --predictions {tmp} --sequences 91", "sequences/91"),
        ("evaluate --dataset {data} --predictions {tmp} --sequences 90", "predictions/000000.label: missing"),
        ("render", "expected one of FILE, --dataset ROOT --sequences SS, and --drive DRIVE"),
        ("render {tmp}/a.label", "a.label: no such file"),
        ("evaluate --drive {bag} --predictions {tmp}", "drive: has no voxel ground truth"),
        ("evaluate --drive synthetic:x --predictions {tmp}", "synthetic:x: expected synthetic:SEED"),
        ("infer --drive {bag} {bag} --bundle {bundle} --output {tmp}", "--drive: two drives are called 'drive'"),
        ("infer --drive {bag} --bundle {bundle} --topics lidar:=/a --output {tmp}", "expected image:=TOPIC"),
        ("render --dataset {data} --sequences 90 --frame 000777", "--frame 000777"),
        ("render --dataset {data} --sequence 90 --frame 000001", "occ-data ground-truth"),
        ("render --dataset {data} --sequences 90 91", "sequences/91"),
        ("render --drive {bag} {data}/sequences/90", "--drive: expected one, got 2"),
        ("render --dataset {data}", "--dataset and --sequences go together"),
        ("render {bag}", "expected one topic of type std_msgs/msg/UInt8MultiArray"),
    ],
)
def test_unusable_input_gives_one_clear_line_and_code_2(
    arguments, words, tmp_path, drive, bag, camera_bag, fake_bundle, camera_bundle, capsys
):
    names = {"tmp": tmp_path, "bag": bag, "bundle": fake_bundle.path, "data": drive.path.parents[1]}
    names |= {"camera_bag": camera_bag, "camera_bundle": camera_bundle.path}
    verb, *rest = arguments.format(**names).split()
    assert cli.main([verb, *rest]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"occ-node {verb}: ")
    assert words in said
    assert "\n" not in said


def test_run_turns_its_options_into_ros_arguments(fake_bundle, tmp_path):
    calibration = tmp_path / "calib.txt"
    calibration.write_text("")
    given = cli.COMMAND_LINE.parser().parse_args(
        f"run --bundle {fake_bundle.path} --calibration {calibration} --points /lidar --frame os --height 0.6 "
        "--param threads:=2 --ros-args -r __ns:=/robot".split()
    )
    from occ_cli.verbs.run import node_arguments

    assert node_arguments(given) == [
        "--ros-args", "-p", f'bundle:="{fake_bundle.path}"', "-p", f'calibration_file:="{calibration}"',
        "-p", 'frame:="os"', "-p", "height:=0.6", "-p", "threads:=2", "-r", "points:=/lidar", "-r", "__ns:=/robot",
    ]  # fmt: skip


def test_a_bag_becomes_a_sequence_again(bag, drive, tmp_path, capsys):
    assert cli.main(["bag", str(bag), "-o", str(tmp_path / "sequences" / "91")]) == 0
    for frame in drive.frames:
        original, copy = (root / "velodyne" / f"{frame}.bin" for root in (drive.path, tmp_path / "sequences" / "91"))
        assert copy.read_bytes() == original.read_bytes()
