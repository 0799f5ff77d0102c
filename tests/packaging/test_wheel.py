"""The wheels: their metadata, what they hold, and that they work where nothing else of ours is."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers

from tests.conftest import ROOT
from tests.packaging.environments import Environment, with_all_they_need
from tests.packaging.imports import distributions_behind

LIBRARY = ROOT / "plugins/biztalk_services"
AIRFLOW, CLI = "biztalk-services-airflow", "biztalk-services-cli"
SOURCES = {AIRFLOW: ROOT, CLI: ROOT / "distributions/cli"}
AIRFLOW_ONLY = {"airflow", "cron_descriptor", "croniter", "httpx"}
"""Packages that the command line does without."""

IMPORT_ALL = """
import importlib, json, pkgutil, biztalk_services
imported, missing = [], []
def walk(path, prefix):
    for module in pkgutil.iter_modules(path, prefix):
        if module.name.endswith("__main__"):
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing.append(error.name)
            continue
        imported.append(module.name)
        if module.ispkg:
            walk(loaded.__path__, module.name + ".")
walk(biztalk_services.__path__, "biztalk_services.")
print(json.dumps({"imported": imported, "missing": missing}))
"""

ENTRY_POINTS = """
import json
from importlib.metadata import distributions
points = [point for each in distributions() for point in each.entry_points]
print(json.dumps(sorted(point.group for point in points if "biztalk" in point.value)))
"""


@dataclass(frozen=True)
class Wheel:
    file: Path

    @property
    def names(self) -> list[str]:
        with zipfile.ZipFile(self.file) as archive:
            return archive.namelist()

    def text(self, name: str) -> str:
        """The text of a file, of which the end of its name is enough."""
        with zipfile.ZipFile(self.file) as archive:
            (path,) = [each for each in archive.namelist() if each.endswith(name)]
            return archive.read(path).decode()

    @property
    def metadata(self) -> Message:
        return Parser().parsestr(self.text(".dist-info/METADATA"))

    @property
    def requirements(self) -> dict[str, Requirement]:
        all_of_them = [Requirement(text) for text in self.metadata.get_all("Requires-Dist")]
        return {canonicalize_name(each.name): each for each in all_of_them}

    @property
    def entry_points(self) -> dict[str, dict[str, str]]:
        if not any(name.endswith(".dist-info/entry_points.txt") for name in self.names):
            return {}
        parser = configparser.ConfigParser()
        parser.read_string(self.text(".dist-info/entry_points.txt"))
        return {section: dict(parser[section]) for section in parser.sections()}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Wheel]:
    built = {}
    for name, folder in SOURCES.items():
        target = tmp_path_factory.mktemp("built")
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        (file,) = target.glob("*.whl")
        built[name] = Wheel(file)
    return built


@pytest.fixture(params=SOURCES)
def wheel(request, wheels) -> Wheel:
    return wheels[request.param]


@pytest.fixture(scope="module")
def bare(wheels, tmp_path_factory) -> Environment:
    """The command line's wheel, what its metadata requires, and nothing else."""
    environment = Environment(tmp_path_factory.mktemp("bare"))
    environment.borrow(with_all_they_need(wheels[CLI].requirements.values()))
    environment.install(wheels[CLI].file)
    return environment


