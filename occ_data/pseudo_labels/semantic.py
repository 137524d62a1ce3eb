"""Dataset-specific segmentation with a model of the transformers library, its labels mapped to MSeg's names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from occ_core.files import FileError, read_yaml
from occ_core.yaml_text import shown

from ..kitti import DataError, Sequence
from .grounded import GroundedMasks
from .mseg import IDS, UNLABELED
from .pretrained import from_pretrained, transformers_library
from .segmenters import Segmentation

_TAKES_TASK = "oneformer"
_KNOWN_LABELS = Path(__file__).parent / "mseg_labels.yaml"


class SemanticModel:
    """A semantic segmenter: SegFormer, UperNet, Mask2Former, OneFormer, ...

    model, processor : of transformers; the processor must offer `post_process_semantic_segmentation`
    own_labels : label in lower case -> MSeg name, tried before the project's list
    mapped : the model's labels -> MSeg name; unmapped : those that neither list knows, they become unlabeled
    """

    def __init__(self, model, processor, own_labels: Mapping[str, str] | None = None, device: str = "cpu"):
        self.model = model.requires_grad_(False).eval().to(device)
        self.processor, self.device = processor, device
        names = {int(number): str(label) for number, label in model.config.id2label.items()}
        known = read_labels(_KNOWN_LABELS) | dict(own_labels or {})
        ids = {number: _mseg_name(label, known) for number, label in names.items()}
        self.mapped = {names[number]: found for number, found in ids.items() if found is not None}
        self.unmapped = [names[number] for number, found in ids.items() if found is None]
        if not self.mapped:
            raise DataError(f"no label of the model is known to MSeg: {', '.join(self.unmapped)}; give --labels FILE")
        self._to_mseg = np.full(max(names) + 1, UNLABELED, np.uint8)
        for number, found in ids.items():
            if found is not None:
                self._to_mseg[number] = IDS[found]

    @classmethod
    def load(cls, name: str, own_labels: Mapping[str, str] | None = None, device: str = "cpu") -> "SemanticModel":
        """name : folder or hub name of a model; only safetensors weights are read."""
        library = transformers_library()
        config = from_pretrained(library.AutoConfig, name)
        universal = type(config) in library.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING
        auto = library.AutoModelForUniversalSegmentation if universal else library.AutoModelForSemanticSegmentation
        # OneFormer's task is given as text, so that it has a tokenizer.
        reader = library.AutoProcessor if config.model_type == _TAKES_TASK else library.AutoImageProcessor
        return cls(from_pretrained(auto, name, use_safetensors=True), from_pretrained(reader, name), own_labels, device)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (H, W) uint8 MSeg ids."""
        task = {"task_inputs": ["semantic"]} if self.model.config.model_type == _TAKES_TASK else {}
        inputs = self.processor(images=image, return_tensors="pt", **task).to(self.device)
        outputs = self.model(**inputs)
        (own,) = self.processor.post_process_semantic_segmentation(outputs, target_sizes=[image.shape[:2]])
        return self._to_mseg[own.cpu().numpy()]


class TransformersSegmenter:
    """A semantic model, and a grounded one for the table's prompts (None where it has none)."""

    def __init__(self, semantic: SemanticModel, grounded: GroundedMasks | None, prompts: Mapping[str, float]):
        self.semantic, self.grounded, self.prompts = semantic, grounded, prompts
        self.recipe = {"segmenter": "transformers", "model": semantic.model.name_or_path, "labels": semantic.mapped}
        if grounded is not None:
            self.recipe |= {"detector": grounded.detector.name_or_path, "sam": grounded.sam.name_or_path}

    def __call__(self, sequence: Sequence, frame: str, image: np.ndarray) -> Segmentation:
        scores = {prompt: self.grounded(image, prompt, least) for prompt, least in self.prompts.items()}
        return Segmentation(self.semantic(image), scores)


def _mseg_name(label: str, known: Mapping[str, str]) -> str | None:
    label = label.strip().lower()
    plain = label.replace(" ", "_").replace("-", "_")
    return known.get(label) or (plain if plain in IDS else None)


def read_labels(path: str | Path) -> dict[str, str]:
    """A YAML file of lines `label: MSeg name`; labels come back in lower case."""
    try:
        content = read_yaml(path)
    except FileError as error:
        raise DataError(str(error)) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected lines 'label: MSeg name'")
    for label, name in content.items():
        if not isinstance(name, str) or name not in IDS:
            raise DataError(f"{path}: {label}: {shown(name)} is no MSeg name")
    return {str(label).strip().lower(): name for label, name in content.items()}
