import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.decode import CloudError
from occ_core.decode.cloud import decode_cloud

CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def message(columns, offsets=None, point_step=None, height=1, row_padding=0, big_endian=False):
    """columns : name -> (N,) array of the type wanted."""
    order = ">" if big_endian else "<"
    if offsets is None:
        offsets = np.cumsum([0] + [values.itemsize for values in columns.values()])[:-1].tolist()
    formats = [order + values.dtype.str[1:] for values in columns.values()]
    ends = [offset + np.dtype(kind).itemsize for offset, kind in zip(offsets, formats, strict=True)]
    step = point_step or max(ends)
    dtype = np.dtype({"names": list(columns), "formats": formats, "offsets": offsets, "itemsize": step})
    points = np.zeros(len(next(iter(columns.values()))), dtype)
    for name, values in columns.items():
        points[name] = values
    rows = np.pad(points.view(np.uint8).reshape(height, -1), ((0, 0), (0, row_padding)), constant_values=55)
    fields = [
        SimpleNamespace(name=name, offset=offset, datatype=CODES[values.dtype.str[1:]], count=1)
        for (name, values), offset in zip(columns.items(), offsets, strict=True)
    ]
    return SimpleNamespace(
        height=height, width=len(points) // height, fields=fields, is_bigendian=big_endian, point_step=step,
        row_step=rows.shape[1], data=rows.tobytes(),
    )  # fmt: skip


def xyz(count=12, kind="f4"):
    values = np.random.default_rng(0).uniform(-50, 50, (3, count)).astype(kind)
    return dict(zip("xyz", values, strict=True))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_layout_gives_the_same_points(data):
    names = data.draw(st.permutations(["x", "y", "z", "intensity", "ring", "time"]))
    kinds = {"ring": "u2", "time": "f8"} | {
        name: data.draw(st.sampled_from(["f4", "f8"])) for name in ("x", "y", "z", "intensity")
    }
    height = data.draw(st.sampled_from([1, 3]))
    values = np.random.default_rng(1).uniform(0, 1, (6, 12)).astype(np.float32)
    columns = {name: row.astype(kinds[name]) for name, row in zip(names, values, strict=True)}
    gaps = data.draw(st.lists(st.integers(0, 5), min_size=6, max_size=6))
    offsets, at = [], 0
    for name, gap in zip(names, gaps, strict=True):
        offsets.append(at + gap)
        at = offsets[-1] + np.dtype(kinds[name]).itemsize
    built = message(
        columns,
        offsets,
        at + data.draw(st.integers(0, 4)),
        height,
        data.draw(st.integers(0, 7)),
        data.draw(st.booleans()),
    )
    expected = np.stack([columns[name].astype(np.float32) for name in ("x", "y", "z", "intensity")], 1)
    np.testing.assert_array_equal(decode_cloud(built).points, expected)


def test_without_intensity_it_is_zero():
    assert not decode_cloud(message(xyz())).points[:, 3].any()


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("intensity", np.array([0, 0.25, 1], "f4"), [0, 0.25, 1]),
        ("i", np.array([0, 51, 255], "f4"), [0, 0.2, 1]),
        ("intensity", np.array([0, 13107, 65535], "f8"), [0, 0.2, 1]),
        ("intensity", np.array([0, 65535, 1e6], "f4"), [0, 1, 1]),
        ("intensity", np.array([np.nan, -1, np.inf], "f4"), [0, 0, 0]),
        ("intensity", np.array([np.nan, 51, 255], "f4"), [0, 0.2, 1]),
        ("reflectivity", np.array([0, 51, 102], "u1"), [0, 0.2, 0.4]),
        ("remission", np.array([0, 1, 1], "u1"), [0, 1 / 255, 1 / 255]),
        ("intensity", np.array([0, 51, 255], "u2"), [0, 51 / 65535, 255 / 65535]),
        ("intensity", np.array([0, 13107, 65535], "u2"), [0, 0.2, 1]),
        ("reflectivity", np.array([0, 51, 255], "u2"), [0, 0.2, 1]),  # Ouster: calibrated, 0..255
        ("reflectivity", np.array([0, 255, 65535], "u2"), [0, 1, 1]),
        ("reflectivity", np.array([0, 51, 255], "f4"), [0, 0.2, 1]),
        ("intensity", np.array([-128, 0, 127], "i1"), [0, 0, 1]),
        ("intensity", np.array([-5, 6553, 32767], "i2"), [0, 6553 / 32767, 1]),
        ("intensity", np.array([-5, 2**30, 2**31 - 1], "i4"), [0, 0.5, 1]),
        ("intensity", np.array([0, 2**31, 2**32 - 1], "u4"), [0, 0.5, 1]),
    ],
)
def test_intensity_becomes_0_to_1(name, values, expected):
    points = decode_cloud(message(xyz(3) | {name: values})).points
    np.testing.assert_allclose(points[:, 3], expected, atol=1e-6)


