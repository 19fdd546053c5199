"""One set of dependencies, told three times: pyproject.toml, constraints.txt and environment.yml agree."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = {Requirement(r).name: Requirement(r) for r in PROJECT["dependencies"]}
EXTRAS = {Requirement(r).name: Requirement(r) for extra in PROJECT["optional-dependencies"].values() for r in extra}
LINES = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
         if line and not line.startswith("#")]
IMPORTED_AS = {"beautifulsoup4": "bs4", "ipython": "IPython", "jupyter-client": "jupyter_client", "pillow": "PIL",
               "scikit-learn": "sklearn"}
ONLY_STARTED = {"jupyterlab", "ipykernel"}       # as programs, by name


def test_every_direct_dependency_is_pinned_within_its_bounds_and_nothing_is_capped():
    pins = dict(re.fullmatch(r"([a-z0-9-]+)==([0-9.]+)", line).groups() for line in LINES)
    assert len(pins) == len(LINES)
    for name, requirement in {**DIRECT, **EXTRAS}.items():
        assert name in pins, f"{name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} is outside {requirement.specifier}"
        assert all(s.operator == ">=" for s in requirement.specifier), f"{name} is capped"


def test_conda_installs_the_project_itself_with_the_same_constraints():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert conda["name"] == "nfdlab" and conda["channels"] == ["conda-forge", "nodefaults"]
    pip = next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))
    assert pip == ["-e .[test]", "-c constraints.txt"]
    python = next(Requirement(d) for d in conda["dependencies"] if isinstance(d, str) and d.startswith("python"))
    assert f">={PROJECT['requires-python'].removeprefix('>=')}" in str(python.specifier)
    assert [d for d in conda["dependencies"] if isinstance(d, str) and not d.startswith("python")] == ["pip"]


def test_binder_has_a_python_that_will_do_and_installs_the_project_with_the_same_constraints():
    conda = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text(encoding="utf-8"))
    python = next(d for d in conda["dependencies"] if d.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.partition("=")[2])
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK) and subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "pip install --no-cache-dir -e . -c constraints.txt\n" in script.read_text(encoding="utf-8")


def test_what_runs_here_has_every_direct_dependency():
    for name, requirement in DIRECT.items():
        assert requirement.specifier.contains(version(name)), f"{name} {version(name)} is not {requirement.specifier}"


def test_what_the_kit_imports_is_declared_and_what_is_declared_is_used():
    known = {IMPORTED_AS.get(name, name) for name in DIRECT}
    found = set()
    for path in (ROOT / "nfdlab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    found -= set(sys.stdlib_module_names) | {"nfdlab"}
    assert found <= known, f"imported, not declared: {found - known}"
    assert known - found <= ONLY_STARTED, f"declared, not imported: {known - found - ONLY_STARTED}"


def test_the_package_carries_its_settings_and_page():
    for name in ("labconfig/default_setting_overrides.json", "page.html", "page.css", "page.js"):
        assert (ROOT / "nfdlab" / "jupyter" / name).is_file()
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    assert {"jupyter/**/*", "weights/*.safetensors", "data/*"} <= set(data["nfdlab"])
    arrays = [path.stat().st_size for path in (ROOT / "nfdlab" / "data").glob("*.npz")]
    assert max(arrays) <= 1e6 and sum(arrays) <= 4e6
