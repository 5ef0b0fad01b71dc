"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from forensics_cli import __version__, cases, runs, sweeps
from forensics_cli.api import Api
from forensics_cli.faults import CommandError, Exit, WrongUse
from forensics_cli.printing import error, tell
from forensics_cli.sign_in import Place, client_for

HELP = """\
Cases of EC2 forensics from a terminal.

Where Airflow is: --url (or FORENSICS_URL), with FORENSICS_TOKEN, or FORENSICS_USER and FORENSICS_PASSWORD.
On Amazon MWAA: --mwaa NAME (or FORENSICS_MWAA) with --region and --profile; you are signed in with your AWS identity.
What you may do is decided by Airflow's permissions, as on the pages.

Results go to standard output, progress and errors to standard error.

Exit status: 0 good; 1 what was asked about is not good (a run failed, a case has gaps, the preflight found something
broken, a request was not valid); 2 wrong command line or environment; 3 Airflow does not answer; 4 not signed in or
not allowed; 5 it does not exist; 6 waits for a second person (break-glass); 130 stopped with Ctrl-C.
"""
BREAK_GLASS = "break-glass"
MakeApi = Callable[[Place], Api]


def run() -> NoReturn:
    """Run the command line and end the process with its status."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None, *, make_api: MakeApi = lambda place: Api(client_for(place))) -> int:
    """Run the command line; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == [BREAK_GLASS]:
        return _break_glass(words[1:])
    given = parser().parse_args(words)
    try:
        api = make_api(Place(given.url, given.mwaa, given.region, given.profile))
        status: Exit = given.do(api, given)
    except CommandError as fault:
        error(fault)
        return int(fault.status)
    except KeyboardInterrupt:
        # nothing that was started is stopped by this: runs go on in Airflow
        tell(f"stopped; {given.after_interrupt}")
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # the reader (head, less) has enough; nothing more can be written there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.GOOD)
    return int(status)


def _break_glass(words: Sequence[str]) -> int:
    """Hand over to the product's own code, which asks AWS and not Airflow."""
    try:
        from forensics.break_glass.command import main as break_glass
    except ImportError as missing:
        error(
            WrongUse(
                "the product's code is not here",
                why=str(missing),
                next_action="pip install './cli[break-glass]', and set PYTHONPATH to the folder plugins of the release (docs/break-glass.md)",
            )
        )
        return int(Exit.USAGE)
    return break_glass(words)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    made = argparse.ArgumentParser(
        prog="forensics", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--url", default=os.environ.get("FORENSICS_URL", ""), help="address of Airflow's UI")
    made.add_argument("--mwaa", default=os.environ.get("FORENSICS_MWAA", ""), help="name of an Amazon MWAA environment")
    made.add_argument("--region", default=os.environ.get("AWS_REGION", ""), help="its Region")
    made.add_argument("--profile", default="", help="AWS profile to sign in with")
    made.add_argument("--version", action="version", version=f"forensics {__version__}")
    made.set_defaults(after_interrupt="nothing that was started has been stopped")
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    cases.add(commands)
    runs.add(commands)
    sweeps.add(commands)
    commands.add_parser(BREAK_GLASS, help="while Airflow is down: by your own roles (forensics break-glass --help)")
    return made
