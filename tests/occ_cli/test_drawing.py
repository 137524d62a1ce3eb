"""Pictures show what the labels say."""

import cv2
import numpy as np
import pytest
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer

from occ_cli import drawing
from occ_cli.drawing import ViewPoint, voxel_view
from occ_cli.drawing.animation import MAX_BYTES, save_gif
from occ_cli.node import main
from occ_core import CLASS_NAMES, COLORS, IGNORE, KITTI_GRID, Calibration, Grid
from occ_core.top_view import top_labels
from occ_data.bags.reader import jazzy

ROAD, CAR, BUILDING = (CLASS_NAMES.index(name) for name in ("road", "car", "building"))
CALIBRATION = Calibration(
    [(700, 0, 600, 0), (0, 700, 185, 0), (0, 0, 1, 0)],
    [(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)],
    (1200, 370),
)


@pytest.fixture
def street() -> np.ndarray:
    """A road ahead, a wall on the left, a car on the right."""
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[:, 98:158, 1] = ROAD
    labels[40:200, 170:173, 1:30] = BUILDING
    labels[50:70, 105:114, 2:9] = CAR
    return labels


def closest_class(pixels: np.ndarray) -> np.ndarray:
    """The class whose hue is nearest to each pixel's; shading and haze aside."""
    return 1 + np.argmax(hue(pixels) @ hue(COLORS[1:]).T, -1)


def hue(colors: np.ndarray) -> np.ndarray:
    """Unit vectors of what is left without the grey part."""
    chroma = colors.astype(float) - colors.min(-1, keepdims=True)
    return chroma / np.maximum(np.linalg.norm(chroma, axis=-1, keepdims=True), 1e-9)


def test_an_empty_scene_is_sky_and_vehicle():
    picture = voxel_view(np.zeros(KITTI_GRID.shape, np.uint8), KITTI_GRID)
    assert picture.shape == (720, 1280, 3)
    assert (picture.max(-1).astype(int) - picture.min(-1)).max() < 30


def test_each_class_shows_its_colour_where_it_stands(street):
    view, size = ViewPoint.of(KITTI_GRID), (640, 360)
    picture = voxel_view(street, KITTI_GRID, size=size, view=view, smooth=False)
    matrix = view.matrix(*size)
    for point, label in (((20, 1, -1.6), ROAD), ((25, 8.8, 4), BUILDING), ((11, -4, -0.2), CAR)):
        u, v, depth = matrix @ (*point, 1)
        assert closest_class(picture[int(v / depth), int(u / depth)]) == label


def test_what_is_nearer_hides_what_is_behind(street):
    view, size = ViewPoint(eye=(-10, 0, 0), target=(30, 0, 0)), (320, 180)
    labels = np.zeros_like(street)
    labels[200, 100:156, 2:20] = BUILDING
    labels[100, 100:156, 2:20] = CAR
    assert closest_class(voxel_view(labels, KITTI_GRID, size=size, view=view, smooth=False)[90, 160]) == CAR
    labels[60, 100:156, 2:20] = ROAD
    assert closest_class(voxel_view(labels, KITTI_GRID, size=size, view=view, smooth=False)[90, 160]) == ROAD


def test_ignored_voxels_are_not_drawn(street):
    ignored = np.where(street > 0, IGNORE, 0).astype(np.uint8)
    assert np.array_equal(voxel_view(ignored, KITTI_GRID), voxel_view(np.zeros_like(street), KITTI_GRID))


def test_left_out_voxels_are_grey(street):
    picture = voxel_view(street, KITTI_GRID, left_out=street > 0).astype(int)
    assert (picture.max(-1) - picture.min(-1)).max() < 30
    assert not np.array_equal(picture, voxel_view(np.zeros_like(street), KITTI_GRID))


def test_the_map_shows_the_highest_voxel_forward_up_and_left_on_the_left(street):
    top, height = top_labels(street)
    assert (top[60, 110], height[60, 110]) == (CAR, 8)
    picture = drawing.birds_eye_picture(street, KITTI_GRID, with_legend=False)
    assert closest_class(picture[3 * (255 - 60), 3 * (255 - 110)]) == CAR
    assert closest_class(picture[3 * (255 - 100), 3 * (255 - 171)]) == BUILDING


