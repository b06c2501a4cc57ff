"""Where a request comes from, as far as it is counted: the address, and of IPv6 the network that one customer has."""

from ipaddress import IPv6Address, IPv6Network

_NETWORK = 64


def place_of(host: str) -> str:
    """An IPv4 address, also one told by a socket of IPv6; the /64 of an IPv6 address; and any other name as it is."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(address.ipv4_mapped or IPv6Network((address, _NETWORK), strict=False))
