"""Pictures drawn into data sets of every format."""

import base64
import json
import struct
import zlib
from xml.sax.saxutils import escape

import cv2
import numpy as np
import pytest

from deploy.__main__ import main
from deploy.data.formats.tfrecord import masked_crc, message_types

# Written by TensorFlow 2.21's TFRecordWriter: two pictures of 32x24 with a box each.
TENSORFLOW_FILE = zlib.decompress(base64.b85decode(
    "c-p(d$N&aWCuL2zE;4g<Gjj1}<|d}6>Zj%<=clBm2vu=aaFuli___0PNpS&H@_Kr>1OaIUAeP`@0+J$z8OcD(*3-o?"
    "#G^CWrtlF9vo52sudn>pgn)<xP2Pu&x0^I?%Q>iL_oX@GN>d=Wo36x(O&sAjowOu=IhtfKIx;ZSr?Gyq+`9M#$T6O-el"
    "F{r5}LS_xWpii$xq5kO)k+-O3JU$uguNN6XFnJ<6>c8Xt2YjCb0sh#=#!DnhI2NRJp`a)FkI578mQ6q*jy&adB~Qu@$5"
    "i73b%1DRS{al%-|nq~;~&rV8<M@p5se6eX7D=^E%2<fY@X4aG&GTs#mp8L64+86`rjQp{Y85?mr&+z{dN%#@N0h^PXWI8"
    "1R`eo<~>i4Z#%D;G1!CPgj@EN;$8OiImx=w&>vE%o^#G>&KfoFK?`jy7=|d<+=JlYw!pWrK+03!6CHk>j}fAL|#^>E%iT"
    "7RO4s;}{&K$%#eyBiL}TMKBZJY6W%x3>XMC"
))  # fmt: skip

PHOTOS = {
    "one.png": ((64, 48), [("person", (4, 6, 20, 40)), ("car", (30, 10, 64, 30))]),
    "two.png": ((40, 60), []),
    "drei ä.png": ((100, 80), [("car", (0, 0, 100, 80))]),
}


def draw(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, ((width, height), boxes) in PHOTOS.items():
        image = np.full((height, width, 3), 200, np.uint8)
        for label, (x1, y1, x2, y2) in boxes:
            image[y1:y2, x1:x2] = (160, 20, 20) if label == "car" else (20, 20, 160)
        (folder / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())


def voc_xml(name, size, boxes, difficult=0):
    objects = "".join(
        f"<object><name>{escape(label)}</name><difficult>{difficult}</difficult><bndbox>"
        f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for label, (x1, y1, x2, y2) in boxes
    )
    return (
        f"<annotation><folder>f</folder><filename>{escape(name)}</filename><size>"
        f"<width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"
    )


def write_voc(root):
    draw(root)
    for name, (size, boxes) in PHOTOS.items():
        file = (root / name).with_suffix(".xml")
        file.write_text(voc_xml(name, size, boxes), "utf-8")


def write_yolo(root):
    draw(root / "images")
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("train: images\nnames: [person, car]\n")
    for name, ((width, height), boxes) in PHOTOS.items():
        lines = [
            f"{['person', 'car'].index(label)} {(x1 + x2) / 2 / width:.6f} "
            f"{(y1 + y2) / 2 / height:.6f} {(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}"
            for label, (x1, y1, x2, y2) in boxes
        ]
        (root / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))


def tf_example(**features):
    message = message_types()[0]()
    for key, values in features.items():
        entry = message.features.feature.add(key=key.replace("__", "/"))
        kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}[type(values[0])]
        getattr(entry.value, kind).value.extend(values)
    return message.SerializeToString()


def framed(*records):
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        out += length + struct.pack("<I", masked_crc(length))
        out += record + struct.pack("<I", masked_crc(record))
    return out


def write_tfrecord(root):
    draw(root)
    records = []
    for name, ((width, height), boxes) in PHOTOS.items():
        columns = {}
        if boxes:
            columns = {
                f"image__object__bbox__{corner}": [
                    box[index] / (height if index % 2 else width) for _, box in boxes
                ]
                for index, corner in enumerate(("xmin", "ymin", "xmax", "ymax"))
            }
            columns["image__object__class__text"] = [label.encode() for label, _ in boxes]
        records.append(
            tf_example(
                image__encoded=[(root / name).read_bytes()],
                image__filename=[f"/data/{name}".encode()],
                image__width=[width],
                image__height=[height],
                **columns,
            )
        )
        (root / name).unlink()
    (root / "drawn.tfrecord").write_bytes(framed(*records))


def write_coco(root, **extra):
    draw(root / "drawn")
    images, boxes = [], []
    ids = {"person": 0, "car": 7}
    for number, (name, ((width, height), objects)) in enumerate(PHOTOS.items()):
        images.append({"id": number, "file_name": name, "width": width, "height": height, **extra})
        boxes += [
            {"id": len(boxes) + n, "image_id": number, "category_id": ids[label],
             "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for n, (label, (x1, y1, x2, y2)) in enumerate(objects)
        ]  # fmt: skip
    categories = [{"id": 0, "name": "person"}, {"id": 7, "name": "car"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (root / "drawn.json").write_text(json.dumps(content))


WRITERS = {
    "coco": write_coco, "voc": write_voc, "yolo": write_yolo, "tfrecord": write_tfrecord
}  # fmt: skip


def run_import(source, out, *options):
    return main(["dataset", "import", str(source), "--out", str(out), *map(str, options)])


@pytest.fixture
def refused(capsys):
    """Run a strict import, which must fail; gives the one line that says why."""

    def run(source, out, *options):
        assert run_import(source, out, "--strict", *options) == 65
        assert not out.exists()
        return capsys.readouterr().err

    return run
