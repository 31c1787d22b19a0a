"""A report as its command writes it."""

from jaxgen.reporting.report import write_report


def written(report, program, command):
    """The summary, and the files that were written."""
    return report.summary, write_report(report, program, command)
