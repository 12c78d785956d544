"""What comes from the data shows as it is, whatever it means to Markdown."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from scripts.common import markdown

TEXTS = [
    'plain',
    'a|b',
    '*star*',
    '_under_',
    'snake_case',
    '`code`',
    '<b>bold</b>',
    '[link](x)',
    '![image](x)',
    'a\\b',
    '# no title',
    '$x$',
    'a & b',
    '&amp;',
    '~~no~~',
    '<!-- no -->',
    '|',
    '\\|',
]


def rendered(text):
    parser = MarkdownIt('commonmark').enable(['table', 'strikethrough'])
    return parser.render(text)


@pytest.mark.parametrize('text', TEXTS)
def test_text_shows_as_it_is_in_a_cell_and_in_a_line(text):
    page = rendered(markdown.table([['head', 'number'], [text, '1']]))
    cells = re.findall(r'<td[^>]*>(.*?)</td>', page)
    assert [html.unescape(cell) for cell in cells] == [text, '1']
    assert rendered(f'- {markdown.escape(text)}') == (
        f'<ul>\n<li>{html.escape(text)}</li>\n</ul>\n'
    )


def test_text_is_one_line():
    assert markdown.escape('one\ntwo\x1b[0m') == r'one\\ntwo\\x1b\[0m'


def test_file_names_can_be_read_in_the_source():
    assert markdown.escape('data/my_images/img_01.jpg') == 'data/my_images/img_01.jpg'


@pytest.mark.parametrize('text', ['a', 'a ``` b', '````'])
def test_code_may_hold_fences(text):
    assert rendered(markdown.code(text)) == f'<pre><code>{text}\n</code></pre>\n'


def test_columns_are_to_the_left_or_right():
    assert markdown.table([['a', 'b'], ['1', '2']]) == (
        '| a | b |\n| :-- | --: |\n| 1 | 2 |'
    )
