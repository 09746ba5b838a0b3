"""From an instance folder to a validated `Instance`, and from there to `Facts`."""
