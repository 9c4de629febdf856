"""Licences by their SPDX identifiers (spdx.org/licenses): those that data, weights and code usually have."""

from __future__ import annotations

IDENTIFIERS = frozenset(
    {
        *("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-ND-4.0"),
        *("CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0"),
        *("CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0"),
        *("PDDL-1.0", "ODC-By-1.0", "ODbL-1.0"),
        *("Apache-2.0", "MIT", "MIT-0", "ISC", "0BSD", "BSD-2-Clause", "BSD-3-Clause", "Unlicense", "Zlib"),
        *("GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"),
        *("LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"),
        *("AGPL-3.0-only", "AGPL-3.0-or-later", "MPL-2.0", "EPL-2.0", "EUPL-1.2", "Artistic-2.0", "BSL-1.0"),
    }
)
_OWN = "LicenseRef-"  # how SPDX names a licence that is not in its list


def is_known(licence: str) -> bool:
    """Whether this is one of the identifiers here, or a LicenseRef."""
    return licence in IDENTIFIERS or licence.startswith(_OWN)
