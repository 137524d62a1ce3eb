"""Aligned pseudo labels: 20-class maps of the camera images from foundation models (OccLE, section 3.2, App. B)."""

from .rules import Aligner, load_table
from .segmenters import FileSegmenter, Segmentation, Segmenter
from .write import write_pseudo_labels

__all__ = ["Aligner", "FileSegmenter", "Segmentation", "Segmenter", "load_table", "write_pseudo_labels"]
