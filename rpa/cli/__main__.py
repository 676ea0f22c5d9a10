"""`python -m rpa.cli` is `rpa`."""

from rpa.cli import main

main()
