"""Bags: sequence to bag and back, ROS 1 bags, and what is refused."""

import numpy as np
import pytest
from rosbags.interfaces import QosDurability
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from occ_core.transforms import TransformTree, matrix_of, nearest_rotation, quaternion_of
from occ_data import Sequence, write_sequence
from occ_data.bags import EPOCH_NS, BagDrive, BagError, BagOptions, bag_topics, read_bag, write_bag
from occ_data.drive import DataError

TF = "tf2_msgs/msg/TFMessage"
JAZZY = get_typestore(Stores.ROS2_JAZZY)
TYPES = JAZZY.types


@pytest.fixture
def bag(tiny_sequence, tmp_path):
    write_bag(tiny_sequence, tmp_path / "bag")
    return tmp_path / "bag"


def same_frames(one: Sequence, other) -> None:
    assert len(one.frames) == len(other.frames)
    for a, b in zip(one.frames, other.frames, strict=True):
        np.testing.assert_array_equal(one.image(a), other.image(b))
        np.testing.assert_array_equal(one.scan(a), other.scan(b))


def test_sequence_survives_the_way_through_a_bag(tiny_sequence, bag, tmp_path):
    back = Sequence(write_sequence(BagDrive(bag), tmp_path / "back", "91"))
    same_frames(tiny_sequence, back)
    np.testing.assert_array_equal(back.calibration.P, tiny_sequence.calibration.P)
    np.testing.assert_allclose(back.calibration.T_cam_lidar, tiny_sequence.calibration.T_cam_lidar, atol=1e-9)
    np.testing.assert_allclose(back.calibration.P_lidar, tiny_sequence.calibration.P_lidar, atol=1e-9)
    np.testing.assert_allclose(back.poses, tiny_sequence.poses, atol=1e-9)
    np.testing.assert_allclose(back.times, tiny_sequence.times, atol=1e-9)


def test_real_frames_survive_the_way_through_a_bag(real_data, tmp_path):
    sequence = Sequence(real_data / "sequences/00")
    write_bag(sequence, tmp_path / "bag", sequence.frames[:2])
    back = Sequence(write_sequence(BagDrive(tmp_path / "bag"), tmp_path, "00"))
    for frame in back.frames:
        np.testing.assert_array_equal(back.image(frame), sequence.image(frame))
        np.testing.assert_array_equal(back.scan(frame), sequence.scan(frame))
    np.testing.assert_array_equal(back.calibration.P, sequence.calibration.P)
    # KITTI's printed Tr is a rotation but for 5e-8, which no transform message can hold.
    np.testing.assert_allclose(back.calibration.T_cam_lidar, sequence.calibration.T_cam_lidar, atol=1e-7)


def test_topics_are_those_of_kitti2bag(bag):
    assert {topic: msgtype for topic, (msgtype, _) in bag_topics(bag).items()} == {
        "/kitti/camera_color_left/camera_info": "sensor_msgs/msg/CameraInfo",
        "/kitti/camera_color_left/image_raw": "sensor_msgs/msg/Image",
        "/kitti/velo/pointcloud": "sensor_msgs/msg/PointCloud2",
        "/tf": TF,
        "/tf_static": TF,
    }


def test_static_transforms_are_latched(bag):
    with Reader(bag) as reader:
        (connection,) = reader.topics["/tf_static"].connections
        assert connection.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL


def test_stamps_count_from_the_fixed_epoch(bag):
    stamps = [stamp for topic, _, stamp, _ in read_bag(bag) if topic == "/kitti/velo/pointcloud"]
    assert stamps == [EPOCH_NS, EPOCH_NS + 100_000_000, EPOCH_NS + 200_000_000]


def test_camera_frame_is_where_camera_2_is(tiny_sequence, bag):
    messages = {topic: JAZZY.deserialize_cdr(data, msgtype) for topic, msgtype, _, data in read_bag(bag)}
    item = messages["/tf_static"].transforms[0]
    assert (item.header.frame_id, item.child_frame_id) == ("velo_link", "camera_color_left")
    t, q = item.transform.translation, item.transform.rotation
    T_cam_lidar = np.linalg.inv(matrix_of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)))
    K = messages["/kitti/camera_color_left/camera_info"].k.reshape(3, 3)
    np.testing.assert_allclose(K @ T_cam_lidar[:3], tiny_sequence.calibration.P_lidar, atol=1e-9)


def test_only_wanted_topics_are_read(bag):
    assert {topic for topic, *_ in read_bag(bag, ["/tf_static"])} == {"/tf_static"}


