"""The network, its anchors and the loss."""

import numpy as np
import torch

from deploy.data.augment import MIN_SIDE_PX, augmented, plain
from deploy.data.dataset import Photo
from deploy.training.loss import DetectionLoss, Targets, generalized_iou, pairwise_iou
from deploy.training.network import ConvNorm, NetworkSpec, SSDLite, scaled_channels
from pi_detector.detector.anchors import decode_boxes, make_anchors


def photo(boxes, classes, known, size=(120, 200)):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    return Photo(
        path=None,
        image_id=1,
        source="",
        xyxy=np.asarray(boxes, np.float32).reshape(-1, 4),
        classes=np.asarray(classes, np.int64),
        ignored=np.zeros(len(classes), bool),
        known=np.asarray(known, bool),
    ), image


def targets(boxes, classes, known, ignored=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Targets(
        xyxy=boxes,
        classes=torch.tensor(classes, dtype=torch.int64),
        ignored=torch.tensor(ignored or [False] * len(boxes), dtype=torch.bool),
        regions=torch.tensor([[0.0, 0, 300, 300]]),
        known=torch.tensor([known]),
    )


def test_outputs_match_the_anchors_at_every_size():
    for size in (160, 224, 288, 300):
        spec = NetworkSpec(classes=6, input_size=size, width=0.5, fused_channels=32)
        network = SSDLite(spec).eval()
        with torch.no_grad():
            logits, boxes = network(torch.zeros(1, 3, size, size))
        assert logits.shape == (1, len(make_anchors(spec.anchors())), 6)
        assert boxes.shape[1] == logits.shape[1] == len(spec.anchors())


def test_anchors_lie_where_the_convolutions_look():
    """The pixels that a location depends on lie around its anchors."""
    torch.manual_seed(1)
    for size in (480, 492):
        network = SSDLite(NetworkSpec(classes=1, input_size=size, width=0.35)).eval()
        offsets = network.spec.anchors().offsets
        for level, stride in enumerate((8, 16)):
            image = torch.randn(1, 3, size, size, requires_grad=True)
            row = 240 // stride
            network.backbone(image)[level][0, :, row, row].square().sum().backward()
            seen = image.grad[0].abs().sum((0, 1)).nonzero().flatten()
            middle = float(seen[0] + seen[-1] + 1) / 2
            assert abs(middle - (offsets[level] + stride * row)) <= 1


def test_a_folded_network_computes_what_it_did():
    torch.manual_seed(2)
    network = SSDLite(NetworkSpec(classes=2, input_size=96, width=0.35)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        before = network(image)
        for module in network.modules():
            if isinstance(module, ConvNorm):
                module.fold()
        after = network(image)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_step_of_training_convolves_as_evaluation_does():
    torch.manual_seed(3)
    network = SSDLite(NetworkSpec(classes=2, input_size=100, width=0.35, norms=False))
    image = torch.randn(1, 3, 100, 100)
    with torch.no_grad():
        for a, b in zip(network.train()(image), network.eval()(image), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_channels_are_multiples_of_eight_and_not_much_less():
    for channels in range(16, 400, 8):
        for width in (0.35, 0.5, 0.75, 1.0):
            scaled = scaled_channels(channels, width)
            assert scaled % 8 == 0
            assert scaled >= 0.9 * channels * width


def test_the_loss_decodes_as_the_device_does():
    spec = NetworkSpec(classes=2).anchors()
    loss = DetectionLoss(spec, 2)
    coded = torch.randn(len(spec), 4) * 3
    device = decode_boxes(coded.numpy(), make_anchors(spec), spec.variances)
    np.testing.assert_allclose(loss.decode(coded, loss.anchors), device, rtol=1e-4, atol=1e-3)


def test_every_object_has_an_anchor():
    loss = DetectionLoss(NetworkSpec(classes=2).anchors(), 2)
    boxes = torch.tensor(
        [[3.0, 3, 9, 9], [50, 60, 80, 150], [0, 0, 300, 300], [290, 290, 299, 299]]
    )
    assigned = loss.assign(boxes)
    assert set(range(4)) <= set(assigned.tolist())


def test_an_unknown_class_costs_nothing_and_a_known_one_does():
    loss = DetectionLoss(NetworkSpec(classes=2).anchors(), 2)
    logits = torch.full((1, len(loss.anchors), 2), -4.0)
    sure = logits.clone()
    sure[0, :, 1] = 4.0
    coded = torch.zeros(1, len(loss.anchors), 4)
    unknown, _, _ = loss(sure, coded, [targets([], [], [True, False])])
    quiet, _, _ = loss(logits, coded, [targets([], [], [True, False])])
    assert torch.isclose(unknown, quiet)
    known, _, _ = loss(sure, coded, [targets([], [], [True, True])])
    assert known > 100 * quiet


def test_an_ignored_object_is_neither_object_nor_background():
    loss = DetectionLoss(NetworkSpec(classes=1).anchors(), 1)
    truth = targets([[100.0, 100, 140, 160]], [0], [True], ignored=[True])
    mask = loss.known_mask(truth)
    inside = ((loss.anchors[:, :2] > 100) & (loss.anchors[:, :2] < 140)).all(1)
    assert inside.any()
    assert not mask[inside].any()
    assert mask[~inside].mean() > 0.9


def test_iou_of_known_boxes():
    a = torch.tensor([[0.0, 0, 10, 10]])
    b = torch.tensor([[5.0, 0, 15, 10]])
    assert torch.isclose(pairwise_iou(a, b)[0, 0], torch.tensor(1 / 3))
    iou, giou = generalized_iou(a, torch.tensor([[20.0, 0, 30, 10]]))
    assert iou[0] == 0
    assert torch.isclose(giou[0], torch.tensor(-1 / 3))


def test_a_plain_sample_stretches_the_boxes_with_the_photo():
    pair = photo([[50, 30, 100, 90]], [0], [True])
    sample = plain(*pair, 300)
    np.testing.assert_allclose(sample.xyxy, [[75, 75, 150, 225]], atol=1e-3)


def test_augmented_boxes_stay_inside_and_thin_ones_are_ignored():
    rng = np.random.default_rng(3)
    pair = photo([[50, 30, 100, 90], [10, 10, 14, 14]], [0, 1], [True, False])
    for count in (1, 4) * 20:
        sample = augmented([pair] * count, 224, rng)
        assert sample.image.shape == (224, 224, 3)
        assert sample.xyxy.min(initial=0) >= 0
        assert sample.xyxy.max(initial=0) <= 224
        sides = (sample.xyxy[:, 2:] - sample.xyxy[:, :2]).min(axis=1, initial=np.inf)
        assert sample.ignored[sides < MIN_SIDE_PX].all()
        assert len(sample.regions) == len(sample.known) == count
