"""`stressrun schema`: print a JSON Schema."""

from __future__ import annotations

from importlib.resources import files

import click


@click.command()
@click.option("--report", is_flag=True, help="Print the schema of report.json instead.")
def schema(report: bool) -> None:
    """Print the JSON Schema of scenario files."""
    subject = "report" if report else "scenario"
    path = files(f"stressrun.{subject}").joinpath(f"{subject}.schema.json")
    click.echo(path.read_text("utf-8"), nl=False)
