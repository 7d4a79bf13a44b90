"""The drill that stands in docs/aws.md, so that what is documented is what is run."""

from __future__ import annotations

from tests.drills import ROOT


def documented(folder, **changes):
    """Write the plan into a project, with each text in `changes` replaced; gives its path."""
    text = (ROOT / "docs" / "aws.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "experiments" / "aws.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
