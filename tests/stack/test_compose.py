"""docker-compose.yaml: valid by the specification's schema, and complete by further rules."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from biztalk_services.provider.settings import Settings

from stack import Ports, Stack
from stack.layouts import DISTRIBUTED, LOCAL
from stack.parts import ROOT
from stack.settings import store_passwords
from tests.stack.airflow_options import unknown_options

FILE = ROOT / "docker-compose.yaml"
SCHEMA = ROOT / ".local/dclint/node_modules/dclint/schemas/compose.schema.json"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
AIRFLOW = [name for name in SERVICES if name.startswith("airflow-")]
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)([^}]*)\}")
OPTION = "AIRFLOW__BIZTALK_SERVICES__"
# What the file itself must never contain, by the end of its name.
SECRET_NAMES = re.compile(r"(PASSWORD|SECRET|SECRET_KEY|FERNET_KEY|TOKEN|REDISCLI_AUTH)$")


def runs_once(service: dict) -> bool:
    return service.get("restart") == "no"


def values(node):
    """Every string in the file."""
    if isinstance(node, dict):
        for value in node.values():
            yield from values(value)
    elif isinstance(node, list):
        for value in node:
            yield from values(value)
    elif isinstance(node, str):
        yield node


def test_style():
    result = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", FILE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_it_is_valid_by_the_schema_of_the_compose_specification():
    assert SCHEMA.exists(), "Install the schema: python3 stack/install.py dclint"
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = {"services": {"postgres": {"imagee": "postgres:16"}}}
    assert not validator.is_valid(broken)


def test_it_has_every_part_of_a_distributed_airflow():
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "airflow-init",
        "airflow-apiserver",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
        "airflow-worker",
        "emulator",
        "azurite",
        "demo",
    }
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"emulator", "azurite", "demo"}
    # Compose before version 2 refuses it.
    assert "name" not in COMPOSE


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_an_image_with_a_fixed_version(name):
    image = SERVICES[name]["image"]
    assert re.search(r":\d[\w.-]*$", image), image
    if "build" in SERVICES[name]:
        build = SERVICES[name]["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).exists()


@pytest.mark.parametrize("name", [name for name in SERVICES if not runs_once(SERVICES[name])])
def test_every_lasting_service_has_a_healthcheck_and_restarts(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "always"


@pytest.mark.parametrize("name", SERVICES)
def test_every_dependency_exists_and_can_be_met(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] in CONDITIONS
        assert other in SERVICES
        assert runs_once(SERVICES[other]) == (how["condition"] == "service_completed_successfully")
        # Without the demo's profile, nothing may wait for a part of the demo.
        assert "profiles" in SERVICES[name] or "profiles" not in SERVICES[other]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_this_machine_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port), port


@pytest.mark.parametrize("name", SERVICES)
def test_every_mount_exists(name):
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists(), volume


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_file(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET_NAMES.search(variable):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", str(value)), variable
        for password in re.findall(r"://[^/@]*:([^@]*)@", VARIABLE.sub("VARIABLE", str(value))):
            assert password == "VARIABLE", variable


def test_the_example_explains_exactly_the_variables_in_use():
    used = {name for text in values(COMPOSE) for name, _ in VARIABLE.findall(text)}
    example = (ROOT / ".env.example").read_text()
    assert used == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


def test_a_secret_that_is_not_set_stops_compose_with_a_hint():
    """A variable without a default in the example must not silently be empty."""
    example = (ROOT / ".env.example").read_text()
    secrets = set(re.findall(r"^(?!BIZTALK_)([A-Z_]+)=$", example, re.MULTILINE))
    assert len(secrets) == 6
    for text in values(COMPOSE):
        for name, rest in VARIABLE.findall(text):
            assert rest.startswith(":?" if name in secrets else ":-"), f"{name}{rest}"


def test_every_command_of_the_example_makes_a_value_that_fits():
    """The commands are run unchanged; passwords become part of URLs, the fernet key is checked by its library."""
    from cryptography.fernet import Fernet

    example = (ROOT / ".env.example").read_text()
    commands = re.findall(r"^#   (python3 .*)\n([A-Z_]+)=$", example, re.MULTILINE)
    made = {
        name: subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.strip()
        for command, name in commands
    }
    assert len(made) == 6
    Fernet(made["AIRFLOW_FERNET_KEY"])
    for name, value in made.items():
        assert len(value) >= 24, name
        assert "$" not in value, name
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert made[name].isalnum(), name


def test_every_airflow_container_has_the_same_settings():
    """One secret that differs, and tasks, logs or pages are refused with nothing but an authorization error."""
    common = COMPOSE["x-airflow"]["environment"]
    for name in [*AIRFLOW, "demo"]:
        environment = SERVICES[name]["environment"]
        assert {key: environment.get(key) for key in common} == common, name
        assert SERVICES[name]["image"] == SERVICES["airflow-worker"]["image"], name


def test_airflow_knows_every_setting():
    assert unknown_options(COMPOSE["x-airflow"]["environment"]) == set()
    assert unknown_options(["AIRFLOW__CORE__EXECUTIONER"]) == {"AIRFLOW__CORE__EXECUTIONER"}


def test_an_option_that_is_left_empty_has_its_default(monkeypatch):
    environment = COMPOSE["x-airflow"]["environment"]
    options = {name: value for name, value in environment.items() if name.startswith(OPTION)}
    assert options
    for name, value in options.items():
        assert value == f"${{BIZTALK_{name.removeprefix(OPTION)}:-}}"
        monkeypatch.setenv(name, "")
    settings = Settings.load()
    assert settings.problems == ()
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    drivers = {name.removeprefix(OPTION).lower() for name in options} - defaults.keys()
    assert drivers == {"drain_query", "control_number_query"}
    for name in {name.removeprefix(OPTION).lower() for name in options} - drivers:
        assert getattr(settings, name) == defaults[name]


ON_MANY_MACHINES = {
    # No service is backed up before the connections are made.
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__CORE__PARALLELISM",
    # For the health checks of the containers; two schedulers on one machine would need the same port.
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
}
ON_ONE_MACHINE = {
    # Folders and addresses, which the image has from its base.
    "AIRFLOW_HOME",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__PORT",
    # One person, in a hurry, on one machine.
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS",
    "AIRFLOW__CORE__TEST_CONNECTION",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY",
    "AIRFLOW__CORE__PARALLELISM",
}


def test_the_distributed_stack_has_the_same_settings(tmp_path):
    ports = Ports()
    settings_here = Stack(tmp_path, ports, layout=DISTRIBUTED).core_settings()
    passwords = store_passwords(tmp_path / "store-passwords.json")
    values_here = {
        "POSTGRES_PASSWORD": passwords["postgres"],
        "REDIS_PASSWORD": passwords["redis"],
        "AIRFLOW_FERNET_KEY": settings_here["AIRFLOW__CORE__FERNET_KEY"],
        "AIRFLOW_API_SECRET_KEY": settings_here["AIRFLOW__API__SECRET_KEY"],
        "AIRFLOW_JWT_SECRET": settings_here["AIRFLOW__API_AUTH__JWT_SECRET"],
        "AIRFLOW_PORT": str(ports.airflow),
    }
    addresses_here = {
        "@postgres/": f"@127.0.0.1:{ports.postgres}/",
        "@redis:6379/": f"@127.0.0.1:{ports.redis}/",
        "//airflow-apiserver:8080/": f"//127.0.0.1:{ports.airflow}/",
        "//localhost:": "//127.0.0.1:",
    }

    def here(value: str) -> str:
        value = VARIABLE.sub(lambda variable: values_here[variable[1]], value)
        for there, address in addresses_here.items():
            value = value.replace(there, address)
        return value

    environment = {
        name: value for name, value in COMPOSE["x-airflow"]["environment"].items() if not name.startswith(OPTION)
    }
    assert {name: here(value) for name, value in environment.items() if name not in ON_MANY_MACHINES} == {
        name: value for name, value in settings_here.items() if name not in ON_ONE_MACHINE
    }
    assert set(environment) >= ON_MANY_MACHINES
    assert set(settings_here) >= ON_ONE_MACHINE


def test_only_what_forks_processes_imports_what_they_need():
    lazy = "AIRFLOW__CORE__LAZY_LOAD_PLUGINS"
    forks = ["airflow-dag-processor", "airflow-triggerer", "airflow-worker"]
    assert [name for name in AIRFLOW if lazy in SERVICES[name]["environment"]] == forks
    for layout, tasks in ((LOCAL, "scheduler"), (DISTRIBUTED, "worker")):
        preloaded = {name for name in layout.programs if lazy in layout.settings_of(name, Path())}
        assert preloaded == {each for kind in (tasks, "dag-processor", "triggerer") for each in layout.named(kind)}


def test_the_distributed_stack_has_the_same_programs():
    commands = {SERVICES[name]["command"] for name in AIRFLOW if not runs_once(SERVICES[name])}
    programs = [" ".join(arguments) for arguments in DISTRIBUTED.programs.values()]
    assert {next(command for command in commands if each.startswith(command)) for each in programs} == commands
    assert set(SERVICES) >= set(DISTRIBUTED.stores)


def test_the_result_backend_names_its_driver():
    """Without one, SQLAlchemy 2.1 takes psycopg 3, which Celery's workers do not start with."""
    environment = COMPOSE["x-airflow"]["environment"]
    assert environment["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{environment['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN']}"
    assert "+psycopg2://" in environment["AIRFLOW__CELERY__RESULT_BACKEND"]


def test_the_image_is_built_from_files_that_its_context_lets_in():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    sources = [line.split()[-2] for line in dockerfile.splitlines() if line.startswith("COPY")]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_the_image_holds_the_airflow_that_the_tests_run():
    from importlib.metadata import version

    airflow = version("apache-airflow")
    assert f"FROM apache/airflow:{airflow}-python3.11\n" in (ROOT / "docker/Dockerfile").read_text()
    for lock in ("requirements.txt", "docker/requirements.txt"):
        assert f"\napache-airflow=={airflow} " in (ROOT / lock).read_text()


def test_the_image_holds_the_same_versions_as_the_tests():
    pinned = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
    locked = {name: set() for name in ("requirements.txt", "docker/requirements.txt")}
    for name in locked:
        locked[name] = set(pinned.findall((ROOT / name).read_text()))
    assert locked["requirements.txt"] <= locked["docker/requirements.txt"]
