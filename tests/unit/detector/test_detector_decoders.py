"""Decoders by the architecture of the manifest: ours, those of plugins, and what is refused."""

import hashlib

import msgspec
import numpy as np
import pytest
from installed_plugin import install

from pi_detector.detector.candidates import DecoderSpec
from pi_detector.detector.decoders import make_decoder
from pi_detector.detector.manifest import Manifest
from pi_detector.detector.postprocess import PostprocessDecoder
from pi_detector.detector.ssd import SsdDecoder
from pi_detector.detector.tensors import TensorInfo
from pi_detector.errors import BadModelError, PluginError
from pi_detector.util import plugins

ROWS = TensorInfo(7, "rows", (1, 2, 6), np.dtype(np.float32))
LOGITS = TensorInfo(1, "l", (1, 48, 2), np.dtype(np.int8), 0.1, 0)
BOXES = TensorInfo(2, "b", (1, 48, 4), np.dtype(np.int8), 0.1, 0)
PLUGIN = """
import numpy as np
from pi_detector.detector.candidates import Candidates

class Rows:
    def __init__(self, spec):
        self.info = spec.output(spec.manifest.decoder["rows"])
    def read(self, tensors):
        rows = tensors.tensor(self.info.index)()[0]
        return Candidates(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))

def broken(spec):
    raise KeyError("anchors")
"""


def manifest(architecture, **tables):
    said = {
        "model": {
            "name": "yard",
            "version": "1",
            "description": "a test",
            "architecture": architecture,
            "licence": "MIT",
            "sha256": hashlib.sha256(b"").hexdigest(),
        },
        "input": {"tensor": "image", "height": 64, "width": 96, "dtype": "int8"},
        "scores": {"default": 0.4},
        "labels": [{"id": 1, "name": "person"}, {"id": 6, "name": "bus"}],
    }
    return msgspec.convert(said | tables, Manifest)


def ssd(architecture):
    anchors = {
        "strides": [16],
        "shapes": [[[20.0, 20.0], [20.0, 40.0]]],
        "variances": [0.1, 0.1, 0.2, 0.2],
    }
    return manifest(architecture, anchors=anchors, outputs={"logits": "l", "boxes": "b"})


def made(said, *outputs):
    return make_decoder(DecoderSpec("yard", outputs, [0.4, 0.4], said))


class Tensors:
    def __init__(self, **arrays):
        self.arrays = {int(name[1:]): array for name, array in arrays.items()}

    def tensor(self, index):
        return lambda: self.arrays[index]


@pytest.fixture
def search_path(tmp_path, monkeypatch):
    """A folder for packages, which is searched; nothing found earlier is remembered."""
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._installed.cache_clear()
    yield tmp_path
    plugins._installed.cache_clear()


@pytest.mark.parametrize("architecture", ["ssd", "ssdlite-mobilenet-v2"])
def test_a_raw_network(architecture):
    assert isinstance(made(ssd(architecture), LOGITS, BOXES), SsdDecoder)


def test_a_network_that_decodes_its_boxes():
    outputs = [
        TensorInfo(i, name, shape, np.dtype(np.float32))
        for i, (name, shape) in enumerate(
            [("boxes", (1, 9, 4)), ("classes", (1, 9)), ("scores", (1, 9)), ("count", (1,))]
        )
    ]
    assert isinstance(made(None, *outputs), PostprocessDecoder)
    assert isinstance(made(manifest("ssd-postprocess"), *outputs), PostprocessDecoder)


def test_an_architecture_that_nobody_decodes():
    with pytest.raises(BadModelError, match=r"yard: no decoder .*'sdd'; did you mean 'ssd'\?"):
        made(manifest("sdd"), ROWS)
    with pytest.raises(BadModelError, match="'transformer'; there are ssd, ssd-postprocess"):
        made(manifest("transformer"), ROWS)


def test_a_raw_network_whose_manifest_lacks_what_is_needed():
    with pytest.raises(BadModelError, match=r"yard: an SSD network needs `anchors`"):
        made(manifest("ssd"), LOGITS, BOXES)
    with pytest.raises(BadModelError, match="no output 'l', which its manifest names"):
        made(ssd("ssd"), BOXES)


def test_a_decoder_of_a_plugin(search_path):
    install(search_path, "rows_decoder", PLUGIN, {"decoder.rows": "Rows"})
    decoder = made(manifest("rows", decoder={"rows": "rows"}), ROWS)
    rows = np.asarray([[[0, 0, 1, 1, 0.9, 1], [0, 0, 0.5, 0.5, 0.8, 0]]], np.float32)
    found = decoder.read(Tensors(_7=rows))
    assert found.class_index.tolist() == [1, 0]
    assert found.score.tolist() == pytest.approx([0.9, 0.8])


def test_a_plugin_never_takes_the_place_of_ours(search_path):
    install(
        search_path, "impostor", "def make(spec): raise AssertionError", {"decoder.ssd": "make"}
    )
    assert isinstance(made(ssd("ssd"), LOGITS, BOXES), SsdDecoder)


@pytest.mark.parametrize(
    ("code", "attribute", "message"),
    [
        ("import nothing_of_that_name", "make", "ModuleNotFoundError: No module named 'nothing"),
        ("raise SystemError('at\\nimport')", "make", "SystemError: at import; repair or uninstall"),
        ("", "make", "AttributeError"),
        ("make = 3", "make", "broken_plugin:make is no function"),
        (PLUGIN, "broken", "KeyError: 'anchors'; repair or uninstall broken-plugin"),
    ],
)
def test_a_plugin_that_fails_is_named(search_path, monkeypatch, code, attribute, message):
    install(search_path, "broken_plugin", code, {"decoder.odd": attribute})
    monkeypatch.delitem(__import__("sys").modules, "broken_plugin", raising=False)
    with pytest.raises(PluginError) as error:
        made(manifest("odd"), ROWS)
    assert str(error.value).startswith("decoder 'odd' of the package broken-plugin 1.2.3: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 0, 1, 1, 0.9, 2]], "a class beyond the 2 labels"),
        ([[0, 0, 1, 1, 0.9, -1]], "a class beyond the 2 labels"),
        ([[0, 0, np.nan, 1, 0.9, 1]], "not finite"),
        ([[0, 0, 1]], "IndexError"),
    ],
)
def test_what_a_plugin_gives_is_checked(search_path, rows, message):
    install(search_path, "rows_decoder", PLUGIN, {"decoder.rows": "Rows"})
    decoder = made(manifest("rows", decoder={"rows": "rows"}), ROWS)
    with pytest.raises(PluginError, match=f"rows-decoder 1.2.3: .*{message}"):
        decoder.read(Tensors(_7=np.asarray([rows], np.float32)))


def test_two_packages_that_bring_the_same(search_path):
    install(search_path, "first_one", PLUGIN, {"decoder.rows": "Rows"})
    install(search_path, "second_one", PLUGIN, {"decoder.rows": "Rows"})
    with pytest.raises(PluginError, match="first-one and second-one both bring it; uninstall one"):
        made(manifest("rows"), ROWS)
