"""Which CAs a TLS connection trusts, and what a failure of TLS means; the same for every server and every library."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biztalk_services.model.errors import BackupServiceError

OPTION = "option ca_bundle of [biztalk_services]"

_SETTINGS = (
    "ca_bundle names the PEM file of the CAs that are trusted: in the extra of the connection, in the option of "
    "[biztalk_services], or as --ca-bundle at a shell."
)
_HAS_EXPIRED, _NOT_YET_VALID, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64  # X509_V_ERR_... of OpenSSL
_VERDICTS = {
    _HAS_EXPIRED: "has expired; it has to be renewed there, unless the clock of this machine is wrong",
    _NOT_YET_VALID: "is not yet valid; check the clock of this machine",
    _OTHER_HOST: "is for another host; write the host as the certificate names it",
    _OTHER_ADDRESS: "is for another host; write the host as the certificate names it",
}
_PEM_ON_ONE_LINE = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[ \t]+([A-Za-z0-9+/= \t]+?)[ \t]*-----END \1-----")


class InvalidCaBundleError(BackupServiceError):
    """A CA bundle cannot be read; no request was sent."""


def chosen_bundle(extra: Mapping[str, Any], conn_id: str, default: str) -> str:
    """The CA bundle of a connection: that of its extra, else that of the option; empty: the usual CAs.

    :raises InvalidCaBundleError: it cannot be read; the message names the setting.
    """
    own = str(extra.get("ca_bundle") or "").strip()
    bundle, setting = (own, f"extra ca_bundle of connection {conn_id}") if own else (default.strip(), OPTION)
    if bundle:
        trusting(bundle, setting)
    return bundle


def trusting(ca_bundle: str | Path, setting: str = "ca_bundle") -> ssl.SSLContext:
    """A client context that trusts only these CAs.

    :param ca_bundle: PEM file, folder of PEM files named by their hashes, or PEM text.
    :param setting: what names it.
    :raises InvalidCaBundleError: it cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    is_text = "-----BEGIN " in str(ca_bundle)
    try:
        if is_text:
            context.load_verify_locations(cadata=with_line_breaks(str(ca_bundle)))
        else:
            path = Path(ca_bundle).expanduser()
            context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": str(path)})
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else None
        raise InvalidCaBundleError(
            f"The CA bundle {'(text)' if is_text else ca_bundle} ({setting}) cannot be read"
            f"{f': {reason}' if reason else ' as PEM certificates'}. Name a file with the CA certificates as PEM text."
        ) from None
    return context


def with_line_breaks(pem: str) -> str:
    """PEM text with the line breaks that one-line form fields and environment variables remove."""
    return _PEM_ON_ONE_LINE.sub(
        lambda block: "\n".join([f"-----BEGIN {block[1]}-----", *block[2].split(), f"-----END {block[1]}-----", ""]),
        pem.replace("\\r", "").replace("\\n", "\n"),
    )


def causes(error: BaseException) -> list[BaseException]:
    """The error and all its causes, outermost first."""
    found: list[BaseException] = []
    queue: list[Any] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            inner = (getattr(cause, name, None) for name in ("reason", "inner_exception", "__cause__", "__context__"))
            queue += [*inner, *cause.args]
    return found


def distrust(error: BaseException) -> str | None:
    """Sentences on a server's certificate that is not trusted, and what to do; None where the error is another one."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            verdict = _VERDICTS.get(
                cause.verify_code, f"is not signed by a CA that is trusted here ({cause.verify_message})"
            )
            return f"The certificate of the server {verdict}. {_SETTINGS}"
    return None


def no_tls(error: BaseException) -> str | None:
    """Sentences on a server with which no TLS could be agreed, and what to do; None where the error is another one."""
    for cause in causes(error):
        cut = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
        if isinstance(cause, ssl.SSLError) and cause.reason and not cut:
            return (
                f"TLS could not be agreed with the server ({cause.reason.lower().replace('_', ' ')}). Check scheme and "
                "port: what listens there does not speak TLS, or no version from 1.2; or a proxy stands between."
            )
    return None
