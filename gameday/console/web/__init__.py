"""The web console: a page that follows a run and passes on what people tell it. A process of its own."""
