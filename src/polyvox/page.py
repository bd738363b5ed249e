"""A page of HTML that needs nothing else: no scripts, no other files, nothing fetched; light or dark."""

from html import escape

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --faint: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1rem; margin: 0 0 .4rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; } .error { color: #c33; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def framed(title: str, body: str, style: str) -> str:
    """The page around a body that is HTML already."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{safe(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
<h1>{safe(title)}</h1>
{body}
</body>
</html>
"""


def safe(text: str) -> str:
    """Whoever reads HTML takes a carriage return for the end of a line, unless it is spelt out."""
    return escape(text).replace("\r", "&#13;")
