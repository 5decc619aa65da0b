"""Which addresses and names there are in the world of these tests."""

PUBLIC, OPENED, OWN = "93.184.215.14", "10.7.7.7", "93.184.215.99"
DRIPPING_TLS, SILENT_TLS, OLD_TLS = "93.184.215.15", "93.184.215.16", "93.184.215.17"
PUBLIC_SIX = "2606:2800:220:1::14"
PUBLIC_NAT64 = "64:ff9b::5db8:d70e"  # the first of these by NAT64
FULL, UNREACHABLE = "10.255.255.1", "10.254.0.0/16"
OTHER_PORTS = (22, 3128, 6379, 8080)

HIDDEN = {
    "mapped.test": "::ffff:10.9.9.9",
    "mapped-metadata.test": "::ffff:a9fe:a9fe",
    "compatible.test": "::7f00:1",
    "translated.test": "::ffff:0:7f00:1",
    "nat64.test": "64:ff9b::a00:1",
    "nat64-metadata.test": "64:ff9b::a9fe:a9fe",
    "local-nat64.test": "64:ff9b:1:a00:0:100::",
    "6to4.test": "2002:a09:909::",
    "teredo.test": "2001::f5ff:fffe",
    "isatap.test": "2606:4700::5efe:a09:909",
    "site-local.test": "fec0::1",
    "unique-local.test": "fd00:ec2::254",
    "outside-of-global-unicast.test": "4000::1",
}
"""Names of inner addresses inside of IPv6 addresses."""

ZONE = {
    "pub.test": [[PUBLIC]],
    "six.test": [[PUBLIC_SIX]],
    "only-four.test": [[PUBLIC, PUBLIC_NAT64]],
    "own.test": [[OWN]],
    "opened.test": [[OPENED]],
    "priv.test": [["169.254.169.254"]],
    "priv-six.test": [["fd00:ec2::254"]],
    "multi.test": [[PUBLIC, "10.9.9.9"]],
    "multi-last.test": [["10.9.9.9", PUBLIC]],
    "multi-six.test": [[PUBLIC, "::1"]],
    "alias.test": [["priv.test"]],
    "aliases.test": [["alias.test"]],
    "rebind.test": [[PUBLIC], ["127.0.0.1"]],
    "rebind-late.test": [[PUBLIC], ["10.9.9.9"], ["10.9.9.9"]],
    "localhost.test": [["127.0.0.1"]],
    "drip-tls.test": [[DRIPPING_TLS]],
    "silent-tls.test": [[SILENT_TLS]],
    "old-tls.test": [[OLD_TLS]],
    "right.test": [[PUBLIC]],
    "wrong.test": [[PUBLIC]],
    "unknown.test": [[PUBLIC]],
    "expired.test": [[PUBLIC]],
}
ZONE |= {name: [[address]] for name, address in HIDDEN.items()}
SILENT = frozenset({"slow.test"})

ADMITTED = {PUBLIC, PUBLIC_SIX, PUBLIC_NAT64, OPENED, OWN, DRIPPING_TLS, SILENT_TLS, OLD_TLS}
"""The addresses to which the service may connect: public ones, and the one that its settings open."""
