"""How long tests wait for what must happen."""

ENOUGH_S = 300.0  # however busy the machine; a test that hangs is ended by pytest's own limit
