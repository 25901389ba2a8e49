"""The program: global options, and errors in one line."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from xm import XMError
from xm.foundation import leads
from xm.plugins import blamed, manager
from xm_cli.commands import Commands
from xm_cli.tables import show_traces

EXIT_CODES = (
    "Exit codes: 0 done; 1 internal error; 2 wrong usage; 3 data or files that can't be read or written; "
    "4 a plugin, package or weights missing; 5 a run that can't be read; 130 interrupted; 143 terminated."
)
DATA, INTERRUPTED, PIPE_CLOSED, TERMINATED = 3, 130, 141, 143
GRACE = 8.0
"""Seconds that a command has, after SIGTERM, to take away what is unfinished."""


class Terminated(KeyboardInterrupt):
    """The signal to end (SIGTERM): the same as at Ctrl-C is kept and taken away."""


@dataclass
class State:
    """What the global options said, and how an interrupted command is told.

    Attributes:
        debug: show tracebacks.
        kept: what the command that was interrupted leaves, in words.
        interrupted: the line.
        code: the exit code then.
    """

    debug: bool = False
    kept: str = ""
    interrupted: str = "interrupted"
    code: int = INTERRUPTED


class PluginFiles(TyperOption):
    """The option ``--plugin``: loads files as it is read, without Typer's coercion, which imports pydantic."""

    def process_value(self, ctx: Any, value: Any) -> Any:
        if not ctx.resilient_parsing:
            for file in value or ():
                manager().load_file(file)
        return value


class Program(Commands):
    """The group at the top. Every error that leaves a command ends here."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for option in self.params:
            if option.name == "plugin":
                option.__class__ = PluginFiles

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        state = State()
        try:
            code = super().main(args, "xm", complete_var, False, windows_expand_args, obj=state, **extra)
        except Exception as error:  # whatever it is, the user gets one line
            code, line = explain(error)
            if state.debug:
                traceback.print_exc()
            print("\n".join((line, *_notes(error))), file=sys.stderr)
        else:
            if code == INTERRUPTED:
                code = state.code
                print(state.interrupted, file=sys.stderr)
        sys.exit(code)

    def invoke(self, ctx: Any) -> None:
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt as error:
            ended, code = ("terminated", TERMINATED) if isinstance(error, Terminated) else ("interrupted", INTERRUPTED)
            kept = _notes(error) or [ctx.obj.kept]
            ctx.obj.interrupted, ctx.obj.code = "; ".join(filter(None, (ended, *kept))), code
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's last flush complains
            raise typer.Exit(PIPE_CLOSED) from None


def _notes(error: BaseException) -> list[str]:
    """What was noted with an error, such as what is kept; a line each."""
    return [_line(note) for note in getattr(error, "__notes__", ())]


def explain(error: Exception) -> tuple[int, str]:
    """The exit code and the line for an error."""
    if isinstance(error, XMError):
        return error.exit_code, f"error: {_line(str(error))}"
    if isinstance(error, typer.TyperException):
        return error.exit_code, f"error: {_usage(error)}"
    if isinstance(error, typer.Abort):
        return INTERRUPTED, "error: aborted"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return DATA, f"error: {error.filename}: {error.strerror}"
    if fault := blamed(error):
        return fault.exit_code, f"error: {_line(str(fault))}"
    what = _line(f"{type(error).__name__}: {error}")
    return 1, f"internal error: {what}; run again with --debug: xm --debug …"


def _line(text: str) -> str:
    return " ".join(part for line in text.splitlines() if (part := line.strip()))


_EXTRA = re.compile(r"Got unexpected extra argument\(s\) \((.+)\)", re.DOTALL)


def _usage(error: typer.TyperException) -> str:
    """A usage error with the nearest option and the command that shows help."""
    near = getattr(error, "possibilities", None)
    text = _line(error.message if near else error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    extra = _EXTRA.fullmatch(text)
    if extra and context and any("--data" in param.opts for param in context.command.params):
        text = f"{extra[1]!r} has no flag before it: name data with --data {extra[1].split()[0]}"
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    help_ = f" (see {context.command_path} --help)" if context else ""
    return text + hint + help_


app = typer.Typer(cls=Program, name="xm", rich_markup_mode=None, pretty_exceptions_enable=False)


def _set_debug(context: typer.Context, wanted: bool) -> None:
    context.obj.debug = wanted  # before anything else is parsed
    show_traces(wanted)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"xm {version('xm-cli')} (core {version('xm-core')})")
        raise typer.Exit


@app.callback(epilog=EXIT_CODES)
def options(
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Load a single-file plugin; repeatable.", is_eager=True)
    ] = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks.", envvar="XM_DEBUG", callback=_set_debug, is_eager=True),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Few-shot learning across modalities.

    Try: xm train --modality image --aux text,audio
    """


def _terminate(*_: object) -> None:
    raise Terminated


def _watch_for_the_end() -> None:
    """End at SIGTERM after `GRACE` seconds, whatever the main thread is in: Python tells it between operations only."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def wait() -> None:
        while signal.SIGTERM not in os.read(heard, 64):
            pass
        time.sleep(GRACE)
        print("terminated", file=sys.stderr, flush=True)
        os._exit(TERMINATED)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """The entry point of the script `xm`."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
        if sys.platform != "win32":  # which ends a process at once
            _watch_for_the_end()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not leads():  # under torchrun one process speaks for all; errors are told by each
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    except SystemExit as ended:
        if ended.code in (INTERRUPTED, TERMINATED):  # threads that still compute are not waited for
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(ended.code)
        raise
