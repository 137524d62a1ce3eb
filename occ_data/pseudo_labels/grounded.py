"""Open-vocabulary masks: Grounding DINO finds boxes for a phrase, Segment Anything (1 or 2) fills them.

SAM 2, which the paper names, takes no text: a detector gives it boxes.
"""

import numpy as np

from ..kitti import DataError
from .pretrained import from_pretrained, transformers_library
from .segmenters import union

_DETECTORS = ("grounding-dino", "mm-grounding-dino")


class GroundedMasks:
    """Masks for phrases.

    detector, detector_processor, sam, sam_processor : of transformers
    """

    def __init__(self, detector, detector_processor, sam, sam_processor, device: str = "cpu"):
        self.detector, self.sam = (model.requires_grad_(False).eval().to(device) for model in (detector, sam))
        self.detector_processor, self.sam_processor, self.device = detector_processor, sam_processor, device

    @classmethod
    def load(cls, detector: str, sam: str, device: str = "cpu") -> "GroundedMasks":
        """Folders or hub names; only safetensors weights are read."""
        library = transformers_library()
        kind = from_pretrained(library.AutoConfig, detector).model_type
        if kind not in _DETECTORS:
            raise DataError(f"{detector}: a {kind} model; expected one of {', '.join(_DETECTORS)}")
        sam_kind = from_pretrained(library.AutoConfig, sam).model_type.removesuffix("_video")
        if sam_kind not in ("sam", "sam2"):
            raise DataError(f"{sam}: a {sam_kind} model; expected sam or sam2")
        sam_model = library.Sam2Model if sam_kind == "sam2" else library.SamModel
        sam_processor = library.Sam2Processor if sam_kind == "sam2" else library.SamProcessor
        return cls(
            from_pretrained(library.AutoModelForZeroShotObjectDetection, detector, use_safetensors=True),
            from_pretrained(library.AutoProcessor, detector),
            from_pretrained(sam_model, sam, use_safetensors=True),
            from_pretrained(sam_processor, sam),
            device,
        )

    def __call__(self, image: np.ndarray, prompt: str, least: float) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (H, W) float32: the detector's score of the best mask over each pixel.

        least : boxes of lower scores are not filled
        """
        boxes, scores = self.boxes(image, prompt, least)
        masks = self.masks(image, boxes) if boxes else np.zeros((0, *image.shape[:2]), bool)
        return union(masks, scores, image.shape[:2])

    def boxes(self, image: np.ndarray, prompt: str, least: float) -> tuple[list, list]:
        """Boxes (n, 4) x0, y0, x1, y1 in pixels and their scores (n,)."""
        text = f"{prompt.lower()}."  # Grounding DINO was trained on lower case and a full stop
        inputs = self.detector_processor(images=image, text=text, return_tensors="pt").to(self.device)
        (found,) = self.detector_processor.post_process_grounded_object_detection(
            self.detector(**inputs), inputs["input_ids"], threshold=least, target_sizes=[image.shape[:2]]
        )
        return found["boxes"].tolist(), found["scores"].tolist()

    def masks(self, image: np.ndarray, boxes: list) -> np.ndarray:
        """(n, H, W) bool, one mask for each box."""
        inputs = self.sam_processor(images=image, input_boxes=[boxes], return_tensors="pt").to(self.device)
        masks = self.sam(**inputs, multimask_output=False).pred_masks.cpu()
        # SAM pads its input and needs the size of the image in it; SAM 2 stretches.
        sizes = [inputs[name].tolist() for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
        return self.sam_processor.post_process_masks(masks, *sizes)[0][:, 0].numpy()
