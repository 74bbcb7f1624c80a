"""The command line: `kopf run`, `kopf dev`, `kopf cluster`.

The names of commands, options, parameters and environment variables are an interface: operators read them from
`click.get_current_context()`, and tests call the commands with click's `CliRunner`.
"""

import asyncio
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import click

from kopf import _loaders, _loggers, _registry, _running, _tracebacks, _version
from kopf._enums import LogFormat
from kopf._flags import Flag
from kopf._registry import OperatorRegistry
from kopf._settings import OperatorSettings

__all__ = ["CLIControls", "main"]

_DEV_PRIORITY = 666


@dataclasses.dataclass(kw_only=True)
class CLIControls:
    """What a caller from Python (`kopf.testing.KopfRunner`) gives to a command besides its arguments."""

    ready_flag: Flag | None = None
    stop_flag: Flag | None = None
    registry: OperatorRegistry | None = None
    settings: OperatorSettings | None = None
    loop: asyncio.AbstractEventLoop | None = None


class _LogFormatParam(click.Choice[str]):
    """The log formats by their names, in any case."""

    def __init__(self) -> None:
        super().__init__([format.name.lower() for format in LogFormat], case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, LogFormat):
            return value
        return LogFormat[super().convert(value, param, ctx).upper()]


def _logging_options(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The options of logging, which all commands that run something in the cluster have."""
    options = [
        click.option("-v", "--verbose", is_flag=True, help="Show debugging."),
        click.option("-d", "--debug", is_flag=True, help="Show debugging, that of asyncio included."),
        click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors."),
        click.option("--log-format", type=_LogFormatParam(), default="full", help="How lines look."),
        click.option("--log-refkey", type=str, help="The key of the object in JSON."),
        click.option("--log-prefix/--no-log-prefix", default=None, help="Begin messages with the object."),
    ]
    for option in reversed(options):
        fn = option(fn)
    return fn


_namespaces_option = click.option(
    "-n", "--namespace", "namespaces", multiple=True, help="Serve this namespace, or those like this pattern."
)
_clusterwide_option = click.option(
    "-A", "--all-namespaces", "clusterwide", is_flag=True, help="Serve the whole cluster."
)


@click.group(name="kopf", context_settings={"auto_envvar_prefix": "KOPF"})
@click.version_option(version=_version.__version__, prog_name="kopf")
def main() -> None:
    """Kubernetes operators of a few functions."""


@main.command()
@_logging_options
@_namespaces_option
@_clusterwide_option
@click.option("--standalone", is_flag=True, default=None, help="Ignore other operators.")
@click.option("--dev", "dev", is_flag=True, help=f"Have the priority {_DEV_PRIORITY}, above others.")
@click.option("-L", "--liveness", "liveness_endpoint", type=str, help="Serve the liveness at this URL.")
@click.option("-P", "--peering", "peering_name", type=str, envvar="KOPF_RUN_PEERING", help="The peering object.")
@click.option("-p", "--priority", type=int, help="The priority among other operators.")
@click.option("-m", "--module", "modules", multiple=True, help="Import this module with handlers.")
@click.argument("paths", nargs=-1)
@click.pass_context
def run(
    ctx: click.Context,
    verbose: bool,
    debug: bool,
    quiet: bool,
    log_format: LogFormat,
    log_refkey: str | None,
    log_prefix: bool | None,
    namespaces: tuple[str, ...],
    clusterwide: bool,
    standalone: bool | None,
    dev: bool,
    liveness_endpoint: str | None,
    peering_name: str | None,
    priority: int | None,
    modules: tuple[str, ...],
    paths: tuple[str, ...],
) -> None:
    """Run the operator with the handlers of the files PATHS."""
    if dev:
        priority = ctx.params["priority"] = _DEV_PRIORITY
    # An addition to the option, not its default, for it is older.
    legacy = os.environ.get("KOPF_RUN_NAMESPACE")
    namespaces = ctx.params["namespaces"] = (*namespaces, *([legacy] if legacy else []))
    if namespaces and clusterwide:
        raise click.UsageError("Either --namespace or --all-namespaces can be used, not both.")
    controls = ctx.obj if isinstance(ctx.obj, CLIControls) else CLIControls()
    if ctx.obj is None and not debug:
        _tracebacks.shorten()
    _loggers.configure(
        debug=debug,
        verbose=verbose,
        quiet=quiet,
        log_format=log_format,
        log_refkey=log_refkey,
        log_prefix=log_prefix,
    )
    if controls.registry is not None:
        _registry.set_default_registry(controls.registry)
    _loaders.preload(paths, modules)
    _run_in_loop(
        controls.loop,
        standalone=standalone,
        namespaces=namespaces,
        clusterwide=clusterwide,
        priority=priority,
        peering_name=peering_name,
        liveness_endpoint=liveness_endpoint,
        registry=controls.registry,
        settings=controls.settings,
        stop_flag=controls.stop_flag,
        ready_flag=controls.ready_flag,
    )


def _run_in_loop(loop: asyncio.AbstractEventLoop | None, **kwargs: Any) -> None:
    """Runs the operator, in uvloop if it is installed and no loop is given."""
    if loop is not None:
        _running.run(loop=loop, **kwargs)
        return
    try:
        import uvloop
    except ImportError:
        _running.run(**kwargs)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _running.run(loop=runner.get_loop(), **kwargs)


@main.command()
@_logging_options
@_namespaces_option
@_clusterwide_option
@click.option("-m", "--module", "modules", multiple=True, help="Import this module with handlers.")
@click.option(
    "--apply",
    "manifests",
    multiple=True,
    type=click.Path(exists=True),
    help="Apply this file, or the files of this folder, to the dev cluster first.",
)
@click.option("--port", type=int, default=0, help="The port of the dev cluster; by default any free one.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.pass_context
def dev(
    ctx: click.Context,
    /,
    namespaces: tuple[str, ...],
    clusterwide: bool,
    modules: tuple[str, ...],
    manifests: tuple[str, ...],
    port: int,
    paths: tuple[str, ...],
    **logging_options: Any,
) -> None:
    """Run the operator on a dev cluster, and restart it when the files PATHS change."""
    from kopf import _dev  # only this command needs processes and the dev cluster

    if namespaces and clusterwide:
        raise click.UsageError("Either --namespace or --all-namespaces can be used, not both.")
    if not paths and not modules:
        raise click.UsageError("Which files have the handlers? Say: kopf dev handlers.py")
    arguments = _as_arguments(logging_options)
    arguments += [f"--namespace={namespace}" for namespace in namespaces] or ["--all-namespaces"]
    arguments += [f"--module={module}" for module in modules]
    ctx.exit(_dev.run(arguments, paths, manifests, port=port))


def _as_arguments(options: dict[str, Any]) -> list[str]:
    """Options of logging, as they are given to `kopf run`."""
    arguments = [f"--{name}" for name in ("verbose", "debug", "quiet") if options[name]]
    arguments.append(f"--log-format={options['log_format'].name.lower()}")
    if options["log_refkey"] is not None:
        arguments.append(f"--log-refkey={options['log_refkey']}")
    if options["log_prefix"] is not None:
        arguments.append("--log-prefix" if options["log_prefix"] else "--no-log-prefix")
    return arguments


@main.command()
@click.option("--port", type=int, default=0, help="The port; by default any free one.")
@click.option("--tls", is_flag=True, help="Serve HTTPS, with a certificate made for it.")
@click.option("--control", is_flag=True, help="Serve /_dev/ too, to put faults into the cluster and move its clock.")
@click.option("--rbac", is_flag=True, help="Tell users apart by their tokens, and ask roles what they may do.")
@click.option("--seed", type=click.IntRange(min=0), help="Make uids, generated names and chance repeatable.")
@click.option(
    "--deterministic",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="As --seed, with one thread and a clock that stands.",
)
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="Write the kubeconfig to this file.")
@click.option(
    "--apply",
    "manifests",
    multiple=True,
    type=click.Path(exists=True),
    help="Apply this file, or the files of this folder, first.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def cluster(
    ctx: click.Context,
    port: int,
    tls: bool,
    control: bool,
    rbac: bool,
    seed: int | None,
    deterministic: int | None,
    kubeconfig: str | None,
    manifests: tuple[str, ...],
    command: tuple[str, ...],
) -> None:
    """Serve a dev cluster until interrupted; or run COMMAND with it, and end with its status.

    Write the command after two dashes: kopf cluster -- kubectl get namespaces
    """
    from kopf import _dev  # only this command needs processes and the dev cluster

    if seed is not None and deterministic is not None:
        raise click.UsageError("Only one of --seed and --deterministic can be said.")
    options = {"control": control, "rbac": rbac, "seed": seed, "deterministic": deterministic}
    ctx.exit(_dev.serve(command, manifests, port=port, tls=tls, kubeconfig=kubeconfig, **options))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def freeze(arguments: tuple[str, ...]) -> None:
    """Pause the operators of a peering. Not available yet."""
    raise click.ClickException("Peering is not available in this version yet, so no operator can be paused.")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def resume(arguments: tuple[str, ...]) -> None:
    """Resume the operators of a peering. Not available yet."""
    raise click.ClickException("Peering is not available in this version yet, so no operator can be paused.")
