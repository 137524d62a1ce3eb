"""The segmenters with networks, on the transformers library itself: tiny models made here, nothing downloaded."""

import json
import os
import sys

import numpy as np
import pytest
import yaml

from occ_cli.data import main
from occ_core.taxonomy import CLASS_NAMES, IGNORE
from occ_data.kitti import DataError, read_classes
from occ_data.pseudo_labels.grounded import GroundedMasks
from occ_data.pseudo_labels.mseg import IDS, UNLABELED
from occ_data.pseudo_labels.semantic import SemanticModel, read_labels

LABELS = ["Road", "sidewalk", "tree", "traffic light", "unicorn"]
MSEG = ["road", "sidewalk_pavement", "vegetation", "traffic_light", None]
SEMANTIC = ("segformer", "mask2former", "oneformer")
IMAGE = np.random.default_rng(0).integers(0, 256, (37, 124, 3), np.uint8)
SMALL = {"height": 32, "width": 64}


@pytest.fixture(scope="module")
def library():
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name in ("torch", "torchvision", "transformers"):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install '.[segment]')")
    import transformers

    return transformers


@pytest.fixture(scope="module")
def models(library, tmp_path_factory):
    """Folders of tiny models by name, the semantic ones sure of their second label."""
    folder = tmp_path_factory.mktemp("models")
    for make in (segformer, mask2former, oneformer, grounding_dino, sam, sam2):
        make(library, folder / make.__name__)
    return folder


def labels():
    return {"id2label": dict(enumerate(LABELS)), "label2id": {label: n for n, label in enumerate(LABELS)}}


def swin(library, *stages):
    return library.SwinConfig(
        image_size=32, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=list(stages)
    )


def make_sure(classifier, label: int = 1) -> None:
    """Let a classifying layer say `label` whatever it sees."""
    classifier.weight.data.zero_()
    classifier.bias.data.fill_(-9)[label] = 9


def segformer(library, path):
    sizes = {"depths": [1] * 4, "hidden_sizes": [8] * 4, "num_attention_heads": [1] * 4, "decoder_hidden_size": 8}
    model = library.SegformerForSemanticSegmentation(library.SegformerConfig(**sizes, **labels()))
    make_sure(model.decode_head.classifier)
    model.save_pretrained(path)
    library.SegformerImageProcessor(size=SMALL).save_pretrained(path)


def mask2former(library, path):
    backbone = swin(library, "stage1", "stage2", "stage3", "stage4")
    config = library.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=6, **labels(),
    )  # fmt: skip
    model = library.Mask2FormerForUniversalSegmentation(config)
    make_sure(model.class_predictor)
    model.save_pretrained(path)
    library.Mask2FormerImageProcessor(size=SMALL).save_pretrained(path)


def oneformer(library, path):
    backbone = swin(library, "stage1", "stage2", "stage3", "stage4")
    config = library.OneFormerConfig(
        backbone_config=backbone, hidden_dim=32, conv_dim=32, mask_dim=32, encoder_feedforward_dim=16, encoder_layers=1,
        decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=6, query_dec_layers=1,
        text_encoder_width=16, text_encoder_num_layers=1, text_encoder_vocab_size=64, **labels(),
    )  # fmt: skip
    model = library.OneFormerForUniversalSegmentation(config)
    make_sure(model.model.transformer_module.decoder.class_embed)
    model.save_pretrained(path)
    (path / "classes.json").write_text(json.dumps({n: {"isthing": 0, "name": name} for n, name in enumerate(LABELS)}))
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *(c + end for c in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")),
    ]
    images = library.OneFormerImageProcessor(
        size=SMALL, repo_path=str(path), class_info_file="classes.json", num_text=2
    )
    tokenizer = library.CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[])
    library.OneFormerProcessor(images, tokenizer).save_pretrained(path)


def grounding_dino(library, path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "trunk"]
    text = library.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    config = library.GroundingDinoConfig(
        backbone_config=swin(library, "stage2", "stage3", "stage4"), text_config=text, num_queries=6, d_model=32,
        encoder_layers=1, decoder_layers=2, encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2,
        decoder_attention_heads=2,
    )  # fmt: skip
    library.GroundingDinoForObjectDetection(config).save_pretrained(path)
    images = library.GroundingDinoImageProcessor(size={"height": 128, "width": 256})
    tokenizer = library.BertTokenizer(vocab={word: n for n, word in enumerate(words)})
    library.GroundingDinoProcessor(images, tokenizer).save_pretrained(path)


def sam_heads():
    decoder = {"num_hidden_layers": 1, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    return {
        "prompt_encoder_config": {"hidden_size": 16, "image_size": 64, "patch_size": 16},
        "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 16, **decoder},
    }


def sam(library, path):
    vision = {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 16, "mlp_dim": 16, "window_size": 2, "global_attn_indexes": [0], "num_pos_feats": 8,
    }  # fmt: skip
    library.SamModel(library.SamConfig(vision_config=vision, **sam_heads())).save_pretrained(path)
    images = library.SamImageProcessor(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16}, mask_pad_size={"height": 16, "width": 16},
    )  # fmt: skip
    library.SamProcessor(images).save_pretrained(path)


