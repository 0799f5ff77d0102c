"""`make lock`: pins every version with its hashes, for every platform and every Python from 3.11 on."""

from __future__ import annotations

import os
import sys

from install import LOCAL, InstallError, find_uv, run, step

# In this order: the later ones are constrained by the earlier ones.
FILES = ["requirements", "requirements-local", "docker/requirements", "stack/uv-requirements"]
OVERRIDES = {"docker/requirements": ["--overrides", "docker/overrides.txt"]}
OPTIONS = ["--quiet", "--upgrade", "--universal", "--python-version", "3.11", "--generate-hashes"]


def main() -> int:
    LOCAL.mkdir(exist_ok=True)
    try:
        uv = find_uv()
        for name in FILES:
            with step(f"Locking {name}.in"):
                command = [uv, "pip", "compile", *OPTIONS, *OVERRIDES.get(name, [])]
                run(
                    [*command, "--output-file", f"{name}.txt", f"{name}.in"],
                    environment={**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock"},
                )
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
