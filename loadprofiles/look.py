"""People who look at one page, over and over: the load for a service of which no more is known.

    LOOK_AT=/orders    which page; / unless said

Plain Locust, nothing of gameday in it. Try it alone: locust -f loadprofiles/look.py --host URL
"""

from __future__ import annotations

import os

from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    """One who looks, and gives up on an answer after two seconds."""

    network_timeout = 2.0
    connection_timeout = 2.0

    @task
    def look(self) -> None:
        """Get the page."""
        self.client.get(os.environ.get("LOOK_AT", "/"), name="the page")
