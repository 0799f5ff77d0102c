"""Provider information: makes the connection type and the configuration section known to Airflow.

Airflow finds it by the entry point ``apache_airflow_provider`` of the installed package. Without it everything works
but the connection form; the connection then has the type ``generic``.
"""

from __future__ import annotations

from typing import Any

from biztalk_services.provider.settings import SECTION, all_options

HOOK = "biztalk_services.provider.hook.BizTalkServicesHook"


def _text_field(label: str, description: str, *, masked: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"]}
    if masked:
        schema["format"] = "password"
    return {"label": label, "description": description, "schema": schema}


def get_provider_info() -> dict[str, Any]:
    """Information as ``airflow/provider_info.schema.json`` describes it."""
    return {
        "package-name": "biztalk-services-airflow",
        "name": "BizTalk Services",
        "description": "Backup and restore of Windows Azure BizTalk Services.",
        "connection-types": [
            {
                "connection-type": "biztalk_services",
                "hook-class-name": HOOK,
                "hook-name": "BizTalk Services",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "Management host",
                        "login": "Subscription ID",
                        "password": "Private key (PEM)",
                    },
                    "placeholders": {
                        "host": "management.core.windows.net",
                        "port": "443",
                        "login": "00000000-0000-0000-0000-000000000000",
                        "password": "-----BEGIN PRIVATE KEY----- ... (or give a path below)",
                    },
                },
                "conn-fields": {
                    "certificate": _text_field(
                        "Management certificate",
                        "PEM text of the certificate that the subscription trusts, without its private key.",
                        masked=True,
                    ),
                    "certificate_path": _text_field(
                        "Certificate file", "Path of a PEM or PFX file on every Airflow machine, instead of the text."
                    ),
                    "private_key_path": _text_field(
                        "Private key file", "Path of the PEM key, when it is not in the certificate file."
                    ),
                    "private_key_passphrase": _text_field(
                        "Passphrase", "Passphrase of the private key or the PFX file.", masked=True
                    ),
                    "ca_bundle": _text_field(
                        "CA bundle file", "Path of the CA certificates to trust, when the host's is not a public one."
                    ),
                    "api_version": _text_field("API version", "Value of x-ms-version. Default: 2013-04-26."),
                },
            }
        ],
        "config": {
            SECTION: {
                "description": "Backup and restore of BizTalk Services.",
                "options": {
                    option.name: {
                        "description": option.metadata["description"],
                        "version_added": None,
                        "type": "integer" if isinstance(option.default, int) else "string",
                        "example": None,
                        "default": str(option.default),
                    }
                    for option in all_options()
                },
            }
        },
    }
