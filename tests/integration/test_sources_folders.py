"""Folders as they are: broken links, no rights, other kinds of files, unusual suffixes."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import pi_detector
from other_user import let_others_enter, unprivileged

from pi_detector.cli.inputs import find_inputs
from pi_detector.config.settings import SourceSettings
from pi_detector.errors import BadImageError, SourceNotFoundError, SourcePermissionError
from pi_detector.sources.base import Source
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.isolated_link import Failed
from pi_detector.sources.isolated_pictures import PictureProcess
from pi_detector.sources.registry import make_source
from pi_detector.util.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, kind_of, kind_of_content


def write_image(path: Path, suffix: str = ".jpg") -> Path:
    image = np.full((30, 40, 3), (0, 0, 255), np.uint8)
    path.write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    return path


def write_video(path: Path) -> Path:
    writer = cv2.VideoWriter(f"{path}.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return Path(f"{path}.avi").rename(path)


def names_of(uri: str, **settings: object) -> list[str]:
    source = make_source(SourceSettings(uri=uri, **settings))  # type: ignore[arg-type]
    source.open()
    return [Path(frame.path or "").name for frame in iter(source.read, None) if frame]


def test_a_broken_link_does_not_end_a_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("none")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    write_image(tmp_path / "z.jpg")
    assert names_of(f"images:{tmp_path}") == ["a.jpg", "z.jpg"]
    assert "b.jpg: skipped because it cannot be read (a link to nothing)" in caplog.text
    assert "loop.jpg: skipped because it cannot be read" in caplog.text
    done = pi_detector("detect", tmp_path)
    assert done.returncode == 65
    assert len(done.stdout.splitlines()) == 2
    assert "2 of 4 files could not be read or decoded" in done.stderr
    done = pi_detector("run", "--source", f"images:{tmp_path}")
    assert done.returncode == 0


def test_a_folder_of_broken_links(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").symlink_to("none")
    with pytest.raises(SourceNotFoundError, match="no images in it"):
        names_of(f"images:{tmp_path}")


def test_what_may_not_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    isolation = "off"  # another user may not be able to start our Python
    write_image(tmp_path / "a.jpg")
    write_image(tmp_path / "b.jpg").chmod(0)
    (tmp_path / "closed").mkdir()
    write_image(tmp_path / "closed" / "c.jpg")
    (tmp_path / "closed").chmod(0)
    let_others_enter(tmp_path)
    with unprivileged():
        assert names_of(f"images:{tmp_path}", isolation=isolation) == ["a.jpg"]
        assert "b.jpg: skipped because it cannot be decoded (Permission denied)" in caplog.text
        assert "closed: skipped because it cannot be read (Permission denied)" in caplog.text
        for uri in (f"images:{tmp_path}/closed", f"{tmp_path}/b.jpg"):
            with pytest.raises(SourcePermissionError, match="no permission") as caught:
                names_of(uri, isolation=isolation)
            assert caught.value.exit_code == 77
        for path in (tmp_path / "closed", tmp_path / "closed" / "c.jpg"):
            with pytest.raises(SourcePermissionError, match="no permission"):
                find_inputs([str(path)])
    (tmp_path / "a.jpg").unlink()
    let_others_enter(tmp_path)
    with unprivileged(), pytest.raises(SourcePermissionError, match=r"chmod -R a\+rX"):
        names_of(f"images:{tmp_path}", isolation=isolation)
    (tmp_path / "closed").chmod(0o755)


def test_the_process_of_pictures_hands_over_that_rights_are_missing(tmp_path: Path) -> None:
    class Answering:
        is_running = True

        def send_file(self, fd: int) -> None:
            assert os.path.samestat(os.fstat(fd), tmp_path.stat())

        def receive(self, timeout_s: float) -> Failed:
            return Failed("SourcePermissionError", b"Permission denied")

    pictures = PictureProcess("images")
    pictures._process = Answering()  # type: ignore[assignment]
    with pytest.raises(SourcePermissionError, match="Permission denied"):
        pictures.decode(tmp_path)
    assert pictures._process is not None


def test_every_command_takes_the_same_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, suffix in (("a.webp", ".webp"), ("b.jfif", ".jpg"), ("c.JPE", ".jpg")):
        write_image(tmp_path / name, suffix)
    write_image(tmp_path / "d")  # by its content
    write_image(tmp_path / "e.dat", ".png")
    for name in ("f.3gp", "g.mts", "h"):
        write_video(tmp_path / name)
    (tmp_path / "i.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "j.txt").write_text("nothing")
    with caplog.at_level(logging.INFO):
        assert names_of(f"images:{tmp_path}") == ["a.webp", "b.jfif", "c.JPE", "d", "e.dat"]
    assert "5 files skipped (" in caplog.text
    assert ".heic 1" in caplog.text
    found = find_inputs([str(tmp_path)])
    assert [path.name for path in found.files] == sorted(p.name for p in tmp_path.iterdir())[:8]
    done = pi_detector("detect", tmp_path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 5 + 3 * 3
    assert "warning: " in done.stderr
    assert "2 files skipped (.heic 1, .txt 1)" in done.stderr


@pytest.mark.parametrize(("name", "image"), [("x", True), ("x.jfif", True), ("x.mts", False)])
def test_a_single_file_of_an_unusual_name(tmp_path: Path, name: str, image: bool) -> None:
    path = write_image(tmp_path / name) if image else write_video(tmp_path / name)
    source: Source = make_source(SourceSettings(uri=f"file:{path}"))
    assert isinstance(source, ImagesSource) is image
    assert len(names_of(f"file:{path}")) == (1 if image else 3)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"\0\0\0\x18ftypavif", None),
        ((b"\x47" + bytes(187)) * 3, "video"),
        (b"GGG" + bytes(300), None),
        (b"\0\0\0\x01\x67\x42", "video"),
        (b"", None),
        (b"text", None),
    ],
)
def test_kinds_by_content(head: bytes, kind: str | None) -> None:
    assert kind_of_content(head) == kind


def test_suffixes_are_of_one_kind() -> None:
    assert not IMAGE_SUFFIXES & VIDEO_SUFFIXES
    assert kind_of(Path("x.H264")) == kind_of(Path("/nowhere/x.mkv")) == "video"


def test_the_last_line_says_why_a_picture_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "a.png"
    empty.touch()
    with pytest.raises(BadImageError, match=r"a\.png: cannot be decoded \(the file is empty\)"):
        names_of(str(empty))
    shutil.copy(empty, tmp_path / "b.png")
    with pytest.raises(BadImageError, match=r"none of the 2 .* is \S+a\.png \(the file is empty\)"):
        names_of(str(tmp_path))
    done = pi_detector("detect", empty)
    assert done.returncode == 65
    assert "error: " in done.stderr
    assert "(the file is empty)" in done.stderr.splitlines()[-1]
