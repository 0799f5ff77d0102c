"""Provider information: makes the connection type and the configuration section known to Airflow.

Airflow finds it by the entry point ``apache_airflow_provider`` of the installed package. Without it everything works
but the connection form; the connection then has the type ``generic``.
"""

from __future__ import annotations

from typing import Any

from biztalk_services.model.options import SECTION
from biztalk_services.provider.settings import all_options

HOOK = "biztalk_services.provider.hook.BizTalkServicesHook"


_FORM = {
    "hidden-fields": ["schema"],
    "relabeling": {"host": "Management host", "login": "Subscription ID", "password": "Private key (PEM)"},
    "placeholders": {
        "host": "management.core.windows.net",
        "port": "443",
        "login": "00000000-0000-0000-0000-000000000000",
        "password": "-----BEGIN PRIVATE KEY----- ... (or give a path below)",
    },
}
_FIELDS = {
    "certificate": (
        "Management certificate",
        "PEM text of the certificate that the subscription trusts, without its private key.",
    ),
    "certificate_path": (
        "Certificate file",
        "Path of a PEM, PFX or publish settings file on every Airflow machine, instead of the text.",
    ),
    "private_key_path": ("Private key file", "Path of the PEM key, when it is not in the certificate file."),
    "private_key_passphrase": ("Passphrase", "Passphrase of the private key or the PFX file."),
    "ca_bundle": ("CA bundle file", "Path of the CA certificates to trust, when the host's is not a public one."),
    "api_version": ("API version", "Value of x-ms-version. Default: 2013-04-26."),
    "access_control_host": ("Access Control host", "In place of the option of this name, for another cloud."),
    "service_host": ("Service host", "In place of the option of this name, for another cloud."),
    "tracking_conn_id": (
        "Tracking connections",
        "In place of the option of this name, where services of two subscriptions have one name.",
    ),
    "sent_interchanges_conn_id": ("Archives of sent interchanges", "As the tracking connections."),
}
_MASKED = ("certificate", "private_key_passphrase")


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
                "ui-field-behaviour": _FORM,
                "conn-fields": {
                    name: {
                        "label": label,
                        "description": description,
                        "schema": {"type": ["string", "null"]} | ({"format": "password"} if name in _MASKED else {}),
                    }
                    for name, (label, description) in _FIELDS.items()
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
                        "example": option.metadata["example"],
                        "default": str(option.default),
                    }
                    for option in all_options()
                },
            }
        },
    }
