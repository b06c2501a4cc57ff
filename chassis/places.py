"""Where a request comes from, as far as it is counted: the address, and of IPv6 the network that one customer has."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

NETWORK = 64
SITE = 48  # with 65,536 networks in it, that one customer may have: where places take turns or have shares, it is one
_TRANSLATED = IPv6Network("64:ff9b::/96")  # an address of IPv4 behind it, which a translator speaks for (RFC 6052)
_IPV4 = 0xFFFFFFFF


def place_of(host: str, prefix: int = NETWORK) -> str:
    """An IPv4 address, also one that a socket of IPv6 or a translator tells; the /64 of an IPv6 address; or a name."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address in _TRANSLATED:
        return str(IPv4Address(int(address) & _IPV4))
    return str(address.ipv4_mapped or address.sixtofour or IPv6Network((address, prefix), strict=False))
