"""`python -m app.cli`: how a parent starts one of the commands as a child process."""

from app.cli import main

main()
