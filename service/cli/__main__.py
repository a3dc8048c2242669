"""`python -m service.cli` is the command `kanjo`."""

from service.cli.main import app

app()
