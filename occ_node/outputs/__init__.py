"""What the node publishes: one file a topic. A new one is a file like its neighbours, and an entry in OUTPUTS."""

from . import grid, map_grid, map_markers, map_voxels, markers, obstacles, overlay, semantic_grid, voxels
from .output import LATCHED, NEWEST, Frame, MapView, Output

OUTPUTS = (
    semantic_grid.OUTPUT, voxels.OUTPUT, markers.OUTPUT, grid.OUTPUT, overlay.OUTPUT, obstacles.OUTPUT,
    map_grid.OUTPUT, map_voxels.OUTPUT, map_markers.OUTPUT,
)  # fmt: skip
"""The outputs of each frame, in the order of their publication.

The order matters. A semantic_grid has no header, so whoever listens knows its frame only by the order: it is published
first, and belongs to the frame of the `voxels` message that is published next. The recorder keeps the time at which
each message was published, and the demo's report (`match` in occ_cli/demo/report.py) relies on this order. Add new
outputs at the end.
"""

__all__ = ["LATCHED", "NEWEST", "OUTPUTS", "Frame", "MapView", "Output"]
