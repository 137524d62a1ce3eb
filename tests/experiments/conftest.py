"""A street that tables are trained on in a test."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Path:
    """Folder of a synthetic sequence of three frames with voxel labels, and pseudo labels of its images."""
    pytest.importorskip("cv2")
    from occ_cli.data import main as occ_data
    from occ_data.synthetic import generate

    root = tmp_path_factory.mktemp("street")
    generate(root, "300", 3, 300, step=5.0, pixel_labels=True, progress=False)
    assert occ_data(["pseudo-labels", str(root), "--segmenter", "synthetic"]) == 0
    return root / "sequences" / "300"
