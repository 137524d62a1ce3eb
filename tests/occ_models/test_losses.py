"""The factorised losses against their definitions on all 20 channels at full resolution."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

import torch.nn.functional as F  # noqa: E402

from occ_models.losses import OCCUPANCY_TERMS, class_weights, label_loss, occupancy_losses, weighted  # noqa: E402
from occ_models.monoocc.losses import distillation_loss, unseen_loss  # noqa: E402
from occ_models.monoocc.recipe import LOSS_WEIGHTS as MONOOCC_WEIGHTS  # noqa: E402
from occ_models.occle.recipe import LOSS_WEIGHTS as OCCLE_WEIGHTS  # noqa: E402
from occ_models.targets import project_labels  # noqa: E402

IGNORE = 255


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(3)
    occupancy = torch.randn(2, 8, 12, 4, generator=generator)
    semantics = torch.randn(2, 4, 6, 19, 2, generator=generator)
    labels = torch.randint(0, 20, (2, 8, 12, 4), generator=generator).to(torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = 0
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = IGNORE
    return occupancy, semantics, labels


def dense(occupancy, semantics):
    """P_c of the 20 classes at the valid voxels' full resolution, (B, X, Y, Z, 20)."""
    share = semantics.softmax(3).transpose(3, 4).double()
    for axis in (1, 2, 3):
        share = share.repeat_interleave(2, axis)
    o = occupancy.double().sigmoid().unsqueeze(-1)
    return torch.cat([1 - o, o * share], -1)


def test_affinity_losses_equal_their_definition(case):
    occupancy, semantics, labels = case
    losses = occupancy_losses(occupancy, semantics, labels, class_weights())
    valid = labels != IGNORE
    p, y = dense(occupancy, semantics)[valid], labels[valid].long()
    terms = []
    for c in range(20):
        t = (y == c).double()
        if not t.any():
            continue
        inter = (p[:, c] * t).sum()
        specificity = ((1 - p[:, c]) * (1 - t)).sum() / (1 - t).sum()
        terms.append(-(inter / p[:, c].sum()).log() - (inter / t.sum()).log() - specificity.log())
    assert losses["scal_sem"].item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-3)

    e, o, t = p[:, 0], 1 - p[:, 0], (y != 0).double()
    geo = (
        -((o * t).sum() / o.sum()).log() - ((o * t).sum() / t.sum()).log() - ((e * (1 - t)).sum() / (1 - t).sum()).log()
    )
    assert losses["scal_geo"].item() == pytest.approx(geo.item(), rel=1e-4)
    union = o.sum() + t.sum() - (o * t).sum()
    assert losses["iou"].item() == pytest.approx(1 - ((o * t).sum() / union).item(), rel=1e-4)


def test_cross_entropies_equal_their_definition(case):
    occupancy, semantics, labels = case
    losses = occupancy_losses(occupancy, semantics, labels, class_weights())
    valid = labels != IGNORE
    expected = F.binary_cross_entropy_with_logits(occupancy[valid], (labels[valid] > 0).float())
    assert losses["ce_occupied"].item() == pytest.approx(expected.item(), rel=1e-4)

    occupied = valid & (labels > 0)
    share = dense(occupancy, semantics)[occupied][:, 1:]
    y, w = labels[occupied].long() - 1, class_weights()[1:].double()
    nll = -(share / share.sum(1, keepdim=True)).log().gather(1, y[:, None])[:, 0]
    assert losses["ce_class"].item() == pytest.approx(((nll * w[y]).sum() / w[y].sum()).item(), rel=1e-4)


def test_gradients_reach_both_factors(case):
    occupancy, semantics, labels = (x.clone().requires_grad_() if x.is_floating_point() else x for x in case)
    sum(occupancy_losses(occupancy, semantics, labels, class_weights()).values()).backward()
    assert occupancy.grad.abs().sum() > 0 and semantics.grad.abs().sum() > 0
    assert (occupancy.grad[labels == IGNORE] == 0).all()


def test_every_term_is_multiplied_by_its_weight_and_a_weight_of_zero_leaves_it_out():
    terms = {"a": torch.tensor(2.0), "b": torch.tensor(3.0), "c": torch.tensor(5.0)}
    assert weighted(terms, {"a": 1.0, "b": 0.5, "c": 0.0}) == {"a": 2.0, "b": 1.5}


def test_a_term_without_a_weight_is_refused():
    with pytest.raises(ValueError, match="no weight for the loss b; there are weights for a"):
        weighted({"a": torch.tensor(1.0), "b": torch.tensor(0.0)}, {"a": 1.0})


def test_both_networks_weigh_every_term_of_the_occupancy_loss(case):
    assert tuple(occupancy_losses(*case, class_weights())) == OCCUPANCY_TERMS
    for weights in (OCCLE_WEIGHTS, MONOOCC_WEIGHTS):
        assert set(OCCUPANCY_TERMS) <= set(weights)


