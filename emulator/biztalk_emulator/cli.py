"""The command line."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from biztalk_emulator.business.sample_fleet import SAMPLE_STORAGE
from biztalk_emulator.program import CannotStart, Emulator
from biztalk_emulator.settings import DEFAULTS, PROFILE_CHOICES, SettingsError

_EPILOG = f"""\
durations (seconds): {json.dumps(DEFAULTS["durations"])}

profile: {"; ".join(f"{name}={'|'.join(choices)}" for name, choices in PROFILE_CHOICES.items())}

The first choice of each switch is the default. All settings can be changed while the emulator runs: PATCH /settings
on the admin port. They are kept in the home folder; what the command line gives wins at each start.
"""

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 after a clean stop, 2 when it cannot start."""
    options = _parser().parse_args(arguments)
    try:
        emulator = Emulator(
            options.home,
            host=options.host,
            port=options.port,
            admin_port=options.admin_port,
            data_port=options.data_port,
            sample_fleet=options.sample_fleet,
            sample_storage=options.sample_storage,
            sample_copies=options.sample_copies,
            settings=_settings(options),
            server_names=options.server_name,
        )
    except (CannotStart, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    # Blocked in all threads and awaited in this one: the signal could reach a thread that never runs its handler.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    emulator.start()
    print(
        f"ready management=https://{options.host}:{emulator.port}/{emulator.subscription_id} "
        f"admin=http://{options.host}:{emulator.admin_port} data=https://{options.host}:{emulator.data_port} "
        f"home={options.home}",
        flush=True,
    )
    signal.sigwait(_STOPPING)
    emulator.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m biztalk_emulator", description="An emulator of the management API of BizTalk Services."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve the management API, the data port and the admin port",
        description="Serve the management API (HTTPS), the data port (HTTPS) and the admin port (HTTP) until SIGTERM "
        "or Ctrl-C.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--home", type=Path, required=True, help="folder of all files; made when missing")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument(
        "--port", type=_port, default=18443, help="management API, HTTPS (default: %(default)s; 0: any free port)"
    )
    serve.add_argument(
        "--admin-port", type=_port, default=18444, help="admin API, HTTP (default: %(default)s; 0: any free port)"
    )
    serve.add_argument(
        "--data-port",
        type=_port,
        help="tokens and trading partner management, HTTPS (default: two above --port, 18445; any free port when "
        "--port is 0)",
    )
    serve.add_argument("--sample-fleet", action="store_true", help="fill an empty home with the sample subscription")
    serve.add_argument(
        "--sample-copies",
        type=int,
        default=0,
        metavar="NUMBER",
        help="how many small services of one kind the sample has more (default: %(default)s)",
    )
    serve.add_argument(
        "--sample-storage",
        default=SAMPLE_STORAGE,
        metavar="CONNECTION_STRING",
        help="storage account that the sample's services use for monitoring and archives (default: Azurite's "
        "well-known account on port 10000)",
    )
    serve.add_argument(
        "--server-name",
        action="append",
        default=[],
        metavar="NAME",
        help="further DNS name or IP address in the server's certificate; may be repeated",
    )
    serve.add_argument(
        "--durations",
        metavar="FILE|JSON",
        help="seconds by kind of operation, as a JSON file or text, e.g. '{\"backup\": 0.5}'",
    )
    serve.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="SWITCH=CHOICE",
        help="behaviour where the documents disagree; may be repeated",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to 65535.")
    return int(text)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if options.durations:
        text = options.durations
        try:
            settings["durations"] = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
        except OSError as error:
            raise SettingsError(f"Cannot read the durations file {text}: {error.strerror}.") from None
        except ValueError:
            raise SettingsError("--durations needs a JSON object of names and seconds.") from None
    if options.profile:
        settings["profile"] = dict(switch.partition("=")[::2] for switch in options.profile)
    return settings
