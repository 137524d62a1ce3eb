"""The configurations for nav2 hold only parameters that nav2 and STVL have."""

from pathlib import Path

import pytest
import yaml

from occ_node import topics

CONFIG = Path(__file__).parents[2] / "occ_node" / "config" / "nav2"

# Names of parameters, listed from the sources: navigation2 a3a97043ee93d92fe8d70ec56d183933169beb1c (nav2_costmap_2d,
# nav2_collision_monitor) and spatio_temporal_voxel_layer 403d9ed769e78beec4c6ec437a1143943e2a4630.
COSTMAP = """always_send_full_costmap filters footprint footprint_padding global_frame height initial_transform_timeout
    inscribed_obstacle_cost_value lethal_cost_threshold map_vis_z origin_x origin_y plugins publish_frequency resolution
    robot_base_frame robot_radius rolling_window subscribe_to_stamped_footprint track_unknown_space transform_tolerance
    trinary_costmap unknown_cost_value update_frequency use_maximum width"""
VOXEL_LAYER = """combination_method enabled footprint_clearing_enabled mark_threshold max_obstacle_height
    min_obstacle_height observation_sources origin_z publish_voxel_map tf_filter_tolerance unknown_threshold
    z_resolution z_voxels"""
SOURCE = """clearing data_type expected_update_rate inf_is_valid marking max_obstacle_height min_obstacle_height
    observation_persistence obstacle_max_range obstacle_min_range raytrace_max_range raytrace_min_range sensor_frame
    topic transport_type"""
INFLATION_LAYER = """cost_scaling_factor custom_inscribed_radius enabled inflate_around_unknown inflate_unknown
    inflation_radius num_threads"""
STVL = """combination_method decay_model enabled map_save_duration mapping_mode mark_threshold observation_sources
    publish_voxel_map track_unknown_space transform_tolerance update_footprint_enabled voxel_decay voxel_size"""
STVL_SOURCE = """clear_after_reading clearing data_type decay_acceleration enabled expected_update_rate filter
    horizontal_fov_angle inf_is_valid marking max_obstacle_height max_z min_obstacle_height min_z model_type
    observation_persistence obstacle_range sensor_frame topic vertical_fov_angle vertical_fov_padding
    voxel_min_points"""
MONITOR = """base_frame_id base_shift_correction cmd_vel_in_topic cmd_vel_out_topic collision_points_marker_3d enabled
    observation_sources odom_frame_id polygons source_timeout state_topic stop_pub_timeout transform_tolerance
    use_realtime_priority"""
POLYGON = """action_type angular_limit enabled footprint_topic linear_limit max_points min_points points
    polygon_pub_topic polygon_sub_topic polygon_subscribe_transient_local radius release_consecutive_points
    simulation_time_step slowdown_ratio sources_names time_before_collision trigger_consecutive_points type visualize"""
CLOUD = """enabled max_height min_height min_range source_timeout topic transport_type type use_global_height"""
LAYERS = {
    "nav2_costmap_2d::VoxelLayer": (VOXEL_LAYER, SOURCE),
    "spatio_temporal_voxel_layer/SpatioTemporalVoxelLayer": (STVL, STVL_SOURCE),
    "nav2_costmap_2d::InflationLayer": (INFLATION_LAYER, ""),
}


def read(name: str, *path: str) -> dict:
    values = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    for key in (*path, "ros__parameters"):
        values = values[key]
    return values


def unknown(values: dict, names: str) -> set[str]:
    """Parameters that are not in the list; groups of parameters are left out."""
    return {name for name, value in values.items() if not isinstance(value, dict)} - set(names.split())


def groups(values: dict) -> dict[str, dict]:
    return {name: value for name, value in values.items() if isinstance(value, dict)}


@pytest.fixture
def costmap() -> dict:
    return read("local_costmap", "local_costmap", "local_costmap")


def test_the_costmaps_parameters_exist(costmap):
    assert unknown(costmap, COSTMAP) == set()
    layers = groups(costmap)
    assert set(costmap["plugins"]) <= set(layers)
    for layer in layers.values():
        names, source_names = LAYERS[layer.pop("plugin")]
        sources = groups(layer)
        assert unknown(layer, names) == set()
        assert set(layer.get("observation_sources", "").split()) == set(sources)
        assert all(unknown(source, source_names) == set() for source in sources.values())


def test_the_collision_monitors_parameters_exist():
    monitor = read("collision_monitor", "collision_monitor")
    assert unknown(monitor, MONITOR) == set()
    assert set(groups(monitor)) == {*monitor["polygons"], *monitor["observation_sources"]}
    assert all(unknown(monitor[name], POLYGON) == set() for name in monitor["polygons"])
    assert all(unknown(monitor[name], CLOUD) == set() for name in monitor["observation_sources"])


def test_obstacles_only_mark_and_the_scan_only_clears(costmap):
    for layer in groups(costmap).values():
        for name, source in groups(layer).items():
            assert (source["marking"], source["clearing"]) == ((name == "obstacles"), (name == "lidar"))
            assert source["expected_update_rate"] > 0 and source["max_obstacle_height"] > 3
            if name == "obstacles":
                assert source["topic"] == f"/occ_node/{topics.OBSTACLES.name}"


def test_the_voxel_layer_has_as_many_layers_as_it_can(costmap):
    layer = costmap["voxel_layer"]
    assert layer["z_voxels"] <= 16
    assert layer["origin_z"] < 0 and layer["origin_z"] + layer["z_voxels"] * layer["z_resolution"] > 2.0 + 0.2
