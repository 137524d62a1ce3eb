"""Figures of a trained MonoOcc on some drives: of its labels, its proposals and its depth."""

from collections.abc import Sequence
from pathlib import Path

import torch

from occ_core import CompletionMetrics
from occ_data import Drive
from occ_models.checkpoint import load_checkpoint
from occ_models.data import FrameDataset, collate, inputs_of
from occ_models.frame_cache import FrameCache
from occ_models.frames import frames_of
from occ_models.monoocc.depth import metric_depth


def measure(folder: Path, drives: Sequence[Drive], cache: FrameCache | None = None) -> tuple[dict, dict, dict]:
    """Figures of the network in a folder: of its labels, of its proposals, of its depth.

    Runs on a GPU where there is one. cache : decoded frames, for several calls
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_checkpoint(folder).to(device).eval()
    data = FrameDataset(frames_of(drives), model.config, image_labels=None, cache=cache or FrameCache(0))
    labels, proposals, errors = CompletionMetrics(), CompletionMetrics(), []
    for n in range(len(data)):
        batch = collate([data[n]])
        with torch.no_grad():
            inputs = [tensor.to(device) for tensor in inputs_of(batch, model.config)]
            labels.add(model.predict(*inputs)[0].cpu().numpy(), batch["labels"].numpy())
            depth, proposed = (tensor.cpu() for tensor in model.depth_and_proposals(*inputs))
        proposals.add((proposed > 0).byte().numpy(), batch["geometry"].numpy())
        errors.append(depth_errors(depth, batch["true_depth"]))
    total = torch.cat(errors)
    depth = {
        "abs_rel": total[:, 0].mean().item(), "delta": 100 * total[:, 1].mean().item(),
        "confidence": total[:, 2].mean().item(), "cells": len(total),
    }  # fmt: skip
    return labels.summary(), proposals.summary(), depth


def depth_errors(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """(N, 3) of the pixels whose depth is known: relative error, whether the ratio is below 1.25, confidence."""
    metres, confidence = metric_depth(logits.softmax(1))
    known = true > 0
    metres, confidence, true = metres[known], confidence[known], true[known]
    ratio = torch.maximum(metres / true, true / metres)
    return torch.stack([(metres - true).abs() / true, (ratio < 1.25).float(), confidence], 1)
