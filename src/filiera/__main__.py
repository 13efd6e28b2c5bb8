"""`python -m filiera`: the command line."""

from filiera.cli import main

main()
