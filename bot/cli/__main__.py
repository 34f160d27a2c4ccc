"""`python -m bot.cli`: the same as `codetask`."""

from bot.cli import main

main()