def sam2(library, path):
    backbone = library.Sam2HieraDetConfig(
        hidden_size=8, image_size=[64, 64], blocks_per_stage=[1] * 4, embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1] * 4, window_size_per_stage=[4] * 4, global_attention_blocks=[],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = library.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=16,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )  # fmt: skip
    library.Sam2Model(library.Sam2Config(vision_config=vision, **sam_heads())).save_pretrained(path)
    images = library.Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    library.Sam2Processor(images, target_size=64).save_pretrained(path)


@pytest.mark.parametrize("name", SEMANTIC)
def test_labels_become_mseg_ids_at_the_images_size(models, name):
    model = SemanticModel.load(models / name)
    ids = model(IMAGE)
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, np.full(IMAGE.shape[:2], IDS[MSEG[1]]))
    assert model.mapped == {label: name for label, name in zip(LABELS, MSEG, strict=True) if name}


def test_labels_that_mseg_lacks_are_listed_and_unlabeled(models):
    model = SemanticModel.load(models / "segformer")
    assert model.unmapped == ["unicorn"]
    make_sure(model.model.decode_head.classifier, LABELS.index("unicorn"))
    np.testing.assert_array_equal(model(IMAGE), np.full(IMAGE.shape[:2], UNLABELED))


def test_own_labels_come_first(models):
    model = SemanticModel.load(models / "segformer", {"unicorn": "horse", "sidewalk": "terrain"})
    assert not model.unmapped and model.mapped["unicorn"] == "horse"
    assert (model(IMAGE) == IDS["terrain"]).all()


@pytest.mark.parametrize("name", ["sam", "sam2"])
def test_masks_are_of_the_images_size_and_carry_the_detectors_scores(models, name):
    masks = GroundedMasks.load(models / "grounding_dino", models / name)
    _, found = masks.boxes(IMAGE, "trunk", 0.0)
    scores = masks(IMAGE, "trunk", 0.0)
    assert len(found) == 6 and scores.shape == IMAGE.shape[:2] and scores.dtype == np.float32
    assert set(np.unique(scores)) <= {np.float32(0), *np.float32(found)}
    assert not masks(IMAGE, "trunk", 1.0).any()  # no box is that sure


@pytest.mark.parametrize(("name", "rows"), [("sam", 32 * 124 / 64), ("sam2", 37 / 2)])
def test_a_mask_of_the_upper_half_of_the_input_is_that_of_the_image(models, monkeypatch, name, rows):
    """SAM pads the image below to a square, SAM 2 stretches it."""
    import torch

    masks = GroundedMasks.load(models / "grounding_dino", models / name)
    upper = torch.full((1, 1, 1, 16, 16), -9.0)
    upper[..., :8, :] = 9
    forward = type(masks.sam).forward

    def with_upper_half(*arguments, **options):
        outputs = forward(*arguments, **options)
        assert outputs.pred_masks.shape == upper.shape
        outputs.pred_masks = upper
        return outputs

    monkeypatch.setattr(type(masks.sam), "forward", with_upper_half)
    (mask,) = masks.masks(IMAGE, [[10.0, 5.0, 60.0, 30.0]])
    assert mask.shape == IMAGE.shape[:2]
    row = np.arange(37)[:, None]
    clear = np.broadcast_to(abs(row - rows) > 2, mask.shape)
    np.testing.assert_array_equal(mask[clear], np.broadcast_to(row < rows, mask.shape)[clear])


def test_the_verb_labels_a_sequence(models, tiny_sequence, capsys):
    root, folder = tiny_sequence.path.parents[1], tiny_sequence.path / "pseudo_labels"
    names = ["--model", models / "mask2former", "--detector", models / "grounding_dino", "--sam", models / "sam2"]
    arguments = ["pseudo-labels", root, "--segmenter", "transformers", *names]
    assert main([str(argument) for argument in arguments]) == 0
    assert "1 labels of" in (error := capsys.readouterr().err) and "unicorn" in error
    for frame in tiny_sequence.frames:
        assert set(np.unique(read_classes(folder / f"{frame}.png"))) <= {CLASS_NAMES.index("sidewalk"), IGNORE}
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert recipe["model"] == str(models / "mask2former") and recipe["sam"] == str(models / "sam2")
    assert recipe["labels"] == {label: name for label, name in zip(LABELS, MSEG, strict=True) if name}


def test_a_model_of_another_kind_is_named(models):
    with pytest.raises(DataError, match="segformer: a segformer model; expected one of grounding-dino"):
        GroundedMasks.load(models / "segformer", models / "sam2")
    with pytest.raises(DataError, match="segformer: a segformer model; expected sam or sam2"):
        GroundedMasks.load(models / "grounding_dino", models / "segformer")
    with pytest.raises(DataError, match="sam2: cannot be loaded as AutoModelForSemanticSegmentation") as error:
        SemanticModel.load(models / "sam2")
    assert "\n" not in str(error.value)


def test_without_transformers_the_extra_is_named(tiny_sequence, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    root = str(tiny_sequence.path.parents[1])
    assert main(["pseudo-labels", root, "--segmenter", "transformers", "--model", "any"]) == 2
    assert "needs transformers; install it with: pip install '.[segment]'" in capsys.readouterr().err


def test_known_labels_are_mseg_names_and_wrong_ones_are_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("Lamp Post: streetlight\nunicorn: unicorn\n")
    with pytest.raises(DataError, match=r"mine\.yaml: unicorn: 'unicorn' is no MSeg name"):
        read_labels(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("Lamp Post: streetlight\n")
    assert read_labels(tmp_path / "mine.yaml") == {"lamp post": "streetlight"}
