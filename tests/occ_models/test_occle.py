from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import Calibration, FramePreprocessor, Grid  # noqa: E402
from occ_core.lifting import lift_features_ref, lifting_table  # noqa: E402
from occ_core.voxelizer import VoxelizerConfig, voxelize  # noqa: E402
from occ_models.config import ConfigError, from_dict, load_config, to_dict  # noqa: E402
from occ_models.layers.head import columns_of_cells, decide, grid_of_cells  # noqa: E402
from occ_models.layers.image import lift  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.lidar import VoxelFeatureEncoder, point_scale, spread  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402

from .conftest import PICO  # noqa: E402

P = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0], [0, 0, 1, 0.003]])
T = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.07], [1, 0, 0, -0.3], [0, 0, 0, 1]])


def frame(config, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform((0, -25, -2, 0), (50, 25, 3, 1), (4000, 4)).astype(np.float32)
    image = rng.integers(0, 255, (370, 1220, 3), np.uint8)
    made = FramePreprocessor(config.preprocess)(image, points, Calibration(P, T, (1220, 370)))
    return {name: made[name] for name in config.inputs}


def tensors(arrays):
    return [torch.from_numpy(a) for a in arrays.values()]


def moments(config, seeds):
    """The network's inputs for some frames side by side, the first of them the current one."""
    seen = [frame(config, seed) for seed in seeds]
    rows = len(seen[0]["voxel_counts"])
    for n, arrays in enumerate(seen):
        arrays["voxel_table"] = arrays["voxel_table"] + n * rows
    return tensors({name: np.concatenate([arrays[name] for arrays in seen]) for name in seen[0]})


@pytest.fixture(scope="module")
def pico():
    torch.manual_seed(0)
    return OccLE(load_config(PICO, OccLEConfig)).eval()


def test_outputs_have_the_promised_shapes(pico):
    with torch.no_grad():
        output = pico(*tensors(frame(pico.config)))
        labels, confidence = pico.predict(*tensors(frame(pico.config)))
    assert output.occupancy.shape == (1, 256, 256, 32)
    assert output.semantics.shape == (1, 128, 128, 19, 16)
    assert output.semantic_3d.shape == (1, 20, 32, 32, 4) and output.geometry.shape == (1, 2, 32, 32, 4)
    assert labels.shape == confidence.shape == (1, 256, 256, 32)
    assert labels.dtype == confidence.dtype == torch.uint8


def test_a_batch_gives_what_its_samples_give_alone(pico):
    from occ_models.data import collate

    first, second = ({k: torch.from_numpy(v) for k, v in frame(pico.config, n).items()} for n in (1, 2))
    with torch.no_grad():
        alone = [pico(*sample.values()).occupancy for sample in (first, second)]
        batch = collate([sample | {"name": ""} for sample in (first, second)])
        together = pico(*(batch[name] for name in first)).occupancy
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["pico", "nano", "small", "base"])
def test_shipped_sizes_build_and_run_on_meta_tensors(name):
    config = load_config(name, OccLEConfig)
    with torch.device("meta"):
        model = OccLE(config).eval()
        inputs = [torch.empty(a.shape, dtype=torch.from_numpy(a).dtype) for a in frame(config).values()]
        output = model(*inputs)
    assert output.occupancy.shape == (1, *config.preprocess.grid.shape)


@pytest.mark.parametrize("frames", [1, 3])
def test_each_branch_alone_gives_what_it_gives_within_the_whole(frames):
    torch.manual_seed(1)
    config = replace(load_config(PICO, OccLEConfig), frames=frames)
    model = OccLE(config).eval()
    inputs = moments(config, range(frames))
    with torch.no_grad():
        output = model(*inputs)
        in_image, in_space = model.semantic_maps(*inputs)
        geometry = model.geometry(*inputs)
    torch.testing.assert_close(in_image, output.semantic_2d)
    torch.testing.assert_close(in_space, output.semantic_3d)
    torch.testing.assert_close(geometry, output.geometry)