@pytest.fixture(scope="module")
def importing(bare) -> dict[str, list[str]]:
    """Which modules of the library can be imported without Airflow, and what the others lack."""
    done = bare.run("-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def with_airflow(wheels, tmp_path_factory) -> Environment:
    """All that the tests have but ours, and the wheel."""
    environment = Environment(tmp_path_factory.mktemp("with_airflow"))
    environment.borrow_all()
    assert entry_points(environment) == []
    environment.install(wheels[AIRFLOW].file)
    return environment


def entry_points(environment: Environment) -> list[str]:
    """What of ours an environment would register with Airflow."""
    done = environment.run("-c", ENTRY_POINTS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestMetadata:
    def test_the_name_and_the_version(self, wheel):
        metadata = wheel.metadata
        assert metadata["Name"] in SOURCES
        assert metadata["Version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert metadata["License-Expression"] == "Apache-2.0"
        assert metadata.get_all("License-File") == ["LICENSE"]
        assert metadata["Author"] == "The biztalk-services-airflow contributors"
        assert metadata["Requires-Python"] == ">=3.11"
        assert metadata["Description-Content-Type"] == "text/markdown"
        assert metadata["Keywords"]

    def test_the_classifiers_are_known_ones(self, wheel):
        listed = wheel.metadata.get_all("Classifier")
        assert set(listed) <= classifiers
        assert "Typing :: Typed" in listed

    def test_the_provider_shows_the_readme(self, wheels):
        assert wheels[AIRFLOW].metadata.get_payload() == (ROOT / "README.md").read_text()
        assert "Framework :: Apache Airflow :: Provider" in wheels[AIRFLOW].metadata.get_all("Classifier")

    def test_it_names_no_address(self, wheel):
        assert wheel.metadata.get_all("Project-URL") is None


class TestRequirements:
    def test_it_needs_the_airflow_that_it_was_tested_with(self, wheels):
        airflow = wheels[AIRFLOW].requirements["apache-airflow"].specifier
        assert [each for each in ("3.3.1", "3.3.2", "3.3.9", "3.4.0") if each in airflow] == ["3.3.2", "3.3.9"]

    def test_the_command_line_needs_a_part_of_it_and_no_airflow(self, wheels):
        few, all_of_them = wheels[CLI].requirements, wheels[AIRFLOW].requirements
        assert few.items() <= all_of_them.items()
        assert not any("airflow" in name for name in few)

    def test_nothing_hangs_on_an_extra(self, wheel):
        assert wheel.metadata.get_all("Provides-Extra") is None
        assert [each for each in wheel.requirements.values() if each.marker or each.extras] == []

    def test_they_fit_what_is_locked(self, wheels):
        locked = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
        assert [name for name, each in wheels[AIRFLOW].requirements.items() if locked[name] not in each.specifier] == []

    def test_they_fit_what_the_tests_run_with(self, wheels):
        assert [
            name for name, each in wheels[AIRFLOW].requirements.items() if version(name) not in each.specifier
        ] == []

    def test_they_are_what_the_library_imports(self, wheels):
        wanted = set(wheels[AIRFLOW].requirements)
        assert distributions_behind(LIBRARY.rglob("*.py"), LIBRARY.name, wanted) == wanted


class TestContent:
    def test_it_holds_the_library_and_nothing_else(self, wheel):
        sources = {
            str(path.relative_to(LIBRARY.parent))
            for path in LIBRARY.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert {name for name in wheel.names if ".dist-info/" not in name} == sources

    def test_its_types_are_for_others_to_check(self, wheel):
        assert "biztalk_services/py.typed" in wheel.names

    def test_it_holds_the_licence(self, wheel):
        assert wheel.text(".dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_text()

    def test_only_the_provider_registers_with_airflow(self, wheels):
        assert sorted(wheels[AIRFLOW].entry_points) == ["airflow.plugins", "apache_airflow_provider"]
        assert wheels[CLI].entry_points == {}


class TestWithoutAirflow:
    def test_nothing_that_it_needs_is_missing(self, bare):
        bare.check()

    def test_there_is_no_airflow(self, bare):
        assert "No module named 'airflow'" in bare.run("-c", "import airflow").stderr

    def test_the_command_line_answers(self, bare):
        done = bare.run("-m", "biztalk_services", "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "usage: python -m biztalk_services" in done.stdout
        for command in re.findall(r"^ {4}([a-z-]+)\b", done.stdout, re.MULTILINE):
            assert bare.run("-m", "biztalk_services", command, "--help").returncode == 0, command

    def test_what_needs_airflow_says_so(self, bare):
        done = bare.run("-m", "biztalk_services", "check-queries")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("This command reads Airflow's connections and options, and Airflow cannot be")

    def test_what_cannot_be_imported_lacks_airflow(self, importing):
        assert {name.partition(".")[0] for name in importing["missing"]} <= AIRFLOW_ONLY
        names = {path.stem for path in (LIBRARY / "cli").glob("*.py")} - {"__init__"}
        assert {f"{LIBRARY.name}.cli.{name}" for name in names} <= set(importing["imported"])

    def test_what_it_needs_is_what_the_rest_imports(self, importing, wheels):
        places = [LIBRARY.parent.joinpath(*name.split(".")) for name in importing["imported"]]
        files = [place / "__init__.py" if place.is_dir() else place.with_suffix(".py") for place in places]
        behind = distributions_behind(files, LIBRARY.name, wheels[AIRFLOW].requirements)
        used = {name for name in behind if name not in AIRFLOW_ONLY and not name.startswith("apache-airflow")}
        assert used == set(wheels[CLI].requirements)


class TestWithAirflow:
    def test_airflow_lists_the_provider(self, with_airflow, tmp_path):
        (tmp_path / "plugins").mkdir()
        variables = {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        done = with_airflow.run("-m", "airflow", "providers", "list", "--output", "json", **variables)
        assert done.returncode == 0, done.stderr
        listed = {each["package_name"]: each["version"] for each in json.loads(done.stdout[done.stdout.index("[{") :])}
        assert listed.get(AIRFLOW) == version(AIRFLOW)

    def test_both_entry_points_are_there_once(self, with_airflow):
        assert entry_points(with_airflow) == ["airflow.plugins", "apache_airflow_provider"]

    def test_the_command_line_answers(self, with_airflow):
        where = with_airflow.run("-c", "import biztalk_services; print(biztalk_services.__file__)")
        assert Path(where.stdout.strip()).is_relative_to(with_airflow.packages)
        assert with_airflow.run("-m", "biztalk_services", "--help").returncode == 0
