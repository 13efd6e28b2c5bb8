"""The command line: one file per command, a thin function over one workspace method.

Exit status: 0 done; 1 work failed; 2 usage; 3 denied; 4 conflict; 5 integrity; 6 unavailable; 7 refused by a gate;
8 not found; 10 work to do (only `plan --check`); 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from filiera.errors import FilieraError

INTERRUPTED = 130

#: Command -> (section of the help, one line). Modules are imported when their command runs.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("Start", "make a project, with an owner and a purpose"),
    "adopt": ("Start", "read sample files and write their contract"),
    "demo": ("Start", "play the wind-farm story in a fresh folder"),
    "status": ("Every day", "sources, tables, models and environments as they are"),
    "plan": ("Every day", "what changed, what follows, and its price"),
    "apply": ("Every day", "do what the plan says"),
    "release": ("Every day", "move prod to a model version, through the gate"),
    "rollback": ("Every day", "move prod back"),
    "up": ("Every day", "collect, follow and serve until stopped"),
    "why": ("What and why", "what made an asset stale, or why it was reused"),
    "graph": ("What and why", "what reads what, coloured by what the plan would do"),
    "log": ("What and why", "the generations of an environment"),
    "diff": ("What and why", "two environments side by side"),
    "env": ("What and why", "environments as branches: list, new, diff, delete"),
    "events": ("What and why", "what happened by itself, what came of it, and what waits for you"),
    "reproduce": ("Reproduce and clean", "make a model or table again from the ledger alone, and compare"),
    "recheck": ("Reproduce and clean", "make a share of all results again: wrong skips, counted"),
    "gc": ("Reproduce and clean", "free what nothing reaches; it can be put back for a while"),
    "hold": ("Reproduce and clean", "keep a snapshot or model version whatever environments do"),
    "query": ("Data", "rows of a table, at any snapshot"),
    "export": ("Data", "a table as CSV, Parquet or Arrow"),
    "quarantine": ("Data", "records that broke their contract, and their release"),
    "study": ("Models", "the trials of a model: score against money"),
    "predict": ("Models", "ask the released model"),
    "audit": ("Rules", "the log that cannot be quietly rewritten"),
    "key": ("Rules", "restore the key file from two recovery shares"),
    "doctor": ("Rules", "check this machine and project, and say what to do"),
}


class Commands(click.Group):
    """Finds commands by name in this package, so that `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None lets click complain."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"filiera.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command list, by section."""
        for section in dict.fromkeys(section for section, _ in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (where, text) in COMMANDS.items() if where == section])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest command named."""
        from filiera.errors import UsageError, nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(
                "cli.unknown_command", f"`{args[0]}` is no command", next=f"{nearest(args[0], COMMANDS)}; see --help"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--project", type=click.Path(file_okay=False), default=None, help="project folder; default: this or above"
)
@click.version_option(package_name="filiera")
@click.pass_context
def cli(ctx: click.Context, project: str | None) -> None:
    """A controlled supply chain for machine learning: collect, ingest, store, train, serve."""
    ctx.obj = project


def main() -> None:
    """Run the command line; the one place where an error becomes an exit status, and none a traceback."""
    try:
        cli.main(standalone_mode=False)
    except FilieraError as error:
        _show(error)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; what was committed stays, run it again to continue", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # the reader (such as `head`) has enough; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from filiera.cli.fault import told

        _show(told(error, _named_project(sys.argv[1:])))


def _show(error: FilieraError) -> NoReturn:
    text = f"error [{error.code}]: {error}"
    click.echo(text.encode(errors="backslashreplace").decode(), err=True)
    sys.exit(error.exit_status)


def _named_project(words: list[str]) -> str | None:
    """`--project` as it stands on the command line."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--project" or word.startswith("--project="):
            return word.partition("=")[2] or following
    return None
