"""`pyproject.toml`, `requirements.lock` and `environment.yml` say the same."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    parsed = [Requirement(text) for text in requirements]
    return {canonicalize_name(found.name): str(found.specifier) for found in parsed}


def locked() -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.M
    ):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def test_conda_environment_has_the_declared_packages() -> None:
    """Same names, same bounds, plus Python and the package itself."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    parsed = [Requirement(text) for text in entries if isinstance(text, str)]
    listed = {canonicalize_name(found.name): str(found.specifier) for found in parsed}
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert listed.pop("python") == requires
    assert listed.pop("pip") == ""
    assert listed == declared()


@pytest.mark.parametrize("name", sorted(declared()))
def test_lock_pins_what_is_declared(name: str) -> None:
    """Each declared package is locked, to a version within its bounds."""
    requirement = Requirement(f"{name}{declared()[name]}")
    assert locked()[name]
    assert all(version in requirement.specifier for version in locked()[name])


def test_lock_has_a_digest_for_everything() -> None:
    """Nothing is installed whose content isn't known."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text())
    assert all("--hash=sha256:" in block for block in blocks if re.match(r"[A-Za-z0-9._-]+==", block))


def test_no_registry_is_named() -> None:
    """Where packages come from is the user's own setting."""
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile", ".ci/run"):
        assert not re.search(r"https?://|--index-url|--extra-index", (ROOT / name).read_text()), name


def test_package_is_found_from_the_folder_above_the_clone(tmp_path: Path) -> None:
    """A folder of the package's own name beside a script, as a clone is, doesn't hide the package."""
    (tmp_path / "sbir_toolkit" / "sbir_toolkit").mkdir(parents=True)
    asked = [sys.executable, "-c", "import sbir_toolkit; print(sbir_toolkit.__file__)"]
    found = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found) == ROOT / "sbir_toolkit" / "__init__.py"