def test_points_that_are_not_finite_are_dropped_and_counted():
    columns = xyz(6, "f8")
    columns["x"][0], columns["y"][1], columns["z"][2] = np.nan, np.inf, 1e300  # the last is beyond float32
    cloud = decode_cloud(message(columns))
    assert cloud.dropped == 3 and len(cloud.points) == 3 and np.isfinite(cloud.points).all()


def _changed(**changes):
    return SimpleNamespace(**vars(message(xyz())) | changes)


def _offset(offset, point_step=12):
    """A cloud whose z lies at an offset near the end of int32, where numpy's structured types crash."""
    built = _changed(point_step=point_step)
    built.fields[2].offset = offset
    return built


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (_changed(fields=[]), "no field 'x'; expected x, y and z, found none"),
        (message(xyz() | {"y": np.zeros(12, "i2")}), "field 'y' is of type i2; expected float32 or float64"),
        (_changed(width=0), r"cloud holds no points \(0x1\)"),
        (_changed(point_step=8), "point_step 8 is too small; field 'z' ends at byte 12"),
        (_changed(height=2, width=6, row_step=60), "row_step 60 is too small; 6 points of 12 bytes take 72"),
        (_changed(data=bytes(100)), "data holds 100 bytes; 1x12 points of 12 bytes need 144"),
        (_changed(data=b""), "data holds 0 bytes"),
        (_offset(2147483644), "point_step 12 is too small; field 'z' ends at byte 2147483648"),
        (_offset(2147483647), "point_step 12 is too small; field 'z' ends at byte 2147483651"),
        (_offset(2147483647, point_step=2**32 - 1), "data holds 144 bytes"),
        (message({axis: np.full(2, np.nan, "f4") for axis in "xyz"}), r"no finite point \(2 are NaN or infinite\)"),
    ],
)
def test_refusals(built, text):
    with pytest.raises(CloudError, match=f"^points: .*{text}"):
        decode_cloud(built)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(0, 9), height=st.integers(0, 3), point_step=st.integers(0, 30), row_step=st.integers(0, 99),
    offsets=st.lists(st.integers(0, 40), min_size=3, max_size=3), length=st.integers(0, 400),
)  # fmt: skip
def test_any_header_is_decoded_or_refused(width, height, point_step, row_step, offsets, length):
    fields = [SimpleNamespace(name=n, offset=o, datatype=7, count=1) for n, o in zip("xyz", offsets, strict=True)]
    built = SimpleNamespace(
        width=width, height=height, point_step=point_step, row_step=row_step, fields=fields, is_bigendian=False,
        data=bytes(length),
    )  # fmt: skip
    with contextlib.suppress(CloudError):
        assert decode_cloud(built).points.shape == (width * height, 4)


def test_times_are_read_where_asked_and_follow_the_points_that_are_kept():
    columns = xyz() | {"t": np.arange(0, 96_000_000, 8_000_000, np.uint32)}
    columns["y"][3] = np.nan
    built = message(columns, height=3)
    built.header = SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=0))
    assert decode_cloud(built).times is None
    cloud = decode_cloud(built, times=True)
    np.testing.assert_allclose(cloud.times, np.delete(np.arange(12) * 0.008, 3), atol=1e-6)
    assert len(cloud.points) == 11


def test_a_cloud_without_times_has_none():
    assert decode_cloud(message(xyz()), times=True).times is None


def test_a_time_field_beyond_the_point_is_refused_where_it_is_asked_for():
    built = message(xyz() | {"time": np.zeros(12, np.float32)})
    built.header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0))
    built.fields[3].offset = 100
    decode_cloud(built)
    with pytest.raises(CloudError, match="field 'time' ends at byte 104"):
        decode_cloud(built, times=True)
