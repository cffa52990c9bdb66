"""Prometheus' and Alertmanager's own programs on this host, without installing a service.

Rule: packages are unpacked into the state folder, never installed, so that no server is
started and no port is taken behind the user's back.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

# Debian package -> {program in the package: name it is known by}
PROGRAMS = {
    "prometheus": {"usr/bin/prometheus": "prometheus", "usr/bin/promtool": "promtool"},
    "prometheus-alertmanager": {
        "usr/bin/prometheus-alertmanager": "alertmanager",
        "usr/bin/amtool": "amtool",
    },
}


def ensure_tools(state: Path) -> Path:
    """The folder that holds prometheus, promtool, alertmanager and amtool, for the PATH."""
    return ensure_programs(state / "bin", PROGRAMS)


def ensure_programs(folder: Path, packages: Mapping[str, dict[str, str]]) -> Path:
    """Unpack what the folder lacks. packages: as PROGRAMS."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, programs in packages.items():
        if not all((folder / name).exists() for name in programs.values()):
            print(f"unpacking {package} into {folder}", flush=True)
            _unpack(package, programs, folder)
    return folder


def _unpack(package: str, programs: dict[str, str], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
        if subprocess.run(download, cwd=scratch, check=False, capture_output=True).returncode:
            subprocess.run(["apt-get", "-qq", "update"], check=True)
            subprocess.run(download, cwd=scratch, check=True)
        (archive,) = Path(scratch).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, f"{scratch}/root"], check=True)
        for inside, name in programs.items():
            shutil.move(f"{scratch}/root/{inside}", folder / f"{name}.new")
            (folder / f"{name}.new").replace(folder / name)
