"""The locked requirements of the installation: whole, hashed, and what pyproject.toml allows."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from where import CHECKOUT

LOCKS = CHECKOUT / "systemd/requirements"
PYTHONS = ["3.11", "3.12", "3.13"]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
# Those of the service: an extra of its own, and what is apt's or built on the way.
WANTED = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["web"]]
ELSEWHERE = {"numpy", "imutils"}


def locked(name):
    """Versions by name of package, each of which has hashes and nothing else."""
    text = re.sub(r"^#.*\n", "", (LOCKS / name).read_text(), flags=re.MULTILINE)
    entry = r"([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
    assert re.sub(entry, "", text) == ""
    return {canonicalize_name(name): version for name, version, _ in re.findall(entry, text)}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_versions_are_allowed(python):
    versions = locked(f"python{python}.txt") | locked("source.txt")
    environment = {"python_version": python, "platform_machine": "aarch64"}
    for requirement in map(Requirement, WANTED):
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        if name == "numpy":
            continue
        assert requirement.specifier.contains(versions[name]), f"{name}: run 'make lock'"


@pytest.mark.parametrize("python", PYTHONS)
def test_what_apt_has_and_what_is_built_is_not_taken_from_the_index(python):
    assert not ELSEWHERE & set(locked(f"python{python}.txt"))
    assert set(locked("source.txt")) == {"imutils"}


def test_what_builds_is_locked():
    versions = locked("build.txt")
    (backend,) = map(Requirement, PROJECT["build-system"]["requires"])
    assert backend.specifier.contains(versions[backend.name])
    assert "setuptools" in versions


def test_every_python_that_is_supported_has_a_lock():
    supported = Requirement(f"python{PROJECT['project']['requires-python']}").specifier
    assert [f"3.{minor}" for minor in range(30) if supported.contains(f"3.{minor}")] == PYTHONS
    assert {path.name for path in LOCKS.glob("python*.txt")} == {
        f"python{python}.txt" for python in PYTHONS
    }
