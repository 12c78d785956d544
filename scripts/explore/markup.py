"""Pieces of HTML: everything that comes from the data is escaped here."""

import base64
import html
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from PIL import Image

from scripts.common.formatting import printable

_LINE = '\n'
STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --paper: #ffffff; --soft: #f3f4f6;
  --line: #d8dbe0; --faint: #667080; --accent: #2f5f9e; --alarm: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #d8d8d8; --paper: #1b1e23;
  --soft: #252a31; --line: #3a3f47; --faint: #98a1ae; --accent: #8ab4f0;
  --alarm: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { line-height: 1.2; margin-bottom: 0; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; padding-bottom: .2rem; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
a { color: var(--accent); }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap;
  gap: .3rem 1.2rem; }
.scroll { overflow-x: auto; }
.scroll table, .scroll img { overflow-wrap: normal; }
.scroll img { min-width: 34rem; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .9rem; margin: .7rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { background: var(--soft); }
.left1 :is(th, td):nth-child(-n+1), .left3 :is(th, td):nth-child(-n+3),
.left9 :is(th, td) { text-align: left; }
.left9 td { white-space: normal; min-width: 5rem; }
.images { display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); }
.pairs { display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
figure { margin: 0; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain;
  background: var(--soft); border-radius: 4px; }
figure img.small { image-rendering: pixelated; }
figcaption { font-size: .72rem; line-height: 1.3; color: var(--faint); }
.pair { border: 1px solid var(--line); border-radius: 6px; padding: .5rem; }
.pair p { margin: 0 0 .3rem; font-size: .8rem; }
.pair .images { grid-template-columns: 1fr 1fr; }
.alarm { color: var(--alarm); font-weight: 600; }
.note { color: var(--faint); font-size: .9rem; }
details { margin: .7rem 0; }
summary { cursor: pointer; color: var(--accent); }
"""


def escape(text: str) -> str:
    """The text as it is shown: printable, and without a meaning in HTML."""
    return html.escape(printable(text))


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document that needs no other file."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f'<body>{_LINE.join(parts)}</body></html>\n'
    )


def sections(titles: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """A table of contents, then each section under its title."""
    names = {title: title.lower().replace(' ', '-') for title in titles}
    links = (f'<li><a href="#{name}">{title}</a></li>' for title, name in names.items())
    yield f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>'
    for title, parts in titles.items():
        yield (
            f'<section id="{names[title]}"><h2>{title}</h2>\n{_LINE.join(parts)}'
            '</section>'
        )


def text(tag: str, words: str, kind: str = '') -> str:
    """Text in a tag, of a class that the style knows."""
    attribute = f' class="{kind}"' if kind else ''
    return f'<{tag}{attribute}>{escape(words)}</{tag}>'


def group(tag: str, kind: str, parts: Iterable[str]) -> str:
    """Parts in a tag of a class that the style knows."""
    return f'<{tag} class="{kind}">{"".join(parts)}</{tag}>'


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The first row holds the titles; `left` columns (1, 3 or 9) are aligned left."""
    lines = [
        f'<tr>{"".join(text("td" if place else "th", cell) for cell in row)}</tr>'
        for place, row in enumerate(rows)
    ]
    return group('div', 'scroll', [group('table', f'left{left}', lines)])


def folded(title: str, content: str) -> str:
    """Content that is shown once its title is clicked."""
    return f'<details>{text("summary", title)}{content}</details>'


def chart(light: bytes, dark: bytes, description: str) -> str:
    """A PNG for each theme of the page."""
    return (
        '<div class="scroll"><picture>'
        f'<source srcset="{_data(dark, "png")}" media="(prefers-color-scheme: dark)">'
        f'<img src="{_data(light, "png")}" alt="{escape(description)}">'
        '</picture></div>'
    )


def figure(image: Image.Image, caption: str) -> str:
    """An image above its caption, which is its alternative text, too."""
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=85, subsampling=0)
    small = ' class="small"' if max(image.size) <= 72 else ''
    return (
        f'<figure><img{small} loading="lazy" '
        f'src="{_data(buffer.getvalue(), "jpeg")}" alt="{escape(caption)}">'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )


def _data(content: bytes, kind: str) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
