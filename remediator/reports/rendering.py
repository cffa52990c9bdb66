"""A report as text, Markdown or JSON.

Rule: pure; names of queries, logs and labels are untrusted and leave here plain.
"""

import json

from remediator.reports.rows import Report
from remediator.shown import markdown_table, plain, table

FORMATS = ("text", "markdown", "json")
_HEADINGS = ("what", "is", "expected", "alert", "verdict")


def rendered(report: Report, form: str) -> str:
    if form == "json":
        return json.dumps(_document(report), indent=2)
    return _markdown(report) if form == "markdown" else _text(report)


def _document(report: Report) -> dict[str, object]:
    return {
        "title": report.title,
        "at": report.at.isoformat(timespec="seconds"),
        "verdict": report.verdict,
        "sections": [
            {
                "title": section.title,
                "rows": [
                    {
                        "what": row.what,
                        "is": row.value,
                        "expected": row.expected,
                        "alert": row.alert,
                        "verdict": row.verdict,
                    }
                    for row in section.rows
                ],
            }
            for section in report.sections
        ],
    }


def _text(report: Report) -> str:
    parts = [f"{report.title}, {report.at:%Y-%m-%d %H:%M} UTC: {report.verdict}"]
    for section in report.sections:
        rows = [(r.what, r.value, r.expected, r.alert, r.verdict) for r in section.rows]
        parts.append(f"{plain(section.title)}\n{table(_HEADINGS, rows)}")
    return "\n\n".join(parts)


def _markdown(report: Report) -> str:
    parts = [f"# {report.title}, {report.at:%Y-%m-%d %H:%M} UTC: {report.verdict}"]
    for section in report.sections:
        rows = [(r.what, r.value, r.expected, r.alert, r.verdict) for r in section.rows]
        parts.append(f"## {section.title}\n\n{markdown_table(_HEADINGS, rows)}")
    return "\n\n".join(parts)
