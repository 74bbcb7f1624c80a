"""The command line as `python -m kopf`."""

from kopf.cli import main

if __name__ == "__main__":
    main(prog_name="kopf")
