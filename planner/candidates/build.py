    `params` and `provenance` default to the catalog's fitted serving law and what it was fitted
    on. `prune=False` keeps dominated pools and
    """How measurements know a replica: ``interpolated``, ``transferred`` or ``roofline``.
