"""`stressrun schema`: print a JSON Schema."""

from __future__ import annotations

from importlib.resources import files

import click


@click.command()
@click.option(
    "--report", "subject", flag_value="report", help="Print the schema of report.json instead."
)
@click.option(
    "--comparison", "subject", flag_value="comparison", help="Print that of comparison.json."
)
def schema(subject: str | None) -> None:
    """Print the JSON Schema of scenario files."""
    package = "scenario" if subject is None else "report"
    path = files(f"stressrun.{package}").joinpath(f"{subject or package}.schema.json")
    click.echo(path.read_text("utf-8"), nl=False)
