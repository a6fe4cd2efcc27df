"""What looking for mistakes in a network finds: one record each, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias


class Severity(Enum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class LintIssue:
    """One finding.

    Parameters
    ----------
    severity, code
        How bad, and what: a word that stays the same.
    message
        What was found.
    node
        Name of the node, if it is about one.
    suggestion
        The way out.
    """

    severity: Severity
    code: str
    message: str
    node: str | None = None
    suggestion: str | None = None


@dataclass(kw_only=True)
class LintResult:
    """All findings of one network."""

    issues: list[LintIssue] = field(default_factory=list)

    def add_error(
        self, code: str, message: str, node: str | None = None, suggestion: str | None = None
    ) -> None:
        """Add a finding of one's own, an error."""
        self._add(Severity.ERROR, code, message, node, suggestion)

    def add_warning(
        self, code: str, message: str, node: str | None = None, suggestion: str | None = None
    ) -> None:
        """Add a finding of one's own, a warning."""
        self._add(Severity.WARNING, code, message, node, suggestion)

    def add_info(
        self, code: str, message: str, node: str | None = None, suggestion: str | None = None
    ) -> None:
        """Add a finding of one's own, for information."""
        self._add(Severity.INFO, code, message, node, suggestion)

    def _add(
        self,
        severity: Severity,
        code: str,
        message: str,
        node: str | None,
        suggestion: str | None,
    ) -> None:
        self.issues.append(
            LintIssue(
                severity=severity, code=code, message=message, node=node, suggestion=suggestion
            )
        )

    def _of(self, severity: Severity) -> list[LintIssue]:
        return [issue for issue in self.issues if issue.severity is severity]

    @property
    def errors(self) -> list[LintIssue]:
        """Findings with which the network cannot run, or not as it should."""
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> list[LintIssue]:
        """Findings that are likely mistakes."""
        return self._of(Severity.WARNING)

    @property
    def infos(self) -> list[LintIssue]:
        """Findings worth to know."""
        return self._of(Severity.INFO)

    @property
    def is_valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "is_valid": self.is_valid,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "infos": len(self.infos),
            "issues": [
                {
                    "severity": issue.severity.value,
                    "code": issue.code,
                    "message": issue.message,
                    "node": issue.node,
                    "suggestion": issue.suggestion,
                }
                for issue in self.issues
            ],
        }


Findings: TypeAlias = "Iterator[LintIssue]"


def error(code: str, message: str, node: str | None, suggestion: str) -> LintIssue:
    """Return a finding that is an error."""
    return LintIssue(
        severity=Severity.ERROR, code=code, message=message, node=node, suggestion=suggestion
    )


def warning(code: str, message: str, node: str | None, suggestion: str) -> LintIssue:
    """Return a finding that is a warning."""
    return LintIssue(
        severity=Severity.WARNING, code=code, message=message, node=node, suggestion=suggestion
    )


def info(code: str, message: str, node: str | None, suggestion: str | None = None) -> LintIssue:
    """Return a finding that is for information."""
    return LintIssue(
        severity=Severity.INFO, code=code, message=message, node=node, suggestion=suggestion
    )
