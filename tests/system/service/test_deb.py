"""The Debian package: installation without a network, upgrade, removal, purge. The order counts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import Given
from installation import related_files
from machine import Machine

UNIT = "pi-detector.service"
SETTINGS = "/etc/pi-detector/config.toml"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y"


@pytest.fixture(scope="module")
def newer(given: Given) -> Iterator[Path]:
    """The package with a higher version and other settings of its own."""
    file = given.deb.with_name(f"newer-{given.suite}.deb")

    def change(tree: Path) -> None:
        settings = tree / SETTINGS.lstrip("/")
        settings.write_text(settings.read_text() + "\n# Of the newer version.\n")

    given.repack(file, lambda version: f"{version}.1", change)
    yield file
    file.unlink()


@pytest.fixture(scope="module")
def bare(given: Given) -> Iterator[Machine]:
    """A machine on which pi-detector never was, without a way out to the index."""
    with given.machine() as machine:
        machine.run("apt-mark manual $(dpkg-query -W -f '${Package} ')")
        yield machine


@pytest.fixture(scope="module")
def before(bare: Machine) -> dict[str, str]:
    return related_files(bare)


def test_lintian_is_content(given: Given) -> None:
    checked = subprocess.run(
        ["lintian", "--fail-on", "warning", given.deb], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_is_built_with_nothing_but_what_debian_has(given: Given) -> None:
    """Debian's Python and pip, by a user without rights."""
    needed = "Makefile pyproject.toml README.md LICENSE docs models pi_detector systemd"
    with given.machine() as fresh:
        fresh.run(f"{APT} install --no-install-recommends make debhelper dpkg-dev", timeout_s=300)
        fresh.run("useradd --create-home builder")
        fresh.run(f"cd /checkout && cp -r {needed} /home/builder && chown -R builder /home/builder")
        build = "cd /home/builder && PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels make deb"
        file = fresh.out(build, user="builder", timeout_s=300).splitlines()[-1]
        built = fresh.out(f"dpkg-deb --contents /home/builder/{file}")
    contents = subprocess.run(
        ["dpkg-deb", "--contents", given.deb], capture_output=True, text=True, check=True
    )

    def names(text: str) -> set[str]:
        return {line.split()[5] for line in text.splitlines()}

    assert names(built) == names(contents.stdout)


def test_installed(bare: Machine, before: dict[str, str], given: Given) -> None:
    bare.run(f"{APT} install --no-install-recommends /deb/{given.deb.name}", timeout_s=300)
    assert bare.show(UNIT, "ActiveState") == "active"
    assert bare.show(UNIT, "UnitFileState") == "enabled"
    assert bare.show(UNIT, "User") == "pi-detector"
    assert bare.out("pi-detector --version").startswith("pi-detector ")
    assert bare.run("systemd-analyze verify pi-detector.service").stderr == ""
    assert bare.out("dpkg --verify pi-detector") == ""


def test_upgraded(bare: Machine, newer: Path) -> None:
    pid = bare.main_pid(UNIT)
    own = bare.read(SETTINGS) + "\n[detection]\nmin_score = 0.7\n"
    bare.write(SETTINGS, own)
    bare.write("/etc/pi-detector/door.toml", '[source]\nuri = "demo:"\n')
    bare.run("systemctl start pi-detector@door.service")
    instance = bare.main_pid("pi-detector@door.service")
    bare.run(f"{APT} -o Dpkg::Options::=--force-confdef install /deb/{newer.name}", timeout_s=300)
    assert bare.read(SETTINGS) == own
    assert bare.show(UNIT, "ActiveState") == "active"
    assert bare.main_pid(UNIT) not in {0, pid}
    assert bare.main_pid("pi-detector@door.service") not in {0, instance}
    assert bare.out("ls -d /opt/pi-detector.*").count("\n") == 0, "the old environment is gone"


def test_install_sh_refuses_beside_it(bare: Machine) -> None:
    refused = bare.run("/checkout/systemd/install.sh", check=False)
    assert refused.returncode == 69
    assert "apt remove pi-detector" in refused.stderr


def test_removed(bare: Machine) -> None:
    bare.write("/var/lib/pi-detector/snapshot.jpg", "picture")
    bare.run(f"{APT} remove pi-detector")
    for unit in (UNIT, "pi-detector@door.service"):
        assert bare.show(unit, "ActiveState") in {"inactive", "failed"}
        assert bare.main_pid(unit) == 0
    assert bare.run("ls -d /opt/pi-detector*", check=False).stdout == ""
    bare.run(f"test -e {SETTINGS} && test -e /var/lib/pi-detector/snapshot.jpg")


def test_purged(bare: Machine, before: dict[str, str]) -> None:
    bare.run(f"{APT} purge pi-detector")
    assert related_files(bare) == before
    assert bare.run("getent passwd pi-detector", check=False).returncode == 2
