"""Prometheus' and Alertmanager's own programs on this host, without installing a service.

Rule: packages are unpacked into the state folder, never installed, so that no server is
started and no port is taken behind the user's back. One folder has to lie outside of it:
Debian's Alertmanager reads its templates from a fixed place.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# Debian package -> {program in the package: name it is known by}
PROGRAMS = {
    "prometheus": {"usr/bin/prometheus": "prometheus", "usr/bin/promtool": "promtool"},
    "prometheus-alertmanager": {
        "usr/bin/prometheus-alertmanager": "alertmanager",
        "usr/bin/amtool": "amtool",
    },
}
TEMPLATES = Path("/usr/share/prometheus/alertmanager")


def ensure_tools(state: Path) -> Path:
    """The folder that holds prometheus, promtool, alertmanager and amtool, for the PATH."""
    folder = ensure_programs(state / "bin", PROGRAMS)
    if not (TEMPLATES / "default.tmpl").exists():
        with _unpacked("prometheus-alertmanager", folder) as root:
            TEMPLATES.mkdir(parents=True, exist_ok=True)
            for template in (root / TEMPLATES.relative_to("/")).glob("*.tmpl"):
                shutil.copy(template, TEMPLATES)
    return folder


def ensure_programs(folder: Path, packages: Mapping[str, dict[str, str]]) -> Path:
    """Unpack what the folder lacks. packages: as PROGRAMS."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, programs in packages.items():
        if all((folder / name).exists() for name in programs.values()):
            continue
        with _unpacked(package, folder) as root:
            for inside, name in programs.items():
                shutil.move(root / inside, folder / f"{name}.new")
                (folder / f"{name}.new").replace(folder / name)
    return folder


@contextmanager
def _unpacked(package: str, folder: Path) -> Iterator[Path]:
    """What a Debian package holds, until the end of the block. folder: for the scratch."""
    print(f"unpacking {package} into {folder}", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
        if subprocess.run(download, cwd=scratch, check=False, capture_output=True).returncode:
            subprocess.run(["apt-get", "-qq", "update"], check=True)
            subprocess.run(download, cwd=scratch, check=True)
        (archive,) = Path(scratch).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, f"{scratch}/root"], check=True)
        yield Path(scratch) / "root"
