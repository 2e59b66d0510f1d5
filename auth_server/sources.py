"""Which machine a request counts as coming from, wherever something is limited by source."""

import ipaddress
from typing import Final

_IPV6_SITE_BITS: Final = 64


def source_of(address: str | None) -> str:
    """The address, or for IPv6 the /64 network: one machine may use any address in it."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # as a socket that listens for both gives it
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
