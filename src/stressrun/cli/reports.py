"""Where reports go: the JSON of a run or a comparison always, others if `--report` or CI asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from stressrun.cli.output import tell
from stressrun.data.suggest import did_you_mean
from stressrun.errors import ExitCode, Position, ReportError, UsageError
from stressrun.report.cases import Conclusion, Where, conclude, conclude_comparison
from stressrun.report.comparison_document import comparison_text
from stressrun.report.comparison_page import comparison_markdown
from stressrun.report.document import document_text
from stressrun.report.files import append_whole, check_appendable, check_writable, write_whole
from stressrun.report.github import SUMMARY_BYTES, annotations_of, new_pause, pause, resume
from stressrun.report.gitlab import gitlab_metrics
from stressrun.report.junit import comparison_junit, junit
from stressrun.report.markdown import markdown
from stressrun.report.output import Output
from stressrun.run.events import ComparisonFinished, Finished, RunFinished
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded
from stressrun.scenario.nodes import Place

E = TypeVar("E", bound=Finished)


@dataclass(frozen=True, slots=True)
class Formats(Generic[E]):
    """What there is to write of an end: `file` is that of its JSON, which is always written.

    `unsuited` are kinds that it cannot have, with what to do instead; `what` is the word for it.
    """

    what: str
    file: str
    conclude: Callable[[E, Where, Mask], Conclusion[E]]
    kinds: Mapping[str, Callable[[Conclusion[E]], str]]
    unsuited: Mapping[str, str]


OF_RUN: Formats[RunFinished] = Formats(
    "a run",
    "report.json",
    conclude,
    {
        "junit": junit,
        "markdown": markdown,
        "gitlab-metrics": gitlab_metrics,
        "json": lambda conclusion: document_text(conclusion.event),
    },
    {},
)
OF_COMPARISON: Formats[ComparisonFinished] = Formats(
    "a comparison",
    "comparison.json",
    conclude_comparison,
    {"junit": comparison_junit, "markdown": comparison_markdown, "json": comparison_text},
    {"gitlab-metrics": "GitLab would compare what is one already; junit has the findings"},
)

report_option = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="KIND=FILE[,…]",
    help="Write a report besides the JSON in .stressrun: junit, markdown or json; of a run also "
    "gitlab-metrics. `none`: without annotations and step summary in GitHub Actions. Repeatable.",
)

_LESS_GRAVE = (ExitCode.PASSED, ExitCode.FAILED, ExitCode.INVALID)
_NONE = "none"
_CHECKOUTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The reports besides the JSON: files by kind; `quiet`: none that only the CI asks for."""

    files: tuple[tuple[str, Path], ...] = ()
    quiet: bool = False


def wanted_reports(options: Sequence[str], formats: Formats[Any]) -> Wanted:
    """What values of `--report` ask for: `junit=FILE,markdown=FILE`, `none`. Raises UsageError."""
    files: list[tuple[str, Path]] = []
    quiet = False
    for part in ",".join(options).split(",") if options else ():
        kind, _, file = part.partition("=")
        if part == _NONE:
            quiet = True
            continue
        if kind in formats.unsuited:
            raise UsageError(
                f"--report: there is no {kind} of {formats.what}", hint=formats.unsuited[kind]
            )
        if kind not in formats.kinds:
            hint = did_you_mean(kind, [*formats.kinds, _NONE])
            raise UsageError(
                f"--report: no kind of report is {kind!r}",
                hint=hint or f"write KIND=FILE, where KIND is one of {', '.join(formats.kinds)}",
            )
        if not file:
            raise UsageError(f"--report: {kind} has no file", hint=f"such as {kind}=FILE")
        files.append((kind, Path(file)))
    return Wanted(tuple(files), quiet)


class Reports(Generic[E]):
    """Writes the reports at the end of a run or of a comparison."""

    def __init__(
        self,
        formats: Formats[E],
        output: Output,
        loaded: Loaded,
        file: Path,
        directory: Path,
        wanted: Wanted,
        environ: Mapping[str, str],
    ) -> None:
        self._errors: list[ReportError] = []
        self._formats = formats
        self._output = output
        self._loaded = loaded
        self._file = file
        self._directory = directory
        self._wanted = wanted
        self._environ = environ
        self._on_github = environ.get("GITHUB_ACTIONS") == "true" and not wanted.quiet
        summary = environ.get("GITHUB_STEP_SUMMARY", "") if self._on_github else ""
        self._summary = Path(summary) if summary else None
        self._pause = new_pause()

    def check(self) -> None:
        """Find out before the run that each has a place. Raises ReportError, UsageError."""
        taken = {(self._directory / self._formats.file).resolve()}
        for _, path in self._wanted.files:
            if path.resolve() in taken:
                raise UsageError(f"--report: two reports in {path}", hint="give each its own file")
            taken.add(path.resolve())
            check_writable(path, "file for --report")
        if self._summary is not None:
            check_appendable(self._summary, "--report none")

    def begin(self) -> None:
        """See that what services say is no command to GitHub, until `write`."""
        if self._on_github:
            self._output.tell(pause(self._pause))

    def write(self, event: E, mask: Mask) -> None:
        """Write all, without the secrets that the mask knows, and annotate."""
        conclusion = self._formats.conclude(event, self._where, mask)
        kinds = self._formats.kinds
        own = self._directory / self._formats.file
        with self.noting_errors():
            write_whole(own, kinds["json"](conclusion))
            self._output.report_written(own)
        for kind, path in self._wanted.files:
            with self.noting_errors():
                write_whole(path, kinds[kind](conclusion))
                self._output.tell(f"{kind}: {path}")
        if self._summary is not None:
            with self.noting_errors():
                append_whole(self._summary, f"\n{kinds['markdown'](conclusion)}", SUMMARY_BYTES)
        if self._on_github:
            self._output.tell(resume(self._pause), *annotations_of(conclusion))

    def exit_code(self, code: ExitCode) -> int:
        """Tell of the reports that could not be written, which is graver than some codes."""
        codes = [tell(error) for error in self._errors]
        return int(codes[0] if codes and code in _LESS_GRAVE else code)

    @contextmanager
    def noting_errors(self) -> Iterator[None]:
        """Go on with the next report where one cannot be written."""
        try:
            yield
        except ReportError as error:
            self._errors.append(error)

    def _where(self, place: Place) -> Position | None:
        """The line of a place from the root of the checkout; None: it is not in the file."""
        position = self._loaded.position(place)
        if position.file != str(self._file):
            return None
        return replace(position, file=_from_checkout(self._file, self._environ))


def _from_checkout(file: Path, environ: Mapping[str, str]) -> str:
    """A path as a CI system looks it up: from the root of what it checked out."""
    for variable in _CHECKOUTS:
        root = environ.get(variable)
        if root and file.resolve().is_relative_to(Path(root).resolve()):
            return str(file.resolve().relative_to(Path(root).resolve()))
    return str(file)