def test_single_mcap_file_is_a_bag(bag):
    assert len(list(read_bag(next(bag.glob("*.mcap"))))) == len(list(read_bag(bag)))


def test_bag_is_not_replaced_unless_forced(tiny_sequence, bag):
    with pytest.raises(BagError, match="exists already"):
        write_bag(tiny_sequence, bag)
    assert write_bag(tiny_sequence, bag, tiny_sequence.frames[:1], force=True) == 1
    assert bag_topics(bag)["/kitti/velo/pointcloud"][1] == 1


def test_failed_conversion_leaves_nothing_behind(tiny_sequence, tmp_path):
    scan = tiny_sequence.path / "velodyne/000002.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"000002\.bin"):
        write_bag(tiny_sequence, tmp_path / "out/bag")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_truncated_bag_is_named(bag, keep):
    (file,) = bag.glob("*.mcap")
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(BagError, match=r"bag: unreadable or truncated bag: .+") as caught:
        list(read_bag(bag))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.bag", "a.mcap", "a.db3"])
def test_garbage_is_no_bag(tmp_path, name):
    (tmp_path / name).write_bytes(b"no bag at all" * 50)
    with pytest.raises(BagError, match=f"{name}: unreadable or truncated bag"):
        list(read_bag(tmp_path / name))


def test_what_is_no_bag_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    for path, reason in (("none", "no such bag"), ("a.txt", "not a bag"), (".", r"no metadata\.yaml")):
        with pytest.raises(BagError, match=reason):
            list(read_bag(tmp_path / path))


# Bags of other makers -------------------------------------------------------------------------------------------------


