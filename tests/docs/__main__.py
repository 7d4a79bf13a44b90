"""`python -m tests.docs --write`: make the reference anew; without `--write` say which pages are not in step."""

from __future__ import annotations

import sys

from tests.docs.reference import FOLDER, pages

stale = []
for name, text in pages().items():
    path = FOLDER / name
    if not path.is_file() or path.read_text() != text:
        stale.append(name)
        if "--write" in sys.argv[1:]:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text)
print(
    f"{len(pages())} pages, {len(stale)} {'written' if '--write' in sys.argv[1:] else 'not in step'}: {', '.join(stale)}"
)
sys.exit(0 if "--write" in sys.argv[1:] or not stale else 1)
