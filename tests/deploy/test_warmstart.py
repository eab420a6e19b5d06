"""Starting from a quantized file: the float network computes what the file does."""

from pathlib import Path

import numpy as np
import torch

from deploy.network import NetworkSpec, SSDLite
from deploy.samples import to_input
from deploy.warmstart import load_weights
from pi_detector.detector.bundle import load_bundle
from pi_detector.detector.runtime import open_interpreter

MODEL = Path(__file__).resolve().parents[2] / "models" / "street"


def pictures(count):
    """Smooth random colours, as (count, 300, 300, 3) uint8."""
    small = torch.randint(0, 256, (count, 3, 12, 12), generator=torch.Generator().manual_seed(1))
    large = torch.nn.functional.interpolate(small.float(), 300, mode="bicubic").clamp(0, 255)
    return large.permute(0, 2, 3, 1).byte().numpy()


def test_the_float_network_computes_what_the_bundle_does():
    images = pictures(8)
    inputs = to_input(torch.from_numpy(images).permute(0, 3, 1, 2))
    network = SSDLite(NetworkSpec(6)).eval()
    assert load_weights(network, MODEL / "model.tflite", inputs) == "the whole network"
    with torch.no_grad():
        logits, boxes = (v.numpy() for v in network(inputs))
    bundle = load_bundle(MODEL)
    interpreter = open_interpreter(bundle.model, "litert", 1, name="street", trusted=True)
    source = interpreter.get_input_details()[0]
    details = {tuple(d["shape"])[2]: d for d in interpreter.get_output_details()}
    found = {4: [], 6: []}
    for image in images:
        interpreter.set_tensor(source["index"], (image.astype(int) - 128).astype(np.int8)[None])
        interpreter.invoke()
        for depth, detail in details.items():
            scale, zero = detail["quantization"]
            found[depth].append((interpreter.get_tensor(detail["index"]) - float(zero)) * scale)
    lowest = found[6][0].min()
    for depth, value in ((6, logits.clip(lowest)), (4, boxes)):
        expected = np.concatenate(found[depth])
        assert np.corrcoef(expected.ravel(), value.ravel())[0, 1] > 0.98
