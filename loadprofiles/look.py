"""People who look at one page, over and over: the load for a service of which no more is known.

    LOOK_AT=/orders    which page; / unless said
"""

from __future__ import annotations

import os

from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    """One who looks."""

    @task
    def look(self) -> None:
        """Get the page."""
        self.client.get(os.environ.get("LOOK_AT", "/"), name="the page")
