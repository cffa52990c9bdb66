"""The remediator's command: its flags, and what it is asked to do.

Rule: only what is asked for is imported, so that a command does not wait for what serving needs.
"""

from importlib.metadata import version as installed_version
from pathlib import Path

import click

from remediator.cli import Commands


@click.group(cls=Commands, invoke_without_command=True)
@click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path("remediator.yml"),
    show_default=True,
)
@click.option(
    "--config.profile",
    "profile",
    type=click.Path(path_type=Path),
    help="A file whose top-level keys stand in for those of the configuration.",
)
@click.option("--config.check", "config_check", is_flag=True, help="Check the file and leave.")
@click.version_option(installed_version("stackmedic"), message="stackmedic %(version)s")
@click.pass_context
def main(
    context: click.Context, config_file: Path, profile: Path | None, *, config_check: bool
) -> None:
    """Mends what its runbook says can be mended, on Alertmanager's webhooks.

    Without a command it serves.
    """
    if context.invoked_subcommand is None:
        from remediator.serve import serve  # noqa: PLC0415 - see the rule of this module

        serve(config_file, profile, check=config_check)


if __name__ == "__main__":
    main()
