"""Placeholder."""
def render(plan, trace, findings):
    return "<html></html>"
