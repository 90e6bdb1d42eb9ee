"""`python -m stressrun` is `stressrun`."""

from stressrun.cli.main import main

main()