def to_sqlite3(bag, target, rename=None, change=None, drop=()):
    """A copy of a bag with other topic names and messages."""
    with Writer(target, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {}
        for topic, msgtype, stamp, data in read_bag(bag):
            if topic in drop:
                continue
            message = JAZZY.deserialize_cdr(data, msgtype)
            if change:
                message = change(topic, message)
            name = (rename or {}).get(topic, topic)
            if name not in connections:
                connections[name] = writer.add_connection(name, msgtype, typestore=JAZZY)
            writer.write(connections[name], stamp, JAZZY.serialize_cdr(message, msgtype))
    return target


RENAMED = {
    "/kitti/camera_color_left/image_raw": "/front/image",
    "/kitti/camera_color_left/camera_info": "/front/camera_info",
    "/kitti/velo/pointcloud": "/lidar/points",
}


def test_topics_of_other_names_are_found_by_type(tiny_sequence, bag, tmp_path):
    renamed = to_sqlite3(bag, tmp_path / "renamed", RENAMED)
    same_frames(tiny_sequence, BagDrive(renamed))


def test_wrong_topic_is_named_with_the_right_ones(bag, tmp_path):
    with pytest.raises(
        BagError, match=r"no topic '/lidar' of type sensor_msgs/msg/PointCloud2; there are: /kitti/velo"
    ):
        BagDrive(bag, BagOptions(points="/lidar"))


def test_missing_cloud_topic_is_named(bag, tmp_path):
    without = to_sqlite3(bag, tmp_path / "without", drop=("/kitti/velo/pointcloud",))
    with pytest.raises(BagError, match="which points topic"):
        BagDrive(without)


def test_missing_transform_names_the_frames(bag, tmp_path):
    without = to_sqlite3(bag, tmp_path / "without", drop=("/tf_static",))
    with pytest.raises(BagError, match=r"no transform between 'velo_link' and 'camera_color_left'.*velo_link, world"):
        _ = BagDrive(without).calibration


def test_without_odometry_poses_are_identity(bag, tmp_path):
    still = BagDrive(to_sqlite3(bag, tmp_path / "still", drop=("/tf",)))
    assert not still.has_poses
    np.testing.assert_allclose(still.poses, np.tile(np.eye(4), (3, 1, 1)), atol=1e-12)


def test_clouds_without_an_image_near_enough_are_counted(bag, tmp_path):
    def late_second_image(topic, message):
        if topic.endswith("image_raw") and message.header.stamp.nanosec == 100_000_000:
            message.header.stamp.nanosec = 170_000_000
        return message

    drive = BagDrive(to_sqlite3(bag, tmp_path / "late", change=late_second_image))
    assert (len(drive.frames), drive.unpaired) == (2, 1)


def test_message_that_is_none_is_named(tmp_path):
    with Writer(tmp_path / "odd", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, kind in (("/image", "Image"), ("/camera_info", "CameraInfo"), ("/points", "PointCloud2")):
            msgtype = f"sensor_msgs/msg/{kind}"
            writer.write(writer.add_connection(topic, msgtype, typestore=JAZZY), 1, b"\x00\x01\x00\x00" + b"\xff" * 30)
    with pytest.raises(BagError, match="/image: a message that is no sensor_msgs/msg/Image"):
        _ = BagDrive(tmp_path / "odd").frames


def test_existing_sequence_is_not_touched(bag, tmp_path):
    write_sequence(BagDrive(bag), tmp_path, "91")
    with pytest.raises(DataError, match="91: exists already"):
        write_sequence(BagDrive(bag), tmp_path, "91")


def noetic():
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", TF))
    return store


def to_ros1(bag, target, chain):
    """The bag as kitti2bag would have left it: ROS 1, the extrinsics as a chain of static transforms."""
    store = noetic()
    with Writer1(target) as writer:
        connections = {}
        for topic, msgtype, stamp, data in read_bag(bag):
            if topic == "/tf_static":
                data = JAZZY.serialize_cdr(TYPES[TF](chain), TF)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=store)
            writer.write(connections[topic], stamp, JAZZY.cdr_to_ros1(data, msgtype))
    return target


def transform(parent, child, T):
    geometry = "geometry_msgs/msg/"
    header = TYPES["std_msgs/msg/Header"](TYPES["builtin_interfaces/msg/Time"](1317000000, 0), parent)
    return TYPES[geometry + "TransformStamped"](
        header,
        child,
        TYPES[geometry + "Transform"](
            TYPES[geometry + "Vector3"](*map(float, T[:3, 3])),
            TYPES[geometry + "Quaternion"](*map(float, quaternion_of(T[:3, :3]))),
        ),
    )


@pytest.fixture
def ros1_bag(tiny_sequence, bag, tmp_path):
    calibration = tiny_sequence.calibration
    T_cam_velo = calibration.T_cam_lidar.copy()
    T_cam_velo[:3, 3] += np.linalg.solve(calibration.P[:, :3], calibration.P[:, 3])
    T_imu_velo = matrix_of((0.81, -0.32, 0.8), (0.01, -0.02, 0.3, 0.95))
    return to_ros1(
        bag,
        tmp_path / "kitti.bag",
        [
            transform("base_link", "imu_link", matrix_of((-2.7, 0, 0.93), (0, 0, 0, 1))),
            transform("imu_link", "camera_color_left", T_imu_velo @ np.linalg.inv(T_cam_velo)),
            transform("imu_link", "velo_link", T_imu_velo),
        ],
    )


def test_ros1_messages_are_read_as_cdr(bag, ros1_bag):
    for one, other in zip(read_bag(bag), read_bag(ros1_bag), strict=True):
        assert one[:3] == other[:3]
        if one[0] != "/tf_static":
            assert bytes(one[3]) == bytes(other[3])


def test_ros1_bag_with_chained_transforms_becomes_a_sequence(tiny_sequence, ros1_bag, tmp_path):
    back = BagDrive(ros1_bag)
    same_frames(tiny_sequence, back)
    np.testing.assert_allclose(back.calibration.P_lidar, tiny_sequence.calibration.P_lidar, atol=1e-9)


def test_truncated_ros1_bag_is_named(ros1_bag):
    ros1_bag.write_bytes(ros1_bag.read_bytes()[:-2000])
    with pytest.raises(BagError, match=r"kitti\.bag: unreadable or truncated bag"):
        list(read_bag(ros1_bag))


# Parts ----------------------------------------------------------------------------------------------------------------


def test_quaternions_give_their_rotation_back():
    random = np.random.default_rng(0)
    for _ in range(200):
        R = nearest_rotation(random.normal(size=(3, 3)))
        np.testing.assert_allclose(matrix_of((0, 0, 0), quaternion_of(R))[:3, :3], R, atol=1e-12)


def test_transform_tree_interpolates_between_two_moments():
    tree = TransformTree()
    for second in range(3):
        tree.add("odom", "base_link", matrix_of((second, 0, 0), (0, 0, 0, 1)), second * 10**9)
    tree.add("/base_link", "/velo", matrix_of((0, 0, 1), (0, 0, 0, 1)), None)
    chain, moves = tree.chain("velo", 1_400_000_000)
    assert moves and list(chain) == ["velo", "base_link", "odom"]
    np.testing.assert_allclose(chain["odom"][:3, 3], [1.4, 0, 1])
    assert tree.between("velo", "camera", 0) is None


def test_looped_transforms_end():
    tree = TransformTree()
    tree.add("a", "b", np.eye(4), None)
    tree.add("b", "a", np.eye(4), None)
    assert list(tree.chain("a", 0)[0]) == ["a", "b"]
