"""Ports: chosen by variables, and refused in one sentence when they cannot be had."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys

import pytest

from stack import Ports, StackError
from stack.parts import ROOT
from stack.ports import HOST, require_free, variable


def test_defaults_and_variables():
    assert Ports.from_environment({}) == Ports(18080, 10000, 18443, 18444)
    assert Ports.from_environment({"AIRFLOW_PORT": "19080"}).airflow == 19080


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1", "18 080", "１８０８０"])
def test_a_value_that_is_no_port_is_refused_by_name(value):
    with pytest.raises(StackError, match=r"AZURITE_PORT is .*between 1 and 65535"):
        Ports.from_environment({"AZURITE_PORT": value})


def test_one_port_for_two_servers_is_refused():
    with pytest.raises(StackError, match="AIRFLOW_PORT and EMULATOR_PORT are both 18443"):
        Ports.from_environment({"AIRFLOW_PORT": "18443"})


def test_free_ports_differ_and_can_be_listened_on():
    ports = Ports.free()
    numbers = dataclasses.astuple(ports)
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert number < 32768, "from here on the system may give it to an outgoing connection"
        require_free("airflow", number)


def test_a_busy_port_is_named_with_its_variable():
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StackError, match=rf"Port {port} \(AZURITE_PORT\) is already in use.*AZURITE_PORT=<port>"):
            require_free("azurite", port)


def test_a_busy_port_ends_the_command_and_nothing_is_started(tmp_path):
    """The whole command line, in a folder of its own."""
    program = "import sys, pathlib, stack.__main__ as m; m.HOME = pathlib.Path(sys.argv.pop()); sys.exit(m.main())"
    free = Ports.free()
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        others = {variable(name): str(number) for name, number in dataclasses.asdict(free).items()}
        environment = {**os.environ, **others, "AIRFLOW_PORT": str(port)}
        result = subprocess.run(
            [sys.executable, "-c", program, "up", str(tmp_path)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith(f"Port {port} (AIRFLOW_PORT) is already in use by another program")
    assert len(result.stderr.splitlines()) == 1
    assert not list((tmp_path / "run").glob("*.json"))
