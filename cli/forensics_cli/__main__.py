"""``python -m forensics_cli``."""

from forensics_cli.main import run

if __name__ == "__main__":
    run()