def test_label_loss_is_the_mean_of_the_samples_weighted_means():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 20, 4, 6, generator=generator, requires_grad=True)
    labels = torch.randint(0, 20, (2, 4, 6), generator=generator).to(torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = IGNORE
    labels[1, :3] = IGNORE  # the samples' numbers of labels differ, what each counts does not
    weights = class_weights()
    loss = label_loss(logits, labels, weights)
    alone = [F.cross_entropy(logits[n : n + 1], labels[n : n + 1].long(), weights, ignore_index=IGNORE) for n in (0, 1)]
    torch.testing.assert_close(loss, (alone[0] + alone[1]) / 2)
    for n in (0, 1):
        torch.testing.assert_close(label_loss(logits[n : n + 1], labels[n : n + 1], weights), alone[n])
    torch.testing.assert_close(
        *(torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (loss, (alone[0] + alone[1]) / 2))
    )


def test_a_sample_without_labels_counts_zero_in_the_mean():
    logits = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 1], [IGNORE] * 3], dtype=torch.uint8)
    weights = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(label_loss(logits, labels, weights), label_loss(logits[:1], labels[:1], weights) / 2)


def test_label_loss_without_any_label_is_zero():
    logits = torch.randn(1, 20, 4, 4, requires_grad=True)
    loss = label_loss(logits, torch.full((1, 4, 4), IGNORE, dtype=torch.uint8), class_weights())
    loss.backward()
    assert loss.item() == 0


@pytest.fixture
def features():
    """Student's and teacher's voxel features, and where voxels are free, occupied and not known."""
    generator = torch.Generator().manual_seed(5)
    student, teacher = torch.randn(2, 2, 6, 3, 4, 2, generator=generator)
    geometry = torch.randint(0, 3, (2, 3, 4, 2), generator=generator).to(torch.uint8)
    geometry[geometry == 2] = IGNORE
    return student, teacher, geometry


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_the_divergence_over_the_channels_of_occupied_voxels(features, temperature):
    student, teacher, geometry = features
    terms = []
    for b, i, j, k in (geometry == 1).nonzero().tolist():
        p, q = ((f[b, :, i, j, k].double() / temperature).softmax(0) for f in (teacher, student))
        terms.append((p * (p / q).log()).sum() * temperature**2)
    expected = torch.stack(terms).mean()
    found = distillation_loss(student, teacher, geometry, temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5) and found > 0


def test_distillation_ends_where_student_and_teacher_agree(features):
    student, teacher, geometry = features
    # The softmax does not tell what all channels have in common.
    assert distillation_loss(teacher + 3, teacher, geometry, 2.0).abs() < 1e-6
    losses = [distillation_loss(teacher + part * student, teacher, geometry, 2.0) for part in (1.0, 0.5, 0.1)]
    assert losses[0] > losses[1] > losses[2] > 0


def test_distillation_teaches_the_student_alone_and_where_voxels_are_occupied(features):
    student, teacher, geometry = features
    student.requires_grad_()
    teacher.requires_grad_()
    distillation_loss(student, teacher, geometry, 2.0).backward()
    assert teacher.grad is None
    slope = student.grad.abs().sum(1)
    assert (slope[geometry != 1] == 0).all() and (slope[geometry == 1] > 0).all()


def test_distillation_without_an_occupied_voxel_is_zero_and_still_has_a_gradient(features):
    student, teacher, geometry = features
    student.requires_grad_()
    loss = distillation_loss(student, teacher, torch.where(geometry == 1, IGNORE, geometry), 2.0)
    loss.backward()
    assert loss.item() == 0 and (student.grad == 0).all()


def test_class_weights_are_the_published_ones():
    expected = "446 603 852 856 747 734 801 796 818 557 653 568 683 560 603 530 688 574 716 786"
    expected = np.array(expected.split(), float) / 1000
    np.testing.assert_allclose(10 * class_weights(), expected, atol=1.1e-3)


def test_nearest_point_wins_the_pixel():
    uv = np.array([[1.0, 1.0], [1.5, 1.5], [np.nan, np.nan], [9.0, 1.0]])
    target = project_labels(uv, np.array([5.0, 2.0, -1.0, 3.0]), np.array([1, 2, 3, 4], np.uint8), (8, 4), (2, 4))
    assert target[0, 0] == 2 and (target.ravel()[1:] == IGNORE).all()


def test_what_nobody_has_seen_is_called_free_and_nothing_else_is():
    labels = torch.tensor([[[[IGNORE, IGNORE, 0, 5]]]], dtype=torch.uint8)
    logits = torch.tensor([[[[-20.0, 3.0, 9.0, 9.0]]]], requires_grad=True)
    loss = unseen_loss(logits, labels)
    assert loss.item() == pytest.approx(math.log1p(math.exp(3)) / 2, rel=1e-4)
    loss.backward()
    assert logits.grad[0, 0, 0, 1] > 0 and (logits.grad[0, 0, 0, 2:] == 0).all()
    assert unseen_loss(logits, torch.zeros_like(labels)).item() == 0
