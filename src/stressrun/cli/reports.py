"""Where the reports of a run go: report.json always, others where `--report` or CI wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stressrun.cli import signals
from stressrun.data.suggest import did_you_mean
from stressrun.errors import Position, ReportError, UsageError
from stressrun.report.cases import Conclusion, conclude
from stressrun.report.console import Console
from stressrun.report.document import document_text, write_report
from stressrun.report.files import append_whole, check_appendable, check_writable, write_whole
from stressrun.report.github import SUMMARY_BYTES, annotations_of, new_pause, pause, resume
from stressrun.report.gitlab import gitlab_metrics
from stressrun.report.junit import junit
from stressrun.report.markdown import markdown
from stressrun.run.events import Event, RunFinished, RunStarted
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded
from stressrun.scenario.nodes import Place

_KINDS: Mapping[str, Callable[[Conclusion], str]] = {
    "junit": junit,
    "markdown": markdown,
    "gitlab-metrics": gitlab_metrics,
    "json": lambda conclusion: document_text(conclusion.event),
}
_NONE = "none"
_CHECKOUTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The reports besides report.json: files by kind; `quiet`: none that only the CI asks for."""

    files: tuple[tuple[str, Path], ...] = ()
    quiet: bool = False


def wanted_reports(options: Sequence[str]) -> Wanted:
    """What values of `--report` ask for: `junit=FILE,markdown=FILE`, `none`. Raises UsageError."""
    files: list[tuple[str, Path]] = []
    quiet = False
    for part in ",".join(options).split(",") if options else ():
        kind, _, file = part.partition("=")
        if part == _NONE:
            quiet = True
            continue
        if kind not in _KINDS:
            hint = did_you_mean(kind, [*_KINDS, _NONE])
            raise UsageError(
                f"--report: no kind of report is {kind!r}",
                hint=hint or f"write KIND=FILE, where KIND is one of {', '.join(_KINDS)}",
            )
        if not file:
            raise UsageError(f"--report: {kind} has no file", hint=f"such as {kind}=FILE")
        files.append((kind, Path(file)))
    return Wanted(tuple(files), quiet)


class Reports:
    """Writes the reports at the end of a run; `errors` are those that could not be written."""

    def __init__(
        self,
        console: Console,
        loaded: Loaded,
        file: Path,
        directory: Path,
        wanted: Wanted,
        environ: Mapping[str, str],
    ) -> None:
        self.errors: list[ReportError] = []
        self._console = console
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
        taken = {(self._directory / "report.json").resolve()}
        for _, path in self._wanted.files:
            if path.resolve() in taken:
                raise UsageError(f"--report: two reports in {path}", hint="give each its own file")
            taken.add(path.resolve())
            check_writable(path, "file for --report")
        if self._summary is not None:
            check_appendable(self._summary, "--report none")

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted) and self._on_github:
            self._console.tell(pause(self._pause))
        elif isinstance(event, RunFinished):
            self._finish(event)
            signals.run_is_over()

    def _finish(self, event: RunFinished) -> None:
        with self._noting_errors():
            self._console.report_written(write_report(event, self._directory))
        conclusion = conclude(event, self._where, Mask(self._loaded.secrets))
        for kind, path in self._wanted.files:
            with self._noting_errors():
                write_whole(path, _KINDS[kind](conclusion))
                self._console.tell(f"{kind}: {path}")
        if self._summary is not None:
            with self._noting_errors():
                append_whole(self._summary, f"\n{markdown(conclusion)}", SUMMARY_BYTES)
        if self._on_github:
            self._console.tell(resume(self._pause), *annotations_of(conclusion))

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        """Go on with the next report where one cannot be written."""
        try:
            yield
        except ReportError as error:
            self.errors.append(error)

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
