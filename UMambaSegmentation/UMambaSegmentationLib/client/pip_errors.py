"""Why pip failed, in one sentence that says what to do; the log has its own words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slicer.i18n import tr as _

_NO_PIP = re.compile(r"No module named pip")
_DISK = re.compile(r"No space left on device|\[Errno 28\]|not enough space|\[WinError 112\]", re.IGNORECASE)
_CERTIFICATE = re.compile(r"certificate.verify.failed|SSLError|SSLCertVerificationError", re.IGNORECASE)
_PROXY = re.compile(r"ProxyError|Cannot connect to proxy|Tunnel connection failed|\b407\b", re.IGNORECASE)
_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Max retries exceeded|NameResolutionError|"
    r"Temporary failure in name resolution|getaddrinfo failed|Connection (?:refused|reset|aborted)|"
    r"ConnectionError|Network is unreachable|Read timed out"
)
_ACCESS = re.compile(r"PermissionError|Permission denied|Access is denied|\[WinError 5\]", re.IGNORECASE)
_NO_VERSION = re.compile(r"(?:No matching distribution found for|satisfies the requirement) ([\w.-]+)")
_CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies")


def sentence(lines: Sequence[str], *, from_folder: bool, platform: str) -> str:
    """What the lines of a failed pip say.

    Args:
        lines: All of its output.
        from_folder: Whether it was told to look into a folder only.
        platform: Name of the kind of Python, such as "linux-x86_64-cp312".
    """
    text = "\n".join(lines)
    missing = _NO_VERSION.search(text)
    if _NO_PIP.search(text):
        return _("This Python has no pip; choose another one under Set-up, or add pip to it.")
    if _DISK.search(text):
        return _("The disk is full; make room, or let UMAMBA_HOME name a folder on another disk.")
    if from_folder and missing:
        text = _(
            "The folder holds no {package} for {platform}; fill it with fetch_wheels.py for this Python."
        )
        return text.format(package=missing[1], platform=platform)
    if _PROXY.search(text):
        return _(
            "The proxy refused the connection; set HTTPS_PROXY and restart Slicer, or install from a folder."
        )
    if _CERTIFICATE.search(text):
        return _(
            "The connection's certificate is not trusted, as behind many hospitals' proxies; name theirs in "
            "PIP_CERT and restart Slicer, or install from a folder."
        )
    if _NETWORK.search(text):
        return _(
            "The package index cannot be reached; check the network and the proxy, or install from a folder."
        )
    if missing:
        text = _("The package index has no suitable {package} for {platform}.")
        return text.format(package=missing[1], platform=platform)
    if _ACCESS.search(text):
        return _("A file could not be written; close other Slicer windows, and look at antivirus software.")
    if _CONFLICT.search(text):
        return _("The packages found do not fit together; the log says which.")
    return _("pip failed; its output and the log say why.")
