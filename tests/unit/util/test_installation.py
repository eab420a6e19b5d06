"""Advice about missing packages, by how pi-detector was installed."""

import json
import re
import sys
from importlib import metadata

import pytest
from where import CHECKOUT

from pi_detector.util import installation
from pi_detector.util.installation import how_to_install, import_compiled

REQUIRES = [
    "numpy>=1.24",
    "lap>=0.5; platform_machine == 'aarch64'",
    "starlette>=0.46,<2; extra == 'web'",
    'uvicorn>=0.30; extra == "web"',
    "av>=10; extra == 'clips'",
    "numpy<2; python_version == '3.11' and extra == 'tflite'",
]


@pytest.fixture
def origin(monkeypatch, tmp_path):
    """Let pi-detector be installed from somewhere, as pip writes it down."""
    monkeypatch.setattr(sys, "executable", "/home/me/my env/bin/python")
    monkeypatch.setattr(sys, "prefix", "/home/me/my env")
    monkeypatch.setattr(sys, "path", ["/home/me/my env/lib"])

    def set_origin(direct_url):
        info = tmp_path / "pi_detector-1.dist-info"
        info.mkdir()
        requires = "".join(f"Requires-Dist: {each}\n" for each in REQUIRES)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: pi-detector\nVersion: 1\n{requires}"
        )
        if direct_url is not None:
            (info / "direct_url.json").write_text(json.dumps(direct_url))
        found = metadata.PathDistribution(info)
        monkeypatch.setattr(metadata, "distribution", lambda _: found)

    return set_origin


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "a checkout"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_from_a_checkout(origin, checkout):
    origin({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    pip = "'/home/me/my env/bin/python' -m pip install"
    assert how_to_install("web") == f"{pip} -e '{checkout}[web]'"
    assert how_to_install() == f"{pip} -e '{checkout}'"


def test_installed_from_a_checkout_that_is_not_imported(origin, checkout):
    origin({"url": checkout.as_uri(), "dir_info": {}})
    assert f"pip install '{checkout}[tflite]'" in how_to_install("tflite")


@pytest.mark.parametrize(
    "direct_url",
    [
        None,
        {"url": "file:///gone/with/the/wind", "dir_info": {}},
        {"url": "file:///tmp/pi_detector-1-py3-none-any.whl", "archive_info": {}},
    ],
)
def test_where_no_checkout_is_left_the_packages_are_named(origin, direct_url):
    origin(direct_url)
    assert how_to_install("web").endswith(" -m pip install 'starlette>=0.46,<2' 'uvicorn>=0.30'")
    assert how_to_install().endswith(" -m pip install 'numpy>=1.24' 'lap>=0.5'")


def test_run_from_its_folder_without_an_installation(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert f"-e '{CHECKOUT}[web]'" in how_to_install("web")


def test_apt_has_it_where_its_packages_are_seen(origin, monkeypatch):
    origin(None)
    apart = "and make the virtual environment with --system-site-packages"
    assert how_to_install("picamera").endswith(apart)
    assert how_to_install("clips").endswith(" -m pip install 'av>=10'")
    monkeypatch.setattr(sys, "path", ["/usr/lib/python3/dist-packages"])
    assert how_to_install("picamera") == "sudo apt install python3-picamera2"
    assert how_to_install("clips") == "sudo apt install python3-av"


@pytest.mark.parametrize("folder", ["/opt/pi-detector", "/opt/pi-detector.Ab12Cd34"])
def test_in_the_service(origin, checkout, monkeypatch, tmp_path, folder):
    origin({"url": checkout.as_uri(), "dir_info": {}})
    monkeypatch.setattr(sys, "prefix", folder)
    monkeypatch.setattr(installation, "_PACKAGE", tmp_path / "no wheels")
    assert how_to_install("web") == "sudo systemd/install.sh, in the checkout"
    assert how_to_install("tflite").startswith("not a part of the service")
    monkeypatch.setattr(installation, "_PACKAGE", tmp_path)
    assert how_to_install("web") == how_to_install() == "sudo dpkg-reconfigure pi-detector"


def test_an_environment_that_is_only_called_similarly(origin, checkout, monkeypatch):
    origin({"url": checkout.as_uri(), "dir_info": {}})
    monkeypatch.setattr(sys, "prefix", "/opt/pi-detector-of-my-own")
    assert "pip install" in how_to_install("web")


@pytest.mark.parametrize("kind", ["ImportError", "SystemError", "AttributeError", "ValueError"])
def test_a_module_for_another_numpy_is_an_import_error_of_one_line(
    tmp_path, monkeypatch, capsys, kind
):
    (tmp_path / "made_for_numpy_1.py").write_text(
        "import sys\n"
        "print('A module that was compiled using NumPy 1.x', file=sys.stderr)\n"
        f"raise {kind}('failed\\nto import')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as raised:
        import_compiled("made_for_numpy_1")
    assert str(raised.value) == f"{kind}: failed to import"
    assert capsys.readouterr().err == ""


SOURCES = list(CHECKOUT.glob("pi_detector/**/*.py"))
TEXTS = [*SOURCES, CHECKOUT / "README.md", *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("systemd/*")]


def test_nobody_is_sent_to_an_index_for_pi_detector():
    wrong = re.compile(r"pip install [^`\n]*\bpi-detector(\[|'|`|$)")
    texts = [path for path in TEXTS if path.is_file()]
    assert [path.name for path in texts if wrong.search(path.read_text())] == []


def test_messages_have_the_advice_of_one_function():
    """A bare ``pip install PACKAGE`` takes any version, and helps in no service."""
    bare = re.compile(r"(pip|apt) install [\w-]")
    assert [path.name for path in SOURCES if bare.search(path.read_text())] == []
