"""Lock files: everything pinned and hashed, and no word about where it comes from."""

from __future__ import annotations

import json
import re

import pytest

from stack.parts import ROOT

PYTHON_LOCKS = ["requirements.txt", "requirements-local.txt", "docker/requirements.txt", "stack/uv-requirements.txt"]
NODE_LOCKS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("stack/*/package-lock.json"))
SOURCES = re.compile(r"https?://|--(extra-)?index-url|--find-links|--trusted-host|\bfile:", re.IGNORECASE)


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_every_python_requirement_is_pinned_and_hashed(name):
    text = (ROOT / name).read_text()
    assert not SOURCES.search(text)
    joined = text.replace("\\\n", " ")
    requirements = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"^[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^\s;]+", requirement), requirement[:80]
        assert "--hash=sha256:" in requirement, requirement[:80]


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_every_direct_requirement_is_locked(name):
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==", (ROOT / name).read_text(), re.MULTILINE))
    wanted = re.findall(r"^([A-Za-z0-9._-]+)", (ROOT / name).with_suffix(".in").read_text(), re.MULTILINE)
    assert {re.sub(r"[._-]+", "-", each).lower() for each in wanted if not each.startswith("-")} <= locked


def test_the_image_leaves_out_what_needs_a_compiler():
    overrides, lock = (ROOT / "docker/overrides.txt").read_text(), (ROOT / "docker/requirements.txt").read_text()
    left_out = re.findall(r"^([a-z0-9-]+); sys_platform == \"never\"$", overrides, re.MULTILINE)
    assert left_out
    assert [
        name for name in left_out if not re.search(rf"^{name}==\S+ ; sys_platform == 'never' ", lock, re.MULTILINE)
    ] == []
    # Otherwise pip looks for what a package requires, and refuses it without a hash.
    assert "pip install --no-cache-dir --no-deps --require-hashes -r" in (ROOT / "docker/Dockerfile").read_text()


def test_there_are_node_locks():
    assert {name.split("/")[1] for name in NODE_LOCKS} == {"azurite", "chromium", "dclint"}


@pytest.mark.parametrize("name", NODE_LOCKS)
def test_every_node_package_is_pinned_by_hash_without_address(name):
    lock = json.loads((ROOT / name).read_text())
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert packages
    for path, package in packages.items():
        assert "resolved" not in package, path
        assert package.get("integrity", "").startswith("sha512-"), path
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", package["version"]), path
