"""What of a log may be kept as evidence: little, and without secrets.

Rule: pure. Rather one word too many hidden than one secret in the journal.
"""

import re

_LONGEST_LINE = 4096
_SHOWN_OF_A_LINE = 1000
_HIDDEN = "***"

_TELLTALE = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credential|authorization|cookie|session[_-]?id|dsn|requirepass|masterauth)"
)
# Every repetition is bounded: a log line is untrusted, and may be one long word.
_RULES = (
    re.compile(r"(?P<kept>[a-z][a-z0-9+.-]{0,20}://)[^\s/@]{0,500}(?=@)", re.IGNORECASE),
    re.compile(r"(?P<kept>\b(?:bearer|basic)\s{1,5})[\w.~+/=-]{6,}", re.IGNORECASE),
    re.compile(
        rf"(?P<kept>{_TELLTALE}[\w.-]{{0,40}}\\?[\"']?\s{{0,5}}[:=]\s{{0,5}})"
        r"(?:\\?\"[^\"]*\"?|\\?'[^']*'?|[^\s\"',;&}]+)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<kept>\b{_TELLTALE}\s{{1,5}})(?:'[^']*'?|\"[^\"]*\"?)",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<kept>\b(?:requirepass|masterauth)\s{1,5})\S+", re.IGNORECASE),
    re.compile(r"(?P<kept>)\beyJ[\w-]{8,}\.[\w.-]+"),
    re.compile(r"(?P<kept>)\b(?:AKIA|ASIA|ghp_|gho_|xox[abp]-|sk[-_])[\w-]{8,}"),
    re.compile(r"(?P<kept>)(?<![\w+/-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Za-z])[\w+/-]{40,}={0,2}"),
)

_OPTION_AND_VALUE = re.compile(
    rf"(?P<kept>(?:^|\s)--?[\w-]{{0,40}}{_TELLTALE}[\w-]{{0,40}}\s{{1,5}})[^\s-]\S*", re.IGNORECASE
)


def redacted(line: str) -> str:
    """The line with passwords, tokens and credentials in URLs replaced by `***`."""
    line = line[:_LONGEST_LINE]
    for rule in _RULES:
        line = rule.sub(rf"\g<kept>{_HIDDEN}", line)
    return line


def redacted_command(line: str) -> str:
    """A command line, redacted; the word after an option such as `--password` is hidden too."""
    return _OPTION_AND_VALUE.sub(rf"\g<kept>{_HIDDEN}", redacted(line))


def log_tail(text: str, *, lines: int, max_bytes: int) -> str:
    """The last whole lines of `text`, redacted, that fit into `max_bytes` of UTF-8."""
    kept: list[str] = []
    size = 0
    for line in reversed(_without_keys(text.splitlines()[-lines:])):
        shown = redacted(line)[:_SHOWN_OF_A_LINE]
        size += len(shown.encode()) + 1
        if size > max_bytes:
            break
        kept.append(shown)
    return "\n".join(reversed(kept))


def _without_keys(lines: list[str]) -> list[str]:
    """The lines without the bodies of PEM blocks, which no pattern of a single line can see."""
    kept = []
    in_key = False
    for line in lines:
        if "-----END " in line:
            in_key = False
        elif "-----BEGIN " in line:
            in_key = True
        elif in_key:
            continue
        kept.append(line)
    return kept