def test_the_comparison_shows_both(street):
    prediction = np.where(street == CAR, BUILDING, street)
    truth = street.copy()
    truth[200:] = IGNORE
    picture = drawing.truth_beside(prediction, truth, KITTI_GRID)
    half = picture.shape[1] // 2
    car = np.all(np.abs(picture.astype(int) - COLORS[CAR]) < 40, -1)
    top = slice(40, picture.shape[0] // 3)
    assert car[top, half:].sum() > 100
    assert car[top, :half].sum() < 20


def test_the_overlay_tints_the_image_where_the_voxels_are(street):
    image = np.full((370, 1200, 3), 90, np.uint8)
    picture = drawing.camera_overlay(image, street, CALIBRATION, KITTI_GRID)
    below = picture[374:744]
    (u, v), _ = CALIBRATION.project(np.array([15.0, 0, -1.7]))
    assert closest_class(below[int(v), int(u)]) == ROAD
    assert np.array_equal(below[5, 1100], image[5, 1100])


def test_the_animation_stays_below_its_limit(tmp_path):
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (360, 640, 3), np.uint8) for _ in range(40)]
    path = save_gif(tmp_path / "a.gif", noise, 10)
    assert path.stat().st_size <= MAX_BYTES
    with Image.open(path) as animation:
        assert animation.n_frames == 40
        assert animation.info["duration"] == 100


def test_render_draws_a_frame_of_a_data_set(drive, tmp_path, capsys):
    arguments = ["--dataset", str(drive.path.parents[1]), "--sequence", "90", "-o", str(tmp_path)]
    assert main(["render", *arguments]) == 0
    names = [f"000000_{kind}.png" for kind in ("voxels", "birds_eye", "camera_overlay")]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in names]
    voxels = cv2.cvtColor(cv2.imread(str(tmp_path / names[0])), cv2.COLOR_BGR2RGB)
    assert np.isin(closest_class(voxels[200:700]), BUILDING).mean() > 0.1


def test_render_draws_a_label_file(drive, tmp_path):
    assert main(["render", str(drive.path / "voxels/000005.label"), "-o", str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000005_birds_eye.png", "000005_voxels.png"]


def test_render_draws_a_recording_on_the_grid_beside_it(tmp_path, capsys):
    types = jazzy().types
    labels = np.zeros((64, 64, 8), np.uint8)
    labels[20:40, 20:40, 1:4] = BUILDING
    dimension = types["std_msgs/msg/MultiArrayDimension"]
    layout = types["std_msgs/msg/MultiArrayLayout"](
        [dimension(n, size, 0) for n, size in zip("xyz", labels.shape, strict=True)], 0
    )
    zero, turn = types["builtin_interfaces/msg/Time"](0, 0), types["geometry_msgs/msg/Quaternion"](0, 0, 0, 1)
    pose = types["geometry_msgs/msg/Pose"](types["geometry_msgs/msg/Point"](0.0, -12.8, -2.0), turn)
    info = types["nav_msgs/msg/MapMetaData"](zero, 0.4, 64, 64, pose)
    header = types["std_msgs/msg/Header"](zero, "velo_link")
    recorded = {
        "semantic_grid": types["std_msgs/msg/UInt8MultiArray"](layout, labels.reshape(-1)),
        "grid": types["nav_msgs/msg/OccupancyGrid"](header, info, np.zeros(64 * 64, np.int8)),
    }
    with Writer(tmp_path / "outputs", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for name, message in recorded.items():
            connection = writer.add_connection(f"/occ_node/{name}", message.__msgtype__, typestore=jazzy())
            writer.write(connection, 1, jazzy().serialize_cdr(message, message.__msgtype__))
    assert main(["render", str(tmp_path / "outputs"), "-o", str(tmp_path)]) == 0
    drawn = cv2.imread(capsys.readouterr().out.split()[0])[..., ::-1]
    expected = drawing.voxel_picture(labels, Grid((64, 64, 8), 0.4, (0.0, -12.8, -2.0)))
    assert np.array_equal(drawn, expected)