def test_several_frames_become_one_grid_and_earlier_ones_reach_its_geometry_alone():
    torch.manual_seed(1)
    config = replace(load_config(PICO, OccLEConfig), frames=3)
    model = OccLE(config).eval()
    with torch.no_grad():
        output, other = (model(*moments(config, seeds)) for seeds in ((0, 1, 2), (0, 1, 3)))
        labels, _ = model.predict(*moments(config, (0, 1, 2)))
    assert output.occupancy.shape == labels.shape == (1, 256, 256, 32)
    assert output.semantic_3d.shape == (1, 20, 32, 32, 4) and output.geometry.shape == (1, 2, 32, 32, 4)
    assert torch.equal(output.semantic_3d, other.semantic_3d) and torch.equal(output.semantic_2d, other.semantic_2d)
    assert not torch.equal(output.geometry, other.geometry)


def test_columns_of_cells_stand_side_by_side_and_come_back():
    grid = torch.arange(6 * 4 * 2).reshape(1, 6, 4, 2)
    columns = columns_of_cells(grid)
    assert columns[0, 2, 1].tolist() == [*grid[0, 4, 2], *grid[0, 4, 3], *grid[0, 5, 2], *grid[0, 5, 3]]
    assert (grid_of_cells(columns) == grid).all()


def test_decision_is_argmax_of_the_factorised_probabilities():
    generator = torch.Generator().manual_seed(1)
    occupancy = torch.randn(1, 4, 4, 4, generator=generator)
    semantics = torch.randn(1, 2, 2, 19, 2, generator=generator)
    labels, confidence = decide(columns_of_cells(occupancy), semantics)
    share = semantics.softmax(3).transpose(3, 4).repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    index = share.argmax(-1)
    o = occupancy.sigmoid()
    expected = torch.where(o > 0.5, index + 1, 0)
    assert (labels == expected).all()
    torch.testing.assert_close(confidence.float() / 255, torch.maximum(o, 1 - o), atol=3e-3, rtol=0)


def test_lifting_in_the_graph_equals_the_reference():
    grid = Grid((8, 8, 4), 6.4, (0.0, -25.6, -2.0))
    table = lifting_table(grid, Calibration(P, T, (1220, 370)))
    features = np.random.default_rng(0).normal(size=(3, 23, 76)).astype(np.float32)
    lifted = lift(torch.from_numpy(features)[None], torch.from_numpy(table.coordinates)[None], grid.shape)[0]
    np.testing.assert_allclose(lifted, lift_features_ref(features, table), atol=1e-4)


def test_padding_never_reaches_the_voxel_features():
    torch.manual_seed(0)
    encoder = VoxelFeatureEncoder(6, Grid())
    points = np.random.default_rng(0).uniform((0, -25, -2, 0), (50, 25, 3, 1), (500, 4)).astype(np.float32)
    voxels = voxelize(points, Grid(), VoxelizerConfig(4, 5, 1024))
    counts = torch.from_numpy(voxels.counts)
    clean = torch.from_numpy(voxels.features)
    dirty = clean.clone()
    dirty[torch.arange(5) >= counts[:, None]] = 1e3
    torch.testing.assert_close(encoder(clean, counts), encoder(dirty, counts))
    assert (encoder(clean, counts)[counts == 0] == 0).all()
    grid = spread(encoder(clean, counts), torch.from_numpy(voxels.table)[None])
    assert ((grid[0] != 0).any(-1).numpy() <= (voxels.table > 0)).all()


def test_points_are_scaled_by_the_size_of_the_grid():
    assert point_scale(Grid()) == point_scale(Grid().coarsen(2)) == (1 / 25.6, 1 / 25.6, 1 / 3.2, 1.0, 5.0, 5.0, 5.0)
    assert point_scale(Grid((64, 32, 16), 0.5, (0, -8, -2)))[:3] == (1 / 8, 1 / 8, 1 / 4)


def test_configuration_survives_a_round_trip():
    for name in ("pico", "nano", "small", "base"):
        config = load_config(name, OccLEConfig)
        assert from_dict(OccLEConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"chanels": 8}, "chanels: unknown key"),
        ({"channels": "many"}, "channels: expected int"),
        ({"preprocess": {"voxelizer": {"factor": 0}}}, "factor"),
        ({"preprocess": {"grid": 3}}, "preprocess.grid: expected a mapping"),
        ({"lidar_widths": 8}, "lidar_widths: expected a list"),
    ],
)
def test_wrong_configuration_is_refused_by_name(values, words):
    with pytest.raises(ConfigError, match=words):
        from_dict(OccLEConfig, values)


def test_unknown_size_lists_the_shipped_ones():
    with pytest.raises(ConfigError, match="base, nano, pico, small"):
        load_config("huge", OccLEConfig)
